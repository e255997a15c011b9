/** Times of operations on the cpu device: forward, and forward with backward, medians by tinybench. */
import { Bench } from 'tinybench'
import { gradients } from '../src/autograd/tape.ts'
import { floatsAmong, moveArguments } from '../src/check/arguments.ts'
import { scope, type Tensor } from '../src/index.ts'
import { tensorsAmong } from '../src/ops/record.ts'
import { full } from '../src/tensor/create.ts'
import { type BenchCase, describeArguments } from './cases.ts'
import { formatTable } from './table.ts'

export interface OperationTime {
  readonly name: string
  readonly group: BenchCase['group']
  readonly shape: string
  /** Microseconds. */
  readonly forward: number
  /** Microseconds; null for what has no gradient. */
  readonly forwardBackward: number | null
  /** Of the forward pass; null where flops are not counted. */
  readonly gflops: number | null
  /** Of both passes: the backward one counts twice the forward one. */
  readonly gflopsBoth: number | null
  /** Bytes of the tensors that go in and come out, each once, by forward time; null where flops are counted or nothing is moved. */
  readonly gbs: number | null
}

/** Median of single calls in milliseconds; at least 5 calls, at least `time` milliseconds. */
function medianTime(name: string, time: number, body: () => void): number {
  const bench = new Bench({ time, warmupTime: time / 4, iterations: 5, warmupIterations: 2, throws: true })
  const task = bench.add(name, body).runSync()[0]
  if (task.result.state !== 'completed') throw new Error(`${name}: the measurement ${task.result.state}`)
  return task.result.latency.p50
}

/**
 * Measures one case.
 *
 * The cotangent is a tensor of ones of the result's shape; of several results, the first float one is differentiated. All
 * float operands that take a gradient get one.
 *
 * @param time milliseconds for each of forward and forward with backward
 */
export async function measureOperation(given: BenchCase, time: number): Promise<OperationTime> {
  const { record } = given
  const drawn = given.arguments()
  const moved = await moveArguments(drawn, 'cpu')
  for (const t of tensorsAmong(drawn)) t.dispose()
  const call = () => record.call(...(moved.given as never[]))

  const { resultBytes, isView, cotangent } = scope(() => {
    const result = call()
    const first = floatsAmong(result).at(0)
    const results = tensorsAmong([result])
    return {
      resultBytes: results.reduce((sum, t) => sum + t.bytes, 0),
      isView: results.every((t) => moved.tensors.some(({ storage }) => storage === t.storage)),
      cotangent: record.differentiable && first ? full(first.shape, 1, { device: 'cpu' }) : null,
    }
  })
  const forward = medianTime(record.name, time, () => {
    scope(() => {
      call()
    })
  })
  let both: number | null = null
  if (cotangent) {
    const targets = moved.tensors.filter((t, i) => t.dtype !== 'int32' && !record.fixed.includes(i))
    for (const t of targets) t.requiresGrad = true
    both = medianTime(record.name, time, () => {
      scope(() => {
        gradients(floatsAmong(call())[0], targets, { cotangent })
      })
    })
    cotangent.dispose()
  }
  const bytes = resultBytes + moved.tensors.reduce((sum: number, t: Tensor) => sum + t.bytes, 0)
  for (const t of moved.tensors) t.dispose()
  const { flops } = given
  return {
    name: record.name,
    group: given.group,
    shape: describeArguments(moved.given, given.note),
    forward: forward * 1e3,
    forwardBackward: both === null ? null : both * 1e3,
    gflops: flops ? flops / forward / 1e6 : null,
    gflopsBoth: flops && both !== null ? (3 * flops) / both / 1e6 : null,
    gbs: flops || isView ? null : bytes / forward / 1e6,
  }
}

/** The table of these times. */
export function showOperations(times: readonly OperationTime[]): string {
  return formatTable(
    ['operation', 'tensors', 'forward us', 'with backward us', 'GFLOP/s', 'with backward', 'GB/s'],
    times.map((t) => [t.name, t.shape, t.forward, t.forwardBackward, t.gflops, t.gflopsBoth, t.gbs]),
  )
}

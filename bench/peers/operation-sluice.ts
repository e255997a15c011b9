/**
 * One case of `operation-cases.ts` on our cpu device: prints a line of JSON.
 *
 *   node operation-sluice.js '{"case": {…}, "time": 300, "threads": 2, "simd": "wide"}'
 */
import { gradients } from '../../src/autograd/tape.ts'
import {
  add,
  attention,
  capture,
  crossEntropy,
  embedding,
  gatedDeltaRule,
  gelu,
  matmul,
  rmsNorm,
  scope,
  softmax,
  type Tensor,
  tensor,
} from '../../src/index.ts'
import { AdamW } from '../../src/optim/index.ts'
import { setUpCpu } from '../cpu.ts'
import { hash } from '../hash-model.ts'
import { thisMachine } from '../machine.ts'
import { median } from '../median.ts'
import type {
  ComparedOperation,
  InputSpecification,
  OperationCase,
  OperationLine,
  OperationTask,
} from './operation-cases.ts'

function inputOf({ shape, low = -1, high = 1, below }: InputSpecification, seed: number): Tensor {
  const n = shape.reduce((a, b) => a * b, 1)
  const uniform = (i: number) => hash(i, seed)
  if (below !== undefined)
    return tensor(
      Int32Array.from({ length: n }, (_, i) => Math.floor(uniform(i) * below)),
      { shape },
    )
  return tensor(
    Float32Array.from({ length: n }, (_, i) => low + uniform(i) * (high - low)),
    { shape },
  )
}

type Composed = Exclude<ComparedOperation, 'adamW'>

const compositions: Readonly<Record<Composed, (inputs: readonly Tensor[], given: OperationCase) => Tensor>> = {
  matmul: ([a, b]) => matmul(a, b),
  add: ([a, b]) => add(a, b),
  gelu: ([x]) => gelu(x),
  softmax: ([x]) => softmax(x),
  crossEntropy: ([logits, targets]) => crossEntropy(logits, targets),
  rmsNorm: ([x, weight]) => rmsNorm(x, weight, { eps: 1e-5 }),
  attention: ([q, k, v]) => attention(q, k, v, { causal: true }),
  embedding: ([table, tokens]) => embedding(table, tokens),
  gatedDeltaRule: ([q, k, v, g, beta], { mode }) => gatedDeltaRule(q, k, v, g, beta, { mode }).out,
}

/** What to call, again and again. */
interface Calls {
  readonly forward: () => readonly Tensor[]
  readonly both: (() => readonly Tensor[]) | null
}

function optimizerCalls([parameter, gradient]: readonly Tensor[]): Calls {
  parameter.requiresGrad = true
  parameter.grad = gradient
  const optimizer = new AdamW([parameter], { lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 })
  const step = capture(() => optimizer.step())
  return {
    forward: () => {
      step()
      return []
    },
    both: null,
  }
}

function operationCalls(given: OperationCase, inputs: readonly Tensor[]): Calls {
  const composition = compositions[given.operation as Composed]
  const targets = inputs.filter(({ dtype }) => dtype !== 'int32')
  const cotangent = given.result === null ? undefined : inputOf({ shape: given.result }, 100)
  const forward = () => [composition(inputs, given)]
  const both = () => {
    const result = composition(inputs, given)
    return [result, ...gradients(result, targets, { cotangent })]
  }
  const recorded = (body: () => Tensor[]) => () => {
    for (const t of targets) t.requiresGrad = true
    return body()
  }
  return given.eager
    ? { forward: () => forward(), both: recorded(() => both()) }
    : { forward: capture(forward), both: recorded(capture(both)) }
}

/** Median over samples of a millisecond or more, of the time of one call. */
function medianTime(body: () => readonly Tensor[], milliseconds: number): number {
  const sample = (calls: number) => {
    const start = performance.now()
    for (let i = 0; i < calls; i++) for (const t of scope(body)) t.dispose()
    return (performance.now() - start) / calls
  }
  const warm = performance.now() + milliseconds / 4
  let calls = 1
  do {
    const ms = sample(calls)
    calls = Math.max(1, Math.ceil(1 / ms))
  } while (performance.now() < warm)
  const end = performance.now() + milliseconds
  const times: number[] = []
  while (times.length < 5 || performance.now() < end) times.push(sample(calls))
  return median(times)
}

const rootMeanSquare = (t: Tensor): number => {
  let sum = 0
  for (const x of t.dataNow()) sum += x * x
  return Math.sqrt(sum / t.size)
}

const largestMemory = () => Math.round(process.resourceUsage().maxRSS / 1024)

const task = JSON.parse(process.argv[2]) as OperationTask & { threads: number; simd: string }
const rssAtStart = largestMemory()
const cpu = setUpCpu(task)
const inputs = task.case.inputs.map((input, i) => inputOf(input, i + 1))
const { forward, both } = task.case.operation === 'adamW' ? optimizerCalls(inputs) : operationCalls(task.case, inputs)
const once = scope(forward)
const forwardTime = both === null ? 0 : medianTime(forward, task.time)
const results = both === null ? [inputs[0]] : scope(both)
const checks = results.map(rootMeanSquare)
for (const t of [...once, ...(both === null ? [] : results)]) t.dispose()
const line: OperationLine = {
  lib: `sluice-${thisMachine().sluice}-${cpu.simd}`,
  forward: both === null ? medianTime(forward, task.time) : forwardTime,
  both: both === null ? null : medianTime(both, task.time),
  checks,
  rss_mb: largestMemory(),
  rss_start_mb: rssAtStart,
}
console.log(JSON.stringify(line))

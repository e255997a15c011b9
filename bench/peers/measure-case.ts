/** Times of one case of `operation-cases.ts` on our cpu device. */
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
import { hash } from '../hash-model.ts'
import { median } from '../median.ts'
import type { ComparedOperation, InputSpecification, OperationCase, OperationLine } from './operation-cases.ts'

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

/**
 * Median over samples of a millisecond or more, of the time of one call.
 *
 * @param callsInScope as in training, where a scope holds a program or the hundreds of operations of an eager step
 */
function medianTime(body: () => readonly Tensor[], milliseconds: number, callsInScope = 1): number {
  const sample = (calls: number) => {
    let left = calls
    const some = () => {
      for (let i = Math.min(left, callsInScope); i > 0; i--) body()
    }
    const start = performance.now()
    for (; left > 0; left -= callsInScope) scope(some)
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

type Measured = Pick<OperationLine, 'forward' | 'both' | 'checks'>

function measureOptimizer([parameter, gradient]: readonly Tensor[], time: number): Measured {
  parameter.requiresGrad = true
  parameter.grad = gradient
  const optimizer = new AdamW([parameter], { lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 })
  const step = capture(() => {
    optimizer.step()
    return []
  })
  step()
  const checks = [rootMeanSquare(parameter)]
  const forward = medianTime(step, time)
  step.dispose()
  optimizer.dispose()
  return { forward, both: null, checks }
}

function measureComposition(given: OperationCase, inputs: readonly Tensor[], time: number): Measured {
  const composition = compositions[given.operation as Composed]
  const targets = inputs.filter(({ dtype }) => dtype !== 'int32')
  const cotangent = given.result === null ? undefined : inputOf({ shape: given.result }, 100)
  const measure = (body: () => Tensor[]): [milliseconds: number, checks: number[]] => {
    const program = capture(body)
    const run = given.eager ? body : program
    const results = scope(run)
    const checks = results.map(rootMeanSquare)
    for (const t of results) t.dispose()
    const milliseconds = medianTime(run, time, given.eager ? 100 : 1)
    program.dispose()
    return [milliseconds, checks]
  }
  const [forward] = measure(() => [composition(inputs, given)])
  for (const t of targets) t.requiresGrad = true
  const [both, checks] = measure(() => {
    const result = composition(inputs, given)
    return [result, ...gradients(result, targets, { cotangent })]
  })
  cotangent?.dispose()
  return { forward, both, checks }
}

/** Captured as a program unless the case says otherwise. */
export function measureCase(given: OperationCase, time: number): Measured {
  const inputs = given.inputs.map((input, i) => inputOf(input, i + 1))
  const measured =
    given.operation === 'adamW' ? measureOptimizer(inputs, time) : measureComposition(given, inputs, time)
  for (const t of inputs) t.dispose()
  return measured
}

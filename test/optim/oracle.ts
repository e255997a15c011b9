/** Optimizer steps written out on plain float64 arrays, from the papers; and the problem that they are tested on. */
import fc from 'fast-check'
import { type Tensor, tensor } from '../../src/index.ts'

/** A parameter [rows, columns] and its gradient at each step. */
export interface Problem {
  readonly rows: number
  readonly columns: number
  readonly start: number[]
  readonly gradients: number[][]
}

const value = fc.double({ min: -2, max: 2, noNaN: true }).map((x) => Math.round(x * 64) / 64)

export const problem: fc.Arbitrary<Problem> = fc
  .record({ rows: fc.integer({ min: 1, max: 4 }), columns: fc.integer({ min: 1, max: 4 }) })
  .chain(({ rows, columns }) => {
    const matrix = fc.array(value, { minLength: rows * columns, maxLength: rows * columns })
    return fc.record({
      rows: fc.constant(rows),
      columns: fc.constant(columns),
      start: matrix,
      gradients: fc.array(matrix, { minLength: 1, maxLength: 5 }),
    })
  })

export function parameterOf({ rows, columns, start }: Problem): Tensor {
  return tensor(start, { shape: [rows, columns], device: 'reference', requiresGrad: true })
}

export function setGradient(parameter: Tensor, values: readonly number[]): void {
  parameter.grad?.dispose()
  parameter.grad = tensor([...values], { shape: parameter.shape, device: parameter.device })
}

/** Values of the parameter after one step a gradient. */
export async function trained(
  parameter: Tensor,
  optimizer: { step(): void; dispose(): void },
  gradients: readonly (readonly number[])[],
): Promise<number[]> {
  for (const gradient of gradients) {
    setGradient(parameter, gradient)
    optimizer.step()
  }
  const values = [...(await parameter.data())]
  optimizer.dispose()
  parameter.dispose()
  return values
}

/** Largest difference, relative to max(1, |expected|). */
export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity
  let worst = 0
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i] - expected[i]) / Math.max(1, Math.abs(expected[i]))
    worst = error > worst || Number.isNaN(error) ? error : worst
  }
  return Number.isNaN(worst) ? Infinity : worst
}

export interface SGDSettings {
  readonly lr: number
  readonly momentum: number
  readonly nesterov: boolean
  readonly weightDecay: number
}

export function sgdOracle({ start, gradients }: Problem, settings: SGDSettings): number[] {
  const { lr, momentum, nesterov, weightDecay } = settings
  const p = [...start]
  const velocity = p.map(() => 0)
  for (const gradient of gradients) {
    for (let i = 0; i < p.length; i++) {
      const d = gradient[i] + weightDecay * p[i]
      velocity[i] = momentum * velocity[i] + d
      p[i] -= lr * (momentum === 0 ? d : nesterov ? d + momentum * velocity[i] : velocity[i])
    }
  }
  return p
}

export interface AdamWSettings {
  readonly lr: number
  readonly betas: readonly [number, number]
  readonly eps: number
  readonly weightDecay: number
}

/** Loshchilov and Hutter 2019, algorithm 2, with the decay multiplied by the rate, as in PyTorch. */
export function adamWOracle({ start, gradients }: Problem, settings: AdamWSettings): number[] {
  const {
    lr,
    betas: [beta1, beta2],
    eps,
    weightDecay,
  } = settings
  const p = [...start]
  const m = p.map(() => 0)
  const v = p.map(() => 0)
  gradients.forEach((gradient, t) => {
    for (let i = 0; i < p.length; i++) {
      p[i] -= lr * weightDecay * p[i]
      m[i] = beta1 * m[i] + (1 - beta1) * gradient[i]
      v[i] = beta2 * v[i] + (1 - beta2) * gradient[i] ** 2
      const corrected = m[i] / (1 - beta1 ** (t + 1))
      p[i] -= (lr * corrected) / (Math.sqrt(v[i] / (1 - beta2 ** (t + 1))) + eps)
    }
  })
  return p
}

type Matrix = number[][]

const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)))
const flipped = (a: Matrix): Matrix => a[0].map((_, j) => a.map((row) => row[j]))
const combined = (a: number, x: Matrix, b: number, y: Matrix): Matrix =>
  x.map((row, i) => row.map((_, j) => a * x[i][j] + b * y[i][j]))

export function orthogonalOracle(flat: readonly number[], rows: number, columns: number, steps: number): number[] {
  const norm = Math.sqrt(flat.reduce((sum, x) => sum + x * x, 0)) + 1e-7
  const start = Array.from({ length: rows }, (_, i) =>
    flat.slice(i * columns, (i + 1) * columns).map((entry) => entry / norm),
  )
  let x = rows > columns ? flipped(start) : start
  for (let i = 0; i < steps; i++) {
    const a = product(x, flipped(x))
    x = combined(3.4445, x, 1, product(combined(-4.775, a, 2.0315, product(a, a)), x))
  }
  return (rows > columns ? flipped(x) : x).flat()
}

export interface MuonSettings {
  readonly lr: number
  readonly momentum: number
  readonly nesterov: boolean
  readonly weightDecay: number
  readonly steps: number
}

export function muonOracle({ rows, columns, start, gradients }: Problem, settings: MuonSettings): number[] {
  const { lr, momentum, nesterov, weightDecay, steps } = settings
  const p = [...start]
  let m = p.map(() => 0)
  for (const gradient of gradients) {
    const average = (old: number, i: number) => momentum * old + (1 - momentum) * gradient[i]
    m = m.map(average)
    const u = nesterov ? m.map(average) : m
    const direction = orthogonalOracle(u, rows, columns, steps)
    for (let i = 0; i < p.length; i++) {
      p[i] = p[i] * (1 - lr * weightDecay) - lr * Math.sqrt(Math.max(1, rows / columns)) * direction[i]
    }
  }
  return p
}

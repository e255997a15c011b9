/**
 * How far sums, products and what is made of them are off, in units of the bound that holds for any order of summation.
 *
 * A sum of n numbers in float32 is off by at most (n - 1) u Σ|x| to first order, u = 2^-24, whatever the order (Higham, Accuracy and
 * Stability of Numerical Algorithms, section 4.2); a product of k terms by k u Σ|a||b|. What is measured is the factor before u.
 */
import { Generator, matmul, device as readyDevice, scope, type Tensor, tensor } from '../../src/index.ts'

const u = 2 ** -24

/** One sum or product. */
export interface SumAccuracy {
  readonly operation: string
  /** What was summed. */
  readonly of: string
  readonly device: string
  /** Terms of each sum. */
  readonly terms: number
  /** Largest error over u Σ|terms|. */
  readonly worst: number
}

interface Case {
  readonly operation: string
  readonly of: string
  readonly terms: number
  /** Operands, float32. */
  readonly operands: readonly { readonly shape: readonly number[]; readonly values: Float32Array }[]
  readonly run: (...given: Tensor[]) => Tensor
}

const sumLengths = [1000, 100_000, 4_000_000]
const productLengths = [64, 1000, 16_384]
const rowLengths = [1000, 100_000]
/** Rows and columns of a product. */
const side = 24

function numbers(seed: number, size: number, isPositive: boolean): Float32Array {
  const uniform = new Generator(seed).uniform(size)
  return Float32Array.from(uniform, (x) => (isPositive ? x : 2 * x - 1))
}

/** A generator, so that the numbers of one case lie in memory at a time. */
function* cases(): Iterable<Case> {
  for (const [of, isPositive] of [
    ['uniform in [0, 1)', true],
    ['uniform in [-1, 1)', false],
  ] as const) {
    for (const terms of sumLengths) {
      const operands = [{ shape: [terms], values: numbers(1, terms, isPositive) }]
      yield { operation: 'sum', of, terms, operands, run: (x) => x.sum() }
      // Its plain kernel adds every prefix anew.
      if (terms <= 1000) yield { operation: 'cumsum', of, terms, operands, run: (x) => x.cumsum(0) }
    }
    for (const terms of productLengths) {
      const operands = [
        { shape: [side, terms], values: numbers(2, side * terms, isPositive) },
        { shape: [terms, side], values: numbers(3, side * terms, isPositive) },
      ]
      yield { operation: 'matmul', of, terms, operands, run: (a, b) => matmul(a, b) }
    }
  }
  for (const terms of rowLengths) {
    const operands = [{ shape: [4, terms], values: numbers(4, 4 * terms, false).map((x) => 10 * x) }]
    const of = 'rows, uniform in [-10, 10)'
    yield { operation: 'softmax', of, terms, operands, run: (x) => x.softmax(-1) }
    yield { operation: 'logsumexp', of, terms, operands, run: (x) => x.logsumexp({ axis: -1 }) }
  }
}

/** What the errors of a case are measured in: u Σ|terms| for sums, u times the result elsewhere. */
async function scaleOf(each: Case, exact: ArrayLike<number>): Promise<ArrayLike<number>> {
  if (!['sum', 'cumsum', 'matmul'].includes(each.operation)) return Array.from(exact, Math.abs)
  const operands = each.operands.map(({ shape, values }) => ({ shape, values: values.map(Math.abs) }))
  return result({ ...each, operands }, 'reference')
}

async function result({ operands, run }: Case, device: string): Promise<ArrayLike<number>> {
  const y = scope(() => run(...operands.map(({ shape, values }) => tensor(values, { shape, device }))))
  try {
    return await y.data()
  } finally {
    y.dispose()
  }
}

/** Every case on a device. */
export async function measureSums(device: string): Promise<SumAccuracy[]> {
  await readyDevice(device)
  const found: SumAccuracy[] = []
  for (const each of cases()) {
    const exact = await result(each, 'reference')
    const [scale, got] = [await scaleOf(each, exact), await result(each, device)]
    let worst = 0
    for (let i = 0; i < got.length; i++) worst = Math.max(worst, Math.abs(got[i] - exact[i]) / (u * scale[i]))
    found.push({ operation: each.operation, of: each.of, device, terms: each.terms, worst })
  }
  return found
}

/**
 * Accuracy: how far an elementwise operation is from its exact value, in units in the last place of float32.
 *
 * A unit in the last place (ulp) of y is the distance between the float32 numbers at y; a result that is rounded correctly is
 * off by half of one at most. The exact value is the reference device's, in float64, of the same float32 inputs.
 */
import { device as readyDevice } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { operations } from '../ops/record.ts'
import { tensor } from '../tensor/create.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'

/** The elementwise operations of one argument that compute: their results are not their arguments or constants. */
export const oneArgument = [
  ...['neg', 'abs', 'sign', 'floor', 'square', 'reciprocal', 'sqrt', 'rsqrt', 'exp', 'log', 'sin', 'cos'],
  ...['tanh', 'sigmoid', 'softplus', 'relu', 'silu', 'gelu', 'erf'],
] as const

/** Those of two. */
export const twoArguments = ['add', 'sub', 'mul', 'div', 'pow', 'maximum', 'minimum'] as const

/** Below it float32 numbers are subnormal, and a GPU may take them for 0. */
const leastNormal = 2 ** -126

const float64 = new Float64Array(1)
const halves = new Uint32Array(float64.buffer)

/** The distance of neighbouring float32 numbers at `value`. */
export function unitInLastPlace(value: number): number {
  float64[0] = value
  // The exponent as it stands in the bits: a logarithm would round up just below a power of two.
  const exponent = ((halves[1] >>> 20) & 0x7ff) - 1023
  return 2 ** Math.max(exponent - 23, -149)
}

/** Where an operation was furthest off. Errors are in units in the last place. */
export interface Accuracy {
  /** Name of the operation. */
  readonly operation: string
  /** Name of the device. */
  readonly device: string
  /** Results looked at, of all kinds. */
  readonly cases: number
  /** Largest error where result and inputs are normal numbers, or 0. */
  readonly worst: number
  /** Inputs of the worst one, the exact value, and what came. */
  readonly at: readonly number[]
  /** The exact result there, in float64. */
  readonly exact: number
  /** What the device gave. */
  readonly got: number
  /** Largest error where the result or an input is subnormal; 2^22 and more is a device that takes them for 0, as a GPU may. */
  readonly subnormal: number
  /** Results that are finite where they should be infinite or NaN, or the other way round. */
  readonly misplaced: number
}

const isNormal = (x: number): boolean => Math.abs(x) >= leastNormal || x === 0

/** Gathers results batch by batch. */
class AccuracyCount {
  #worst = { worst: 0, at: [] as readonly number[], exact: 0, got: 0 }
  #subnormal = 0
  #cases = 0
  #misplaced = 0

  /** @param inputs one list an argument; all of one length */
  add(inputs: readonly Float32Array[], exact: ArrayLike<number>, got: ArrayLike<number>): void {
    this.#cases += got.length
    for (let i = 0; i < got.length; i++) {
      const [expected, found] = [exact[i], got[i]]
      const rounded = Math.fround(expected)
      if (found === rounded || (Number.isNaN(found) && Number.isNaN(rounded))) continue
      if (!Number.isFinite(rounded) || !Number.isFinite(found)) {
        this.#misplaced++
        continue
      }
      const error = Math.abs(found - expected) / unitInLastPlace(expected)
      if (!isNormal(rounded) || inputs.some((values) => !isNormal(values[i]))) {
        this.#subnormal = Math.max(this.#subnormal, error)
      } else if (error > this.#worst.worst) {
        this.#worst = { worst: error, at: inputs.map((values) => values[i]), exact: expected, got: found }
      }
    }
  }

  get result() {
    return { cases: this.#cases, ...this.#worst, subnormal: this.#subnormal, misplaced: this.#misplaced }
  }
}

/** Results computed at once. */
const batch = 2 ** 18

/** Float32 numbers by their bits: `count` of them from `first` on, every `stride`-th. */
function numbersOfBits(first: number, stride: number, count: number): Float32Array {
  const bits = new Uint32Array(count)
  for (let i = 0; i < count; i++) bits[i] = first + i * stride
  return new Float32Array(bits.buffer)
}

/** Every `stride`-th float32, by bits: all 2^32 of them with a stride of 1. An odd stride meets every mantissa. */
export function* everyFloat32(stride: number): Generator<[Float32Array]> {
  const total = Math.ceil(2 ** 32 / stride)
  for (let done = 0; done < total; done += batch) {
    yield [numbersOfBits(done * stride, stride, Math.min(batch, total - done))]
  }
}

/**
 * Pairs of float32 numbers: the first by every `stride`-th pattern of bits; the second within a factor of 2^4 of it, of either sign,
 * or anywhere. A number always has the same partner.
 */
export function* pairsOfFloat32(stride: number): Generator<[Float32Array, Float32Array]> {
  for (const [left] of everyFloat32(stride)) {
    const partner = new Uint32Array(left.buffer).map((x) => {
      // Knuth's multiplicative hash, folded first: every bit of the number has its part in the upper ones.
      const mixed = Math.imul(x ^ (x >>> 15), 0x9e3779b1)
      if (mixed & 1) return mixed
      const near = (x & 0x7f800000) + (((mixed >>> 4) & 0x03ffffff) - 0x02000000)
      return (near & 0x7fffffff) | (mixed & 0x80000000)
    })
    yield [left, new Float32Array(partner.buffer)]
  }
}

/** `everyFloat32` or `pairsOfFloat32`, as many numbers as the operation takes. */
export function float32Inputs(operation: string, stride: number): Iterable<readonly Float32Array[]> {
  return (twoArguments as readonly string[]).includes(operation) ? pairsOfFloat32(stride) : everyFloat32(stride)
}

/**
 * Measures an elementwise operation on a device.
 *
 * @param inputs batches of arguments, float32, one list an argument; `everyFloat32` and `pairsOfFloat32` make some
 * @throws SluiceError for an operation that there is not
 *
 * @example
 * const { worst, at } = await accuracy('exp', 'cpu', everyFloat32(4999))
 */
export async function accuracy(
  operation: string,
  device: string,
  inputs: Iterable<readonly Float32Array[]>,
): Promise<Accuracy> {
  const record = operations.get(operation)
  if (!record) throw new SluiceError('accuracy', `there is no operation '${operation}'`)
  await readyDevice(device)
  const call = record.call as (...given: unknown[]) => Tensor
  const run = (given: readonly Float32Array[], on: string) =>
    scope(() => call(...given.map((values) => tensor(values, { device: on }))))
  const count = new AccuracyCount()
  for (const given of inputs) {
    const [exact, found] = [run(given, 'reference'), run(given, device)]
    count.add(given, await exact.data(), await found.data())
    exact.dispose()
    found.dispose()
  }
  return { operation, device, ...count.result }
}

/**
 * Random arrays as pure functions of (seed, draw number, index).
 *
 * Every call of a Generator is one draw j = 0, 1, 2, ... Its bits are Threefry blocks of two 32-bit words,
 * w = threefry(key = seed, counter = (block, j)), where
 * - uniform and bernoulli give value i one word: w[i mod 2] of block floor(i / 2);
 * - normal, integers and permutation give value i both words of block i.
 *
 * So value i never depends on how many values were asked for, the first values of a long draw are the short draw, and
 * any device may compute any element by itself. Only integer operations and the five exactly rounded IEEE 754 ones
 * are used: the same seed gives the same bits on every device and engine.
 */

import { SluiceError } from '../errors.ts'
import { normalUpperQuantile } from './normal.ts'
import { threefryBlock } from './threefry.ts'

export { threefry2x32 } from './threefry.ts'

const WORD = 2 ** 32

/** Where a Generator stands: its seed and how many draws it has made. Plain JSON, for checkpoints. */
export interface GeneratorState {
  /** An integer from 0 to 2^53 - 1. */
  readonly seed: number
  /** An integer from 0 to 2^32. */
  readonly draws: number
}

/**
 * A stream of random draws.
 *
 * Seeds are integers from 0 to 2^53 - 1. Methods take the number of values n and return a flat array of that length;
 * each counts as one draw, whatever n is. All throw a SluiceError for an n that is no count of values.
 *
 * @example
 * const generator = new Generator(7)
 * const weights = generator.normal(6)
 * const saved = generator.state // { seed: 7, draws: 1 }
 */
export class Generator {
  #seed = 0
  #draws = 0
  readonly #key = new Uint32Array(2)
  readonly #block = new Uint32Array(2)

  /** @throws SluiceError when `seed` is no integer from 0 to 2^53 - 1. */
  constructor(seed: number) {
    this.state = { seed, draws: 0 }
  }

  /** Where it stands. Setting it to a state that `state` cannot give is an error. */
  get state(): GeneratorState {
    return { seed: this.#seed, draws: this.#draws }
  }

  /** Continues exactly where the saved generator stood. */
  set state({ seed, draws }: GeneratorState) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new SluiceError('Generator', `the seed is ${seed}; expected an integer from 0 to 2^53 - 1`)
    }
    if (!Number.isInteger(draws) || draws < 0 || draws > WORD) {
      throw new SluiceError('Generator', `the state has draws ${draws}; expected an integer from 0 to 2^32`)
    }
    this.#seed = seed
    this.#draws = draws
    this.#key[0] = seed % WORD
    this.#key[1] = Math.floor(seed / WORD)
  }

  /** n values uniform on the grid 0, 2^-24, ..., 1 - 2^-24: 24 bits are what float32 holds below 1. */
  uniform(n: number): Float32Array {
    const draw = this.#nextDraw('uniform', n)
    const values = new Float32Array(n)
    for (let i = 0; i < n; i++) values[i] = (this.#word(draw, i) >>> 8) * 2 ** -24
    return values
  }

  /**
   * n standard normal values, by the inverse of the distribution function.
   *
   * 52 bits choose the tail probability u = (k + 1/2) 2^-53 in (0, 1/2) and one more the sign, so the values are
   * exactly symmetric and finite: the largest is 8.3, at u = 2^-54. In float64 their relative error is below 1e-15
   * (see normal.ts), hence the float32 result is the correctly rounded quantile but for about one value in 10^8.
   */
  normal(n: number): Float32Array {
    const draw = this.#nextDraw('normal', n)
    const block = this.#block
    const values = new Float32Array(n)
    for (let i = 0; i < n; i++) {
      this.#fillBlock(draw, i)
      const low = block[1]!
      const tail = (block[0]! * 2 ** 20 + (low >>> 12) + 0.5) * 2 ** -53
      // A product, as a branch on a random bit is guessed wrong half of the time.
      values[i] = normalUpperQuantile(tail) * (1 - 2 * (low & 1))
    }
    return values
  }

  /** n values, each 1 with probability p and otherwise 0; p is rounded up to a multiple of 2^-32, 0 and 1 are exact. @throws SluiceError for p outside [0, 1] */
  bernoulli(n: number, p: number): Float32Array {
    if (!(p >= 0 && p <= 1)) throw new SluiceError('bernoulli', `p is ${p}; expected a probability from 0 to 1`)
    const draw = this.#nextDraw('bernoulli', n)
    const values = new Float32Array(n)
    const threshold = p * WORD
    for (let i = 0; i < n; i++) values[i] = this.#word(draw, i) < threshold ? 1 : 0
    return values
  }

  /** n integers from low to high - 1, all equally likely. @throws SluiceError unless low < high, and low and high - 1 are int32 values */
  integers(n: number, low: number, high: number): Int32Array {
    if (!Number.isInteger(low) || !Number.isInteger(high) || low >= high || low < -(2 ** 31) || high > 2 ** 31) {
      throw new SluiceError('integers', `the range is [${low}, ${high}); expected int32 bounds with low < high`)
    }
    const draw = this.#nextDraw('integers', n)
    const values = new Int32Array(n)
    for (let i = 0; i < n; i++) values[i] = low + this.#below(high - low, draw, i)
    return values
  }

  /** The numbers 0 to n - 1 in random order, all n! orders equally likely (Fisher-Yates, from the last place down). */
  permutation(n: number): Int32Array {
    const draw = this.#nextDraw('permutation', n)
    const values = new Int32Array(n)
    for (let i = 0; i < n; i++) values[i] = i
    for (let last = n - 1; last > 0; last--) {
      const chosen = this.#below(last + 1, draw, last)
      const swapped = values[last]!
      values[last] = values[chosen]!
      values[chosen] = swapped
    }
    return values
  }

  #nextDraw(operation: string, n: number): number {
    if (!Number.isInteger(n) || n < 0 || n >= WORD) {
      throw new SluiceError(operation, `n is ${n}; expected an integer from 0 to 2^32 - 1`)
    }
    if (this.#draws >= WORD) {
      throw new SluiceError(operation, `all 2^32 draws of seed ${this.#seed} are used; seed the generator anew`)
    }
    return this.#draws++
  }

  #fillBlock(draw: number, index: number): void {
    threefryBlock(this.#key[0]!, this.#key[1]!, index, draw, this.#block)
  }

  /** Word i of a draw. Even i computes a block; odd i takes its other half, so call it for i = 0, 1, 2, ... */
  #word(draw: number, i: number): number {
    if (i % 2 === 0) this.#fillBlock(draw, i / 2)
    return this.#block[i % 2]!
  }

  /**
   * An integer from 0 to range - 1, for range up to 2^32, from block `index`.
   *
   * The first 53 bits U of the block give U mod range. U at or above the largest multiple of range would favour small
   * remainders: such a block (fewer than one in 2^21) is encrypted again as its own counter, until one fits.
   */
  #below(range: number, draw: number, index: number): number {
    const block = this.#block
    const limit = 2 ** 53 - (2 ** 53 % range)
    this.#fillBlock(draw, index)
    let bits = block[0]! * 2 ** 21 + (block[1]! >>> 11)
    while (bits >= limit) {
      threefryBlock(this.#key[0]!, this.#key[1]!, block[0]!, block[1]!, block)
      bits = block[0]! * 2 ** 21 + (block[1]! >>> 11)
    }
    return bits % range
  }
}

/** The generator behind rand, randn and dropout; seed 0 until manualSeed is called, so that runs repeat. */
export const defaultGenerator = new Generator(0)

/**
 * Restarts the default generator from a seed, an integer from 0 to 2^53 - 1.
 *
 * @example
 * manualSeed(42)
 */
export function manualSeed(seed: number): void {
  defaultGenerator.state = { seed, draws: 0 }
}

/** A small seeded generator for tests (mulberry32), so that they do not lean on the library's own. */

import type { RandomSource } from '../../src/train/text.ts'

export function testRandom(seed: number): RandomSource {
  let state = seed >>> 0
  const word = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const integer = (low: number, high: number): number => low + Math.floor((word() / 2 ** 32) * (high - low))
  return {
    uniform: (n) => Float32Array.from({ length: n }, () => (word() >>> 8) * 2 ** -24),
    integers: (n, low, high) => Int32Array.from({ length: n }, () => integer(low, high)),
    permutation(n) {
      const order = Int32Array.from({ length: n }, (_, index) => index)
      for (let last = n - 1; last > 0; last--) {
        const chosen = integer(0, last + 1)
        const swapped = order[last]!
        order[last] = order[chosen]!
        order[chosen] = swapped
      }
      return order
    },
  }
}

/**
 * Size classes for reusing memory: powers of two with four steps between, so that at most a quarter is wasted and
 * blocks that repeat their shapes are found again.
 */

/** Exponent of the smallest class, 64 bytes. */
const SMALLEST = 6

/** floor(log2(x)) for x >= 1. */
const exponentOf = (x: number): number => (x < 2 ** 32 ? 31 - Math.clz32(x) : 32 + exponentOf(x / 2 ** 32))

/** The number of the smallest class that holds `bytes`: classes are numbered from 0, which is 64 bytes. */
export function sizeClassNumber(bytes: number): number {
  if (bytes <= 2 ** SMALLEST) return 0
  const exponent = exponentOf(bytes)
  // (4 + s) 2^(exponent - 2), s from 0 to 4; the last is the next power of two.
  return 4 * (exponent - SMALLEST - 1) + Math.ceil(bytes / 2 ** (exponent - 2))
}

/** Bytes of the class of that number. */
export function sizeOfClass(number: number): number {
  return (4 + (number & 3)) * 2 ** (SMALLEST - 2 + (number >> 2))
}

/** The smallest class that holds `bytes`: (4 + s) 2^e for s in 0..3, and 64 at least. */
export function sizeClass(bytes: number): number {
  return sizeOfClass(sizeClassNumber(bytes))
}

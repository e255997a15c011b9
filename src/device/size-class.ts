/**
 * Size classes for reusing memory: powers of two with four steps between, so that at most a quarter is wasted and
 * blocks that repeat their shapes are found again.
 */

/** Exponent of the smallest class, 64 bytes. */
const SMALLEST = 6
/** From here on sums of two sizes are no 32-bit integers. */
const LARGEST = 2 ** 30

/** The number of the smallest class that holds `bytes`: classes are numbered from 0, which is 64 bytes. */
export function sizeClassNumber(bytes: number): number {
  if (bytes <= 1 << SMALLEST) return 0
  // Halving twice what is beyond 31 bits moves it on by two octaves, exactly where it is a class.
  if (bytes >= LARGEST) return sizeClassNumber(Math.ceil(bytes / 4)) + 8
  const shift = 29 - Math.clz32(bytes)
  // (4 + s) 2^shift, s from 0 to 4; the last is the next power of two.
  return 4 * (shift - SMALLEST + 1) + ((bytes + (1 << shift) - 1) >>> shift)
}

/** Bytes of the class of that number. */
export function sizeOfClass(number: number): number {
  return (4 + (number & 3)) * 2 ** (SMALLEST - 2 + (number >> 2))
}

/** The smallest class that holds `bytes`: (4 + s) 2^e for s in 0..3, and 64 at least. */
export function sizeClass(bytes: number): number {
  return sizeOfClass(sizeClassNumber(bytes))
}

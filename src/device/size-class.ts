/**
 * Size classes for reusing memory: powers of two with four steps between, so that at most a quarter is wasted and
 * blocks that repeat their shapes are found again.
 */

/** The smallest class that holds `bytes`: (4 + s) 2^e for s in 0..3, and 64 at least. */
export function sizeClass(bytes: number): number {
  const least = Math.max(64, bytes)
  const octave = 2 ** Math.floor(Math.log2(least))
  const step = octave / 4
  return Math.ceil(least / step) * step
}

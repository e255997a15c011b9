/** Walking buffers a vector of four floats at a time. */
import type { FunctionBuilder } from './assembler.ts'
import { i32, type Local, type Operand } from './instructions.ts'

export const vectorBytes = 16

/**
 * How many vectors hold this many floats. Every buffer of the device has room for whole vectors, so an elementwise kernel
 * reads and writes the last one as a whole: what lies past the end is nobody's.
 */
export const vectorsIn = (length: number): number => Math.ceil(length / 4)

/** Runs `body` for each vector from item `from` to `to`, with all pointers at it: they are moved, from their buffers' starts. */
export function eachVector(
  f: FunctionBuilder,
  from: Operand<'i32'>,
  to: Operand<'i32'>,
  pointers: readonly Local<'i32'>[],
  body: () => void,
): void {
  for (const pointer of pointers) f.advance(pointer, i32.mul(from, vectorBytes))
  f.times(i32.sub(to, from), () => {
    body()
    for (const pointer of pointers) f.advance(pointer, vectorBytes)
  })
}

/** Runs: floats that lie one after another, copied or filled. Nothing past the end of a run is read or written. */
import type { FunctionBuilder } from './assembler.ts'
import { i32, type Local, type Operand, type Value, v128 } from './instructions.ts'
import { vectorBytes } from './vectors.ts'

/** Vectors that the main loop moves at a time. */
const UNROLLED = 4

/**
 * Calls `whole` for each whole vector of a run and `single` for each float that is left, with all pointers at it.
 *
 * @param count floats of the run
 * @param vectors how many vectors `whole` is stated for, one after the other, before the pointers move
 */
export function eachOfRun(
  f: FunctionBuilder,
  pointers: readonly Local<'i32'>[],
  count: Operand<'i32'>,
  whole: (offset: number) => void,
  single: () => void,
  vectors = UNROLLED,
): void {
  const left = f.local('i32', count)
  const move = (floats: number) => {
    for (const pointer of pointers) f.advance(pointer, 4 * floats)
    f.advance(left, -floats)
  }
  for (const together of vectors > 1 ? [vectors, 1] : [1]) {
    f.while(i32.ge_u(left, 4 * together), () => {
      for (let i = 0; i < together; i++) whole(i * vectorBytes)
      move(4 * together)
    })
  }
  f.while(left, () => {
    single()
    move(1)
  })
}

/** Copies a run; both pointers are moved past it. */
export function copyRun(f: FunctionBuilder, to: Local<'i32'>, from: Local<'i32'>, count: Operand<'i32'>): void {
  eachOfRun(
    f,
    [to, from],
    count,
    (offset) => f.store(to, v128.load(from, offset), offset),
    () => f.store(to, i32.load(from)),
  )
}

/** Fills a run with one value, given in all lanes and alone; the pointer is moved past it. */
export function fillRun(
  f: FunctionBuilder,
  to: Local<'i32'>,
  count: Operand<'i32'>,
  vector: Local<'v128'>,
  value: Value<'i32'>,
): void {
  eachOfRun(
    f,
    [to],
    count,
    (offset) => f.store(to, vector, offset),
    () => f.store(to, value),
  )
}

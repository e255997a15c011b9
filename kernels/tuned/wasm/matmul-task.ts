/**
 * The matrix products of a batch as a task: C[z] = A[z] B[z], whose items are strips of C, of some columns or rows each.
 * Strips that follow one another in a call are one rectangle, so a call that has many packs as little as one that has all.
 */
import { type FunctionBuilder, integers, type Locals, type WasmModule } from './assembler.ts'
import { i32, type Operand, select, type Value } from './instructions.ts'
import type { defineActivate } from './matmul-activation.ts'
import type { defineFew } from './matmul-few.ts'
import { blockingParameters, type defineRectangle, finishParameters, matrixParameters } from './matmul-rectangle.ts'
import { type withRange, withScratch } from './task.ts'

const elementBytes = 4

const batchParameters = integers('aBatchStep', 'bBatchStep', 'cBatchStep', 'addendBatchStep')

/** A strip is `strip` columns wide, or rows high where not `byColumns`; `strips` are a matrix. */
const stripParameters = integers('strips', 'strip', 'byColumns')

const shared = { ...matrixParameters, ...finishParameters, ...batchParameters, ...stripParameters } as const

/** Calls `multiply` for each rectangle of the items from `from` to before `to`. */
function eachRectangle(
  f: FunctionBuilder,
  given: Locals<typeof shared & typeof withRange>,
  multiply: (matrix: Readonly<Record<keyof typeof matrixParameters, Operand<'i32'>>>) => void,
): void {
  const { m, n, a, b, c, addend, aRowStep, bColumnStep, cRowStep, addendRowStep, strips, strip, byColumns } = given
  const { aBatchStep, bBatchStep, cBatchStep, addendBatchStep, from, to } = given
  const least = (x: Value<'i32'>, y: Value<'i32'>) => select(i32.lt_u(x, y), x, y)
  const [batch, first, count, rows, columns] = [0, 0, 0, 0, 0].map(() => f.local('i32'))
  const [aStart, bStart, cStart, addendStart] = [0, 0, 0, 0].map(() => f.local('i32'))
  f.while(i32.lt_u(from, to), () => {
    f.set(batch, i32.div_u(from, strips))
    f.set(first, i32.rem_u(from, strips))
    f.set(count, least(i32.sub(strips, first), i32.sub(to, from)))
    f.advance(from, count)
    f.set(aStart, i32.add(a, i32.mul(batch, aBatchStep)))
    f.set(bStart, i32.add(b, i32.mul(batch, bBatchStep)))
    f.set(cStart, i32.add(c, i32.mul(batch, cBatchStep)))
    f.set(addendStart, i32.add(addend, i32.mul(batch, addendBatchStep)))
    f.set(rows, m)
    f.set(columns, n)
    f.set(first, i32.mul(first, strip))
    f.set(count, i32.mul(count, strip))
    f.if(
      byColumns,
      () => {
        f.set(columns, least(count, i32.sub(n, first)))
        f.advance(bStart, i32.mul(first, bColumnStep))
        f.advance(cStart, i32.mul(first, elementBytes))
        f.advance(addendStart, i32.mul(first, elementBytes))
      },
      () => {
        f.set(rows, least(count, i32.sub(m, first)))
        f.advance(aStart, i32.mul(first, aRowStep))
        f.advance(cStart, i32.mul(first, cRowStep))
        f.advance(addendStart, i32.mul(first, addendRowStep))
      },
    )
    multiply({ ...given, m: rows, n: columns, a: aStart, b: bStart, c: cStart, addend: addendStart })
  })
}

interface Parts {
  readonly rectangle: ReturnType<typeof defineRectangle>
  readonly few: ReturnType<typeof defineFew>
  readonly activate: ReturnType<typeof defineActivate>
}

export function defineMultiply(module: WasmModule, { rectangle, few, activate }: Parts) {
  const multiply = module.function('multiply', { ...shared, ...blockingParameters, ...withScratch }, (f, given) => {
    eachRectangle(f, given, (matrix) => f.call(rectangle, { ...given, ...matrix }))
  })
  /** The same for few rows, of A or of B transposed (matmul-few.ts). `room` is 16 bytes. */
  const multiplyFew = module.function('multiplyFew', { ...shared, ...withScratch }, (f, given) => {
    const { bColumnStep, activation, resultOffset, scratch, cRowStep } = given
    eachRectangle(f, given, (matrix) => {
      f.if(
        i32.eq(bColumnStep, elementBytes),
        () => f.call(few.byRows, matrix),
        () => f.call(few.byColumns, matrix),
      )
      f.if(activation, () => {
        const { m, n, c } = matrix
        const target = i32.add(c, resultOffset)
        f.call(activate, { activation, source: c, target, rows: m, columns: n, rowStep: cRowStep, room: scratch })
      })
    })
  })
  return { multiply, multiplyFew }
}

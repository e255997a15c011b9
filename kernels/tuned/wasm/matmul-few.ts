/**
 * A matrix product of few rows, such as a vector times a matrix, where copying B into panels would take as long as the
 * product: B is read where it lies, once for all rows of A while it is in cache, and nothing beyond its elements.
 */
import type { FunctionBuilder, WasmModule } from './assembler.ts'
import { f32, f32x4, i32, type Local, type Value, v128 } from './instructions.ts'
import { matrixParameters } from './matmul-rectangle.ts'

const elementBytes = 4
const vectorBytes = 16

type Given = { readonly [K in keyof typeof matrixParameters]: Local<'i32'> }

/** Columns that are summed together. */
const widths = { rows: [32, 4, 1], columns: [8, 1] } as const

/** Calls `sum` for as many columns at a time as there are, and for each row of A with pointers to what they need. */
function eachColumns(f: FunctionBuilder, given: Given, widest: readonly number[], sum: (width: number) => void): void {
  const { m, n, a, b, bColumnStep, c, addend } = given
  const { aRowStep, cRowStep, addendRowStep } = given
  for (const width of widest) {
    const [firstA, firstC, firstAddend] = [a, c, addend].map(() => f.local('i32'))
    f.while(i32.ge_u(n, width), () => {
      f.set(firstA, a)
      f.set(firstC, c)
      f.set(firstAddend, addend)
      f.times(m, () => {
        sum(width)
        f.advance(a, aRowStep)
        f.advance(c, cRowStep)
        f.advance(addend, addendRowStep)
      })
      f.set(a, firstA)
      f.set(c, i32.add(firstC, elementBytes * width))
      f.set(addend, i32.add(firstAddend, elementBytes * width))
      f.advance(b, i32.mul(bColumnStep, width))
      f.advance(n, -width)
    })
  }
}

/** Rows of B are contiguous: each, times its element of A, is added to the sums. */
function defineByRows(module: WasmModule) {
  return module.function('fewByRows', matrixParameters, (f, given) => {
    const { k, a, aDepthStep, b, bDepthStep, c, accumulate, addend } = given
    const from = f.local('i32')
    const along = f.local('i32')
    const walk = (step: () => void) => {
      f.set(from, b)
      f.set(along, a)
      f.times(k, () => {
        step()
        f.advance(from, bDepthStep)
        f.advance(along, aDepthStep)
      })
    }
    const vectorSums = (count: number) => {
      const sums = Array.from({ length: count }, () => f.local('v128', f32x4.splat(0)))
      const element = f.local('v128')
      walk(() => {
        f.set(element, v128.load32_splat(along))
        for (const [v, sum] of sums.entries()) f.set(sum, f.madd(element, v128.load(from, vectorBytes * v), sum))
      })
      for (const [v, sum] of sums.entries()) {
        const at = vectorBytes * v
        f.if(accumulate, () => f.set(sum, f32x4.add(v128.load(addend, at), sum)))
        f.store(c, sum, at)
      }
    }
    const scalarSum = () => {
      const sum = f.local('f32', 0)
      walk(() => f.set(sum, f32.add(sum, f32.mul(f32.load(along), f32.load(from)))))
      f.if(accumulate, () => f.set(sum, f32.add(f32.load(addend), sum)))
      f.store(c, sum)
    }
    eachColumns(f, given, widths.rows, (width) => (width === 1 ? scalarSum() : vectorSums(width / 4)))
  })
}

/** Columns of B are contiguous, as are rows of A: sums of four parts each, of which the elements beyond a vector are one more. */
function defineByColumns(module: WasmModule) {
  return module.function('fewByColumns', matrixParameters, (f, given) => {
    const { k, a, b, bColumnStep, c, accumulate, addend } = given
    const total = (parts: readonly Value<'f32'>[]) =>
      f.local(
        'f32',
        parts.reduce((x, y) => f32.add(x, y)),
      )

    eachColumns(f, given, widths.columns, (width) => {
      const sums = Array.from({ length: width }, () => f.local('v128', f32x4.splat(0)))
      const rests = sums.map(() => f.local('f32', 0))
      const columns = sums.map(() => f.local('i32'))
      const along = f.local('i32', a)
      for (const [i, column] of columns.entries()) {
        f.set(column, i === 0 ? b : i32.add(columns[i - 1], bColumnStep))
      }
      const advance = (bytes: number) => {
        for (const pointer of [along, ...columns]) f.advance(pointer, bytes)
      }
      const elements = f.local('v128')
      f.times(i32.shr_u(k, 2), () => {
        f.set(elements, v128.load(along))
        for (const [i, sum] of sums.entries()) f.set(sum, f.madd(elements, v128.load(columns[i]), sum))
        advance(vectorBytes)
      })
      const element = f.local('f32')
      f.times(i32.and(k, 3), () => {
        f.set(element, f32.load(along))
        for (const [i, rest] of rests.entries()) {
          f.set(rest, f32.add(rest, f32.mul(element, f32.load(columns[i]))))
        }
        advance(elementBytes)
      })
      for (const [i, sum] of sums.entries()) {
        const lanes = [0, 1, 2, 3].map((lane) => f32x4.extract_lane(sum, lane))
        const whole = total([...lanes, rests[i]])
        const at = elementBytes * i
        f.if(accumulate, () => f.set(whole, f32.add(f32.load(addend, at), whole)))
        f.store(c, whole, at)
      }
    })
  })
}

export function defineFew(module: WasmModule) {
  return { byRows: defineByRows(module), byColumns: defineByColumns(module) }
}

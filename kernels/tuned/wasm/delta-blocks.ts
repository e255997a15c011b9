/**
 * Blocks of a state, between the memory [K, V] that an operation sees and the two layouts that the rule's steps walk:
 *
 *  - forward, a block of 8 columns with its rows one after the other, [K, 8]: a row is two vectors of values;
 *  - backward, the transpose [V, K]: a row is the vectors of all keys.
 */
import type { Callee, FunctionBuilder, Parameters, WasmModule } from './assembler.ts'
import { integers } from './assembler.ts'
import { f32, f32x4, i32, i32x4, type Local, type Operand, type Value, v128 } from './instructions.ts'
import { vectorBytes } from './vectors.ts'

type Integers = Parameters & Readonly<Record<string, 'i32'>>

/** The vectors a, b, c, d as rows of a 4 x 4 matrix; gives its columns. */
export function columnsOf(f: FunctionBuilder, rows: readonly Operand<'v128'>[]): Value<'v128'>[] {
  const [a, b, c, d] = rows
  const pair = (x: Operand<'v128'>, y: Operand<'v128'>, words: readonly [number, number, number, number]) =>
    f.local('v128', i32x4.shuffle(x, y, words))
  const [lowAB, highAB] = [pair(a, b, [0, 4, 1, 5]), pair(a, b, [2, 6, 3, 7])]
  const [lowCD, highCD] = [pair(c, d, [0, 4, 1, 5]), pair(c, d, [2, 6, 3, 7])]
  return [
    i32x4.shuffle(lowAB, lowCD, [0, 1, 4, 5]),
    i32x4.shuffle(lowAB, lowCD, [2, 3, 6, 7]),
    i32x4.shuffle(highAB, highCD, [0, 1, 4, 5]),
    i32x4.shuffle(highAB, highCD, [2, 3, 6, 7]),
  ]
}

/** The sum of each of four vectors, as one vector. */
export function sumsOf(f: FunctionBuilder, rows: readonly Operand<'v128'>[]): Value<'v128'> {
  const [a, b, c, d] = columnsOf(f, rows).map((column) => f.local('v128', column))
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

/** The sum of a vector's lanes. */
export function laneSum(vector: Local<'v128'>): Value<'f32'> {
  const [a, b, c, d] = [0, 1, 2, 3].map((lane) => f32x4.extract_lane(vector, lane))
  return f32.add(f32.add(a, b), f32.add(c, d))
}

const steps = integers('from', 'fromStep', 'to', 'toStep', 'rows', 'columns')

/** Copies `rows` rows of `columns` floats; steps are bytes from a row to the next, columns a multiple of 4. */
export function defineCopyRows(module: WasmModule): Callee<typeof steps> {
  return module.function('copyRows', steps, (f, { from, fromStep, to, toStep, rows, columns }) => {
    f.times(rows, () => {
      const [source, target] = [f.local('i32', from), f.local('i32', to)]
      f.times(i32.shr_u(columns, 2), () => {
        f.store(target, v128.load(source))
        f.advance(source, vectorBytes)
        f.advance(target, vectorBytes)
      })
      f.advance(from, fromStep)
      f.advance(to, toStep)
    })
  })
}

/** Writes the transpose of `rows` rows of `columns` floats, both multiples of 4. */
export function defineTranspose(module: WasmModule): Callee<typeof steps> {
  return module.function('transpose', steps, (f, { from, fromStep, to, toStep, rows, columns }) => {
    const four = (start: Operand<'i32'>, step: Operand<'i32'>): Local<'i32'>[] => {
      const pointers = [f.local('i32', start)]
      for (let i = 1; i < 4; i++) pointers.push(f.local('i32', i32.add(pointers[i - 1], step)))
      return pointers
    }
    f.times(i32.shr_u(rows, 2), () => {
      const sources = four(from, fromStep)
      const target = f.local('i32', to)
      f.times(i32.shr_u(columns, 2), () => {
        const rows = sources.map((source) => f.local('v128', v128.load(source)))
        const targets = four(target, toStep)
        columnsOf(f, rows).forEach((column, i) => {
          f.store(targets[i], column)
        })
        for (const source of sources) f.advance(source, vectorBytes)
        f.advance(target, i32.shl(toStep, 2))
      })
      f.advance(from, i32.shl(fromStep, 2))
      f.advance(to, vectorBytes)
    })
  })
}

const clearing = integers('at', 'step', 'rows', 'columns') satisfies Integers

/** Writes zeros to `rows` rows of `columns` floats, a multiple of 4 or 1. */
export function defineClearRows(module: WasmModule): Callee<typeof clearing> {
  return module.function('clearRows', clearing, (f, { at, step, rows, columns }) => {
    f.times(rows, () => {
      const cell = f.local('i32', at)
      f.times(columns, () => {
        f.store(cell, f32.const(0))
        f.advance(cell, 4)
      })
      f.advance(at, step)
    })
  })
}

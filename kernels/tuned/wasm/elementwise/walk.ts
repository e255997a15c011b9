/** The functions that walk the elements of a map, for each way in which its operands lie. */
import { type Callee, type Features, type FunctionBuilder, type Parameters, WasmModule } from '../assembler.ts'
import { f32x4, i32, type Local, type Value, type ValueType, v128 } from '../instructions.ts'
import type { Vector } from '../math.ts'
import { withRange } from '../task.ts'
import { vectorBytes } from '../vectors.ts'
import { costOf, defineProgramBody } from './emit.ts'
import type { Access } from './layout.ts'
import type { Program } from './program.ts'

const floatBytes = 4

const named = <T extends ValueType>(name: string, count: number, type: T): Record<string, T> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${name}${i}`, type]))

/** The parameters `name0`, `name1`, … in order. */
const listed = (name: string, count: number, locals: Readonly<Record<string, Local<ValueType>>>): Local<'i32'>[] =>
  Array.from({ length: count }, (_, i) => locals[`${name}${i}`] as Local<'i32'>)

/** Parameters of every walk: where inputs and outputs lie, and the constants. */
function parametersOf({ inputs, constants, outputs }: Program): Parameters {
  return {
    ...named('input', inputs, 'i32'),
    ...named('output', outputs.length, 'i32'),
    ...named('constant', constants, 'f32'),
  }
}

/** The program's body, with its constants and its single numbers in all lanes. */
function prepare(f: FunctionBuilder, program: Program, locals: Readonly<Record<string, Local<ValueType>>>) {
  const constants = Array.from({ length: program.constants }, (_, i) => {
    return f.local('v128', f32x4.splat(locals[`constant${i}`] as Value<'f32'>))
  })
  return defineProgramBody(f, program, constants)
}

/** Computes all outputs before it stores the first: an output may lie where an input lay. */
function storeAll(f: FunctionBuilder, values: readonly Vector[], store: (value: Local<'v128'>, index: number) => void) {
  values.map((value) => f.local('v128', value)).forEach(store)
}

/** Short programs are bound by the walk: several vectors a turn. */
const vectorsPerTurn = (program: Program): number => (costOf(program) <= 8 ? 4 : 1)

/** All operands contiguous or single: one walk over all elements, whose items are vectors. */
export function defineFlatWalk(features: Features, program: Program, accesses: readonly Access[]): Callee {
  const module = new WasmModule(features)
  const parameters = { ...parametersOf(program), ...withRange }
  return module.function('map', parameters as Parameters, (f, locals) => {
    const inputs = listed('input', program.inputs, locals)
    const outputs = listed('output', program.outputs.length, locals)
    const [from, to] = [locals.from, locals.to] as Local<'i32'>[]
    const body = prepare(f, program, locals)
    const singles = inputs.map((input, i) => accesses[i] === 'single' && f.local('v128', v128.load32_splat(input)))
    const walking = [...inputs.filter((_, i) => !singles[i]), ...outputs]
    for (const pointer of walking) f.advance(pointer, i32.mul(from, vectorBytes))

    const turn = (vectors: number) => {
      for (let k = 0; k < vectors; k++) {
        const values = body(inputs.map((input, i) => singles[i] || v128.load(input, k * vectorBytes)))
        storeAll(f, values, (value, i) => f.store(outputs[i], value, k * vectorBytes))
      }
      for (const pointer of walking) f.advance(pointer, vectors * vectorBytes)
    }
    const count = f.local('i32', i32.sub(to, from))
    const perTurn = vectorsPerTurn(program)
    if (perTurn > 1) f.times(i32.div_u(count, perTurn), () => turn(perTurn))
    f.times(perTurn > 1 ? i32.rem_u(count, perTurn) : count, () => turn(1))
  })
}

/**
 * Rows: an item is a piece of a row, `length` elements long, a multiple of 4, but for the last of each row. The last
 * elements of a piece that fill no vector are computed one by one, since the next row is another item's.
 *
 * Its parameters: `X` and `length` in elements, `pieces` of a row, `Y`, and for each operand that is neither contiguous nor
 * single its steps between rows along both axes in bytes.
 */
export function defineRowWalk(features: Features, program: Program, accesses: readonly Access[]): Callee {
  const module = new WasmModule(features)
  const stepping = accesses.flatMap((access, i) => (access === 'row' || access === 'perRow' ? [i] : []))
  const steps = Object.fromEntries(stepping.flatMap((i) => [`z${i}`, `y${i}`].map((name) => [name, 'i32' as const])))
  const sizes = { X: 'i32', length: 'i32', pieces: 'i32', Y: 'i32' } as const
  const parameters = { ...parametersOf(program), ...steps, ...sizes, ...withRange }
  return module.function('map', parameters as Parameters, (f, locals) => {
    const inputs = listed('input', program.inputs, locals)
    const outputs = listed('output', program.outputs.length, locals)
    const { X, length, pieces, Y, from, to } = locals as Record<string, Local<'i32'>>
    const body = prepare(f, program, locals)
    const singles = inputs.map((input, i) => accesses[i] === 'single' && f.local('v128', v128.load32_splat(input)))

    const row = f.local('i32', i32.div_u(from, pieces))
    const piece = f.local('i32', i32.rem_u(from, pieces))
    const z = f.local('i32', i32.div_u(row, Y))
    const y = f.local('i32', i32.rem_u(row, Y))
    const at = inputs.map(() => f.local('i32'))
    const target = outputs.map(() => f.local('i32'))
    const perRow = inputs.map(() => f.local('v128'))
    const first = f.local('i32')
    const left = f.local('i32')
    const offset = f.local('i32')
    const walking = [...at.filter((_, i) => accesses[i] === 'contiguous' || accesses[i] === 'row'), ...target]

    f.times(i32.sub(to, from), () => {
      f.set(first, i32.mul(piece, length))
      f.set(left, i32.sub(X, first))
      f.if(i32.gt_u(left, length), () => f.set(left, length))
      f.set(offset, i32.mul(i32.add(i32.mul(row, X), first), floatBytes))
      inputs.forEach((input, i) => {
        const access = accesses[i]
        if (access === 'contiguous') f.set(at[i], i32.add(input, offset))
        if (!stepping.includes(i)) return
        const [zStep, yStep] = [locals[`z${i}`], locals[`y${i}`]] as Local<'i32'>[]
        const start = i32.add(input, i32.add(i32.mul(z, zStep), i32.mul(y, yStep)))
        if (access === 'row') f.set(at[i], i32.add(start, i32.mul(first, floatBytes)))
        else f.set(perRow[i], v128.load32_splat(start))
      })
      outputs.forEach((output, i) => {
        f.set(target[i], i32.add(output, offset))
      })

      const given = (load: (pointer: Local<'i32'>) => Vector) =>
        body(inputs.map((_, i) => singles[i] || (accesses[i] === 'perRow' ? perRow[i] : load(at[i]))))
      f.times(i32.shr_u(left, 2), () => {
        storeAll(f, given(v128.load), (value, i) => f.store(target[i], value))
        for (const pointer of walking) f.advance(pointer, vectorBytes)
      })
      f.times(i32.and(left, 3), () => {
        storeAll(f, given(v128.load32_splat), (value, i) => f.store(target[i], f32x4.extract_lane(value, 0)))
        for (const pointer of walking) f.advance(pointer, floatBytes)
      })
      f.advance(piece, 1)
      f.if(i32.eq(piece, pieces), () => {
        f.set(piece, 0)
        f.advance(row, 1)
        f.advance(y, 1)
        f.if(i32.eq(y, Y), () => {
          f.set(y, 0)
          f.advance(z, 1)
        })
      })
    })
  })
}

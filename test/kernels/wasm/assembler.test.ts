import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { integers, WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { signed, unsigned } from '../../../kernels/tuned/wasm/encoding.ts'
import {
  f32,
  f32x4,
  i32,
  i32x4,
  select,
  tee,
  type Value,
  type ValueType,
  v128,
} from '../../../kernels/tuned/wasm/instructions.ts'
import { SluiceError } from '../../../src/errors.ts'

const newMemory = () => new WebAssembly.Memory({ initial: 1 })

/** The inverse of LEB128, as the specification defines it: seven bits a byte, lowest first. */
function decode(bytes: readonly number[], isSigned: boolean): number {
  let value = 0
  bytes.forEach((byte, group) => {
    value += (byte & 0x7f) * 2 ** (7 * group)
  })
  const negative = isSigned && (bytes.at(-1)! & 0x40) !== 0
  return negative ? value - 2 ** (7 * bytes.length) : value
}

describe('LEB128', () => {
  it('writes the edge values in the fewest bytes', () => {
    expect(unsigned(0)).toEqual([0])
    expect(unsigned(127)).toEqual([0x7f])
    expect(unsigned(128)).toEqual([0x80, 1])
    expect(unsigned(624485)).toEqual([0xe5, 0x8e, 0x26])
    expect(unsigned(2 ** 32 - 1)).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f])
    expect(signed(0)).toEqual([0])
    expect(signed(63)).toEqual([0x3f])
    expect(signed(64)).toEqual([0xc0, 0])
    expect(signed(-1)).toEqual([0x7f])
    expect(signed(-64)).toEqual([0x40])
    expect(signed(-65)).toEqual([0xbf, 0x7f])
    expect(signed(-123456)).toEqual([0xc0, 0xbb, 0x78])
    expect(signed(2 ** 31 - 1)).toEqual([0xff, 0xff, 0xff, 0xff, 0x07])
    expect(signed(-(2 ** 31))).toEqual([0x80, 0x80, 0x80, 0x80, 0x78])
  })

  it('decodes to the integer that was encoded, over the whole range', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat({ max: 2 ** 32 - 1 }), (i, n) => {
        expect(decode(signed(i), true)).toBe(i)
        expect(decode(unsigned(n), false)).toBe(n)
      }),
      { numRuns: 500 },
    )
  })

  it('refuses what does not fit 32 bits', () => {
    for (const value of [-1, 2 ** 32, 0.5, Number.NaN]) expect(() => unsigned(value)).toThrow(SluiceError)
    for (const value of [2 ** 31, -(2 ** 31) - 1, 1.5]) expect(() => signed(value)).toThrow('is not an integer from')
  })
})

/** The value as the machine computes it from the floats (and words) at the memory's start; up to 16 bytes of result. */
function evaluate(inputs: readonly number[], kind: 'float' | 'integer', value: Value<ValueType>): Uint32Array {
  const memory = newMemory()
  const view = kind === 'float' ? new Float32Array(memory.buffer) : new Int32Array(memory.buffer)
  view.set(inputs)
  const module = new WasmModule()
  const kernel = module.function('evaluate', {}, (f) => f.store(1024, value))
  module.instantiate(memory)(kernel)()
  return new Uint32Array(memory.buffer, 1024, 4).slice()
}

const asFloats = (words: Uint32Array) => [...new Float32Array(words.buffer)]
const asIntegers = (words: Uint32Array) => [...new Int32Array(words.buffer)]
const fround = Math.fround

const operands = fc.tuple(
  fc.array(fc.float(), { minLength: 4, maxLength: 4 }),
  fc.array(fc.float(), { minLength: 4, maxLength: 4 }),
)

/** Ties to even, as IEEE 754 and the specification have it. */
function nearest(x: number): number {
  const floor = Math.floor(x)
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 23 || floor === x) return x
  const up = x - floor > 0.5 || (x - floor === 0.5 && floor % 2 !== 0)
  return up ? Math.ceil(x) || (x < 0 ? -0 : 0) : floor || (x < 0 ? -0 : 0)
}

describe('instructions', () => {
  const [a, b] = [v128.load(0), v128.load(16)]
  const [x, y] = [f32.load(0), f32.load(16)]

  it('compute in float32, four lanes as one', () => {
    const binary = {
      add: (p: number, q: number) => p + q,
      sub: (p: number, q: number) => p - q,
      mul: (p: number, q: number) => p * q,
      div: (p: number, q: number) => p / q,
      min: Math.min,
      max: Math.max,
    } as const
    const unary = { abs: Math.abs, neg: (p: number) => -p, sqrt: Math.sqrt, floor: Math.floor, nearest } as const
    fc.assert(
      fc.property(operands, ([p, q]) => {
        for (const [name, rule] of Object.entries(binary) as [
          keyof typeof binary,
          (p: number, q: number) => number,
        ][]) {
          const expected = p.map((value, lane) => fround(rule(value, q[lane]!)))
          expect(asFloats(evaluate([...p, ...q], 'float', f32x4[name](a, b)))).toEqual(expected)
          expect(asFloats(evaluate([...p, ...q], 'float', f32[name](x, y)))[0]).toBe(expected[0])
        }
        for (const [name, rule] of Object.entries(unary) as [keyof typeof unary, (p: number) => number][]) {
          const expected = p.map((value) => fround(rule(value)))
          expect(asFloats(evaluate([...p, ...q], 'float', f32x4[name](a)))).toEqual(expected)
          expect(asFloats(evaluate([...p, ...q], 'float', f32[name](x)))[0]).toBe(expected[0])
        }
        const second = (yes: boolean, lane: number) => (yes ? q[lane]! : p[lane]!)
        const lesser = p.map((value, lane) => second(q[lane]! < value, lane))
        expect(asFloats(evaluate([...p, ...q], 'float', f32x4.pmin(a, b)))).toEqual(lesser)
        const greater = p.map((value, lane) => second(value < q[lane]!, lane))
        expect(asFloats(evaluate([...p, ...q], 'float', f32x4.pmax(a, b)))).toEqual(greater)
      }),
      { numRuns: 200 },
    )
  })

  it('compare floats: 0 or 1 for scalars, no or all bits for lanes', () => {
    const rules = {
      eq: (p: number, q: number) => p === q,
      ne: (p: number, q: number) => p !== q,
      lt: (p: number, q: number) => p < q,
      gt: (p: number, q: number) => p > q,
      le: (p: number, q: number) => p <= q,
      ge: (p: number, q: number) => p >= q,
    } as const
    const p = [1, 2, Number.NaN, 0]
    const q = [2, 2, 1, -0]
    for (const [name, rule] of Object.entries(rules) as [keyof typeof rules, (p: number, q: number) => boolean][]) {
      const expected = p.map((value, lane) => rule(value, q[lane]!))
      expect(asIntegers(evaluate([...p, ...q], 'float', f32x4[name](a, b)))).toEqual(
        expected.map((yes) => (yes ? -1 : 0)),
      )
      for (const lane of [0, 1, 2, 3]) {
        const scalar = f32[name](f32.load(4 * lane), f32.load(16, 4 * lane))
        expect(asIntegers(evaluate([...p, ...q], 'float', scalar))[0]).toBe(expected[lane] ? 1 : 0)
      }
    }
  })

  it('compute on 32-bit integers, signed and unsigned', () => {
    const rules = {
      add: (p: number, q: number) => p + q,
      sub: (p: number, q: number) => p - q,
      mul: Math.imul,
      div_u: (p: number, q: number) => Math.floor((p >>> 0) / (q >>> 0)),
      rem_u: (p: number, q: number) => (p >>> 0) % (q >>> 0),
      and: (p: number, q: number) => p & q,
      or: (p: number, q: number) => p | q,
      xor: (p: number, q: number) => p ^ q,
      shl: (p: number, q: number) => p << q,
      shr_s: (p: number, q: number) => p >> q,
      shr_u: (p: number, q: number) => p >>> q,
      eq: (p: number, q: number) => Number(p === q),
      ne: (p: number, q: number) => Number(p !== q),
      lt_s: (p: number, q: number) => Number(p < q),
      gt_s: (p: number, q: number) => Number(p > q),
      le_s: (p: number, q: number) => Number(p <= q),
      ge_s: (p: number, q: number) => Number(p >= q),
      lt_u: (p: number, q: number) => Number(p >>> 0 < q >>> 0),
      gt_u: (p: number, q: number) => Number(p >>> 0 > q >>> 0),
      le_u: (p: number, q: number) => Number(p >>> 0 <= q >>> 0),
      ge_u: (p: number, q: number) => Number(p >>> 0 >= q >>> 0),
    } as const
    const integer = fc.oneof(fc.integer(), fc.integer({ min: -3, max: 3 }))
    fc.assert(
      fc.property(integer, integer, (p, q) => {
        for (const [name, rule] of Object.entries(rules) as [keyof typeof rules, (p: number, q: number) => number][]) {
          if (q === 0 && (name === 'div_u' || name === 'rem_u')) continue // The machine traps.
          expect(asIntegers(evaluate([p, q], 'integer', i32[name](i32.load(0), i32.load(4))))[0]).toBe(rule(p, q) | 0)
        }
        expect(asIntegers(evaluate([p], 'integer', i32.eqz(i32.load(0))))[0]).toBe(p === 0 ? 1 : 0)
        expect(asIntegers(evaluate([], 'integer', select(p, i32.const(1), i32.const(2))))[0]).toBe(p === 0 ? 2 : 1)
      }),
      { numRuns: 200 },
    )
  })

  it('compute on integer lanes', () => {
    const p = [1, -2, 2 ** 31 - 1, 1000]
    const q = [5, 7, 1, -1000]
    const lanes = (value: Value<'v128'>) => asIntegers(evaluate([...p, ...q], 'integer', value))
    expect(lanes(i32x4.add(a, b))).toEqual([6, 5, -(2 ** 31), 0])
    expect(lanes(i32x4.sub(a, b))).toEqual([-4, -9, 2 ** 31 - 2, 2000])
    expect(lanes(i32x4.mul(a, b))).toEqual([5, -14, 2 ** 31 - 1, -1000000])
    expect(lanes(i32x4.shl(a, 3))).toEqual(p.map((value) => value << 3))
    expect(lanes(i32x4.shr_s(a, 1))).toEqual(p.map((value) => value >> 1))
    expect(lanes(i32x4.shr_u(a, 1))).toEqual(p.map((value) => (value >>> 1) | 0))
    expect(lanes(i32x4.splat(-9))).toEqual([-9, -9, -9, -9])
    expect(lanes(i32x4.shuffle(a, b, [7, 0, 5, 2]))).toEqual([q[3], p[0], q[1], p[2]])
    expect(lanes(v128.and(a, b))).toEqual(p.map((value, lane) => value & q[lane]!))
    expect(lanes(v128.or(a, b))).toEqual(p.map((value, lane) => value | q[lane]!))
    expect(lanes(v128.xor(a, b))).toEqual(p.map((value, lane) => value ^ q[lane]!))
    expect(lanes(v128.andnot(a, b))).toEqual(p.map((value, lane) => value & ~q[lane]!))
    expect(lanes(v128.not(a))).toEqual(p.map((value) => ~value))
    expect(lanes(v128.bitselect(a, b, i32x4.splat(0xff)))).toEqual(
      p.map((value, lane) => (value & 0xff) | (q[lane]! & ~0xff)),
    )
  })

  it('convert, splat and extract', () => {
    const p = [1.75, -2.5, 3e9, Number.NaN]
    expect(asIntegers(evaluate(p, 'float', i32x4.trunc_sat_f32x4_s(a)))).toEqual([1, -2, 2 ** 31 - 1, 0])
    expect(asFloats(evaluate([3, -4, 5, 6], 'integer', f32x4.convert_i32x4_s(a)))).toEqual([3, -4, 5, 6])
    expect(asFloats(evaluate([-7], 'integer', f32.convert_i32_s(i32.load(0))))[0]).toBe(-7)
    expect(asFloats(evaluate([], 'float', f32x4.splat(0.1)))).toEqual(new Array(4).fill(fround(0.1)))
    expect(asFloats(evaluate(p, 'float', v128.load32_splat(0, 4)))).toEqual(new Array(4).fill(-2.5))
    expect(asFloats(evaluate(p, 'float', f32x4.extract_lane(a, 1)))[0]).toBe(-2.5)
    expect(asFloats(evaluate([], 'float', f32.const(Number.NEGATIVE_INFINITY)))[0]).toBe(Number.NEGATIVE_INFINITY)
  })
})

describe('modules', () => {
  it('runs a kernel with vectors, a scalar rest, and a call', () => {
    const memory = newMemory()
    const module = new WasmModule()
    const scale = module.function('scale', { x: 'i32', factor: 'f32' }, (f, { x, factor }) => {
      f.store(x, f32.mul(f32.load(x), factor))
    })
    const scaleAll = module.function(
      'scaleAll',
      { x: 'i32', count: 'i32', factor: 'f32' },
      (f, { x, count, factor }) => {
        const factors = f.local('v128', f32x4.splat(factor))
        f.while(i32.ge_u(count, 4), () => {
          f.store(x, f32x4.mul(v128.load(x), factors))
          f.advance(x, 16)
          f.advance(count, -4)
        })
        f.times(count, () => {
          f.call(scale, { factor, x })
          f.advance(x, 4)
        })
      },
    )
    const values = new Float32Array(memory.buffer)
    fc.assert(
      fc.property(fc.nat({ max: 40 }), fc.nat({ max: 9 }), fc.float({ noNaN: true }), (count, start, factor) => {
        for (let i = 0; i < 64; i++) values[i] = i - 20
        module.instantiate(memory)(scaleAll)(4 * start, count, factor)
        const expected = Array.from({ length: 64 }, (_, i) => {
          return i >= start && i < start + count ? fround((i - 20) * factor) : i - 20
        })
        expect([...values.subarray(0, 64)]).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })

  it('has loops that test before, loops that test after, branches, and locals that keep a value', () => {
    const memory = newMemory()
    const module = new WasmModule()
    const kernel = module.function('kernel', integers('n', 'out'), (f, { n, out }) => {
      const original = f.local('i32', n)
      const sum = f.local('i32')
      f.loop(() => f.advance(sum, n), tee(n, i32.sub(n, 1)))
      f.store(out, sum)
      f.while(i32.lt_s(sum, 0), () => f.set(sum, 0))
      f.store(out, original, 4)
      f.if(i32.eq(original, 4), () => f.store(out, i32.const(40), 8))
      f.if(
        i32.eq(original, 5),
        () => f.store(out, i32.const(50), 12),
        () => f.store(out, i32.const(51), 12),
      )
      f.times(0, () => f.store(out, i32.const(99), 16))
    })
    module.instantiate(memory)(kernel)(4, 0)
    expect([...new Int32Array(memory.buffer, 0, 5)]).toEqual([10, 4, 40, 51, 0])
  })

  it('is a valid module that imports one memory without a maximum and exports its functions', () => {
    const module = new WasmModule()
    for (let i = 0; i < 200; i++) module.function(`kernel${i}`, integers('x'), (f, { x }) => f.store(x, i32.const(i)))
    const compiled = new WebAssembly.Module(module.bytes())
    expect(WebAssembly.Module.imports(compiled)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }])
    expect(WebAssembly.Module.exports(compiled).map(({ name }) => name)).toEqual(
      Array.from({ length: 200 }, (_, i) => `kernel${i}`),
    )
    const withMaximum = new WebAssembly.Memory({ initial: 1, maximum: 2 })
    for (const memory of [newMemory(), withMaximum]) new WebAssembly.Instance(compiled, { env: { memory } })
  })

  it('names what is wrong where it is written', () => {
    const module = new WasmModule()
    const pair = module.function('pair', { x: 'i32', scale: 'f32' }, () => {})
    let stray: Value<'i32'> = i32.const(0)
    const stated = (state: Parameters<typeof module.function>[2]) => () => new WasmModule().function('bad', {}, state)
    const untyped = <T>(value: unknown) => value as T

    expect(() => f32.add(1, untyped(i32.const(2)))).toThrow(
      'wasm: f32.add: expected a value of type f32, got a value of type i32',
    )
    expect(() => f32x4.add(untyped(1), v128.load(0))).toThrow('f32x4.add: expected a value of type v128, got 1')
    expect(() => untyped<(a: Value<'i32'>) => unknown>(i32.add)(i32.const(1))).toThrow(
      'i32.add: expected 2 operands, got 1',
    )
    expect(() => i32.const(2 ** 31)).toThrow('2147483648 is not an integer from -2147483648 to 2147483647')
    expect(() => v128.load(0, -4)).toThrow('-4 is not an integer from 0')
    expect(() => f32x4.extract_lane(v128.load(0), 4)).toThrow('lane 4 is not one of 0 to 3')
    expect(() => i32x4.shuffle(v128.load(0), v128.load(0), [0, 1, 2, 8])).toThrow('lane 8 is not one of 0 to 7')
    expect(() => module.function('pair', {}, () => {})).toThrow('the module already has a function pair')
    expect(stated((f) => f.call(pair, { x: 0, scale: 1 }))).toThrow(
      'bad calls pair, which is a function of another module',
    )
    expect(() => module.function('missing', {}, (f) => f.call(pair, untyped({ x: 0 })))).toThrow(
      'pair(scale): expected a value of type f32, got undefined',
    )
    expect(
      stated((f) => {
        stray = f.local('i32')
      }),
    ).not.toThrow()
    expect(stated((f) => f.store(0, stray))).toThrow('bad uses a local of another function')
    expect(stated((f) => f.set(f.local('i32'), i32.add(f.local('i32'), stray)))).toThrow(
      'an expression mixes the locals of two functions',
    )
    expect(() => f32.mul(1, untyped('2'))).toThrow(SluiceError)
  })
})

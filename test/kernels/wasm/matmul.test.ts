import v8 from 'node:v8'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Activation, linearActivations } from '../../../kernels/fused-linear.ts'
import { type Callee, type Features, WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { f32x4, v128 } from '../../../kernels/tuned/wasm/instructions.ts'
import { productTask } from '../../../kernels/tuned/wasm/matmul.ts'
import { definePack } from '../../../kernels/tuned/wasm/matmul-pack.ts'
import { defineProduct, type ProductFunctions, productFunctions } from '../../../kernels/tuned/wasm/product.ts'

const major = Number(process.versions.node.split('.')[0])
if (major < 22) v8.setFlagsFromString('--experimental-wasm-relaxed-simd')
// Node 20 and 22 do not widen; the tiles made for it must be right there too.
if (major >= 24) v8.setFlagsFromString('--experimental-wasm-revectorize')

function hasRelaxed(): boolean {
  const module = new WasmModule({ relaxed: true })
  module.function('probe', { x: 'i32' }, (f, { x }) => {
    f.store(x, f.madd(v128.load(x), v128.load(x), f32x4.splat(0)))
  })
  return WebAssembly.validate(module.bytes())
}

/** Plain SIMD, and what the machine has beyond. */
const variants: readonly Features[] = [
  { relaxed: false },
  ...(hasRelaxed()
    ? [
        { relaxed: true, wide: false },
        { relaxed: true, wide: true },
      ]
    : []),
]

/** rows: row-major; columns: a transposed view; spread: both strides over 1; the others repeat one row or column. */
const layouts = ['rows', 'columns', 'spread', 'repeatRow', 'repeatColumn'] as const

interface Layout {
  readonly kind: (typeof layouts)[number]
  readonly padding: number
}

interface Case {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batch: number
  readonly a: Layout
  readonly b: Layout
  /** Operands that all matrices of the batch share. */
  readonly shares: 'a' | 'b' | 'none'
  /** What the sums are added to: a matrix of C's size, C itself, one row for all. */
  readonly addend: 'none' | 'matrix' | 'itself' | 'row'
  readonly seed: number
  /** Which operand ends with the memory's last byte, where reading too far traps. */
  readonly last: 'a' | 'b'
  readonly features: Features
  /** Where the items are cut into calls, as fractions of their number. */
  readonly cuts: readonly number[]
}

/** Which cells of an operand to overwrite, as fractions of its extent, and with what. */
interface Special {
  readonly operand: 'a' | 'b'
  readonly at: number
  readonly value: number
}

interface Strides {
  readonly rowStride: number
  readonly columnStride: number
}

function stridesOf({ kind, padding }: Layout, rows: number, columns: number): Strides {
  if (kind === 'rows') return { rowStride: columns + padding, columnStride: 1 }
  if (kind === 'columns') return { rowStride: 1, columnStride: rows + padding }
  if (kind === 'spread') return { rowStride: 2 * columns + padding, columnStride: 2 }
  return kind === 'repeatRow' ? { rowStride: 0, columnStride: 1 } : { rowStride: 1, columnStride: 0 }
}

/** Floats from the first cell to the last, both included. */
function extent(rows: number, columns: number, { rowStride, columnStride }: Strides): number {
  return rows === 0 || columns === 0 ? 0 : (rows - 1) * rowStride + (columns - 1) * columnStride + 1
}

/** Multiples of 2^-31 in [-1, 1] times 2^-4 to 2^3, so that sums cancel and rounding shows; the seed repeats them. */
function fillWithValues(target: Float32Array, seed: number): void {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  for (let i = 0; i < target.length; i++) target[i] = (2 * uniform() - 1) * 2 ** Math.floor(8 * uniform() - 4)
}

const instances = new WeakMap<WasmModule, WebAssembly.Module>()

/** Compiled once; instantiated for every memory. */
function bind(module: WasmModule, memory: WebAssembly.Memory): (callee: Callee) => (...values: number[]) => void {
  let compiled = instances.get(module)
  if (!compiled) instances.set(module, (compiled = new WebAssembly.Module(module.bytes())))
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } })
  return ({ name }) => exports[name] as (...values: number[]) => void
}

const addendCount = ({ addend, batch, m, n }: Case) => (addend === 'matrix' ? batch * m * n : addend === 'row' ? n : 0)

/**
 * Runs one product in a memory of its own, laid out as [guard, scratch, guard, C, guard, the addend, the two operands], in
 * one call and in several, and checks every byte after it: C against a float64 sum, everything but C and the scratch asked
 * for against what was there. Guards and scratch start as NaN, so that a padding lane that leaks into C shows.
 *
 * The bound. With u = 2^-24 each product is x y (1 + e), |e| <= u, and each addition (of products, of the sums of depth
 * blocks, of the addend, in whatever order) puts one more such factor on what it adds: a term passes the product's and at
 * most k more. So |computed - exact| <= g(k + 1) (sum |a| |b| + |addend|) with g(q) = q u / (1 - q u) (N. Higham, "Accuracy
 * and Stability of Numerical Algorithms", lemma 3.1). The float64 sum that stands for the exact one errs by less than
 * 2^-28 of that, which q = k + 2 covers. A value is 0 or at least 2^-36, so no product underflows.
 */
function check(
  item: Case,
  specials: readonly Special[] = [],
  functions: ProductFunctions = productFunctions(item.features),
): void {
  const { m, n, k, batch, shares, seed, addend } = item
  const aStrides = stridesOf(item.a, m, k)
  const bStrides = stridesOf(item.b, k, n)
  const aMatrix = extent(m, k, aStrides)
  const bMatrix = extent(k, n, bStrides)
  const aBatch = shares === 'a' ? 0 : aMatrix
  const bBatch = shares === 'b' ? 0 : bMatrix
  const aCount = shares === 'a' ? aMatrix : batch * aMatrix
  const bCount = shares === 'b' ? bMatrix : batch * bMatrix
  const cCount = batch * m * n
  const plusCount = addendCount(item)
  const guard = 16
  const scratchRoom = 512 + 256 * (Math.min(m, 256) + Math.min(n, 1024) + 64)
  const floatsNeeded = 4 * guard + scratchRoom + aCount + bCount + cCount + plusCount
  const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * floatsNeeded) / 65536) })
  const floats = new Float32Array(memory.buffer)

  // Positions in floats.
  const scratchStart = guard
  const lastStart = floats.length - (item.last === 'a' ? aCount : bCount)
  const firstStart = lastStart - (item.last === 'a' ? bCount : aCount)
  const [aStart, bStart] = item.last === 'a' ? [lastStart, firstStart] : [firstStart, lastStart]
  const plusStart = firstStart - plusCount
  const cStart = plusStart - guard - cCount

  floats.fill(Number.NaN)
  fillWithValues(floats.subarray(aStart, aStart + aCount), seed)
  fillWithValues(floats.subarray(bStart, bStart + bCount), seed + 1)
  fillWithValues(floats.subarray(plusStart, plusStart + plusCount), seed + 2)
  if (addend === 'itself') fillWithValues(floats.subarray(cStart, cStart + cCount), seed + 3)
  for (const { operand, at, value } of specials) {
    const [start, count] = operand === 'a' ? [aStart, aCount] : [bStart, bCount]
    if (count > 0) floats[start + Math.floor(at * count)] = value
  }
  const before = floats.slice()

  const sums = { dtype: 'float32' as const, offset: 4 * cStart, length: cCount }
  const place = { dtype: 'float32' as const, offset: 4 * plusStart, length: plusCount }
  const task = productTask(functions, {
    ...{ batch, m, n, k, sums },
    a: { offset: 4 * aStart, batch: aBatch, across: aStrides.rowStride, depth: aStrides.columnStride },
    b: { offset: 4 * bStart, batch: bBatch, across: bStrides.columnStride, depth: bStrides.rowStride },
    ...(addend === 'none' ? {} : { addend: { place: addend === 'itself' ? sums : place, isRow: addend === 'row' } }),
  })
  expect(task.scratch).toBeLessThanOrEqual(4 * scratchRoom)
  const run = bind(functions.module, memory)(task.callee)
  const runParts = (cuts: readonly number[]) => {
    const ends = [...cuts.map((cut) => Math.floor(cut * task.items)).sort((x, y) => x - y), task.items]
    for (const [i, end] of ends.entries()) {
      run(...(task.given as number[]), 4 * scratchStart, i === 0 ? 0 : ends[i - 1], end)
    }
  }
  runParts(item.cuts)

  const bits = new Uint32Array(floats.buffer)
  const inParts = bits.slice(cStart, cStart + cCount)
  floats.set(before.subarray(cStart, cStart + cCount), cStart)
  runParts([])
  const differs = inParts.findIndex((word, cell) => word !== bits[cStart + cell])
  if (differs >= 0) throw new Error(`cell ${differs} is not the same in parts cut at ${item.cuts}`)

  const bitsBefore = new Uint32Array(before.buffer)
  for (let index = 0; index < bits.length; index++) {
    const inScratch = index >= scratchStart && index < scratchStart + task.scratch / 4
    if (bits[index] === bitsBefore[index] || inScratch || (index >= cStart && index < cStart + cCount)) continue
    throw new Error(`float ${index} was written; C starts at ${cStart}, the scratch at ${scratchStart}`)
  }

  const q = (k + 2) * 2 ** -24
  for (let cell = 0; cell < cCount; cell++) {
    const [z, i, j] = [Math.floor(cell / (m * n)), Math.floor(cell / n) % m, cell % n]
    const added = {
      none: 0,
      matrix: before[plusStart + cell]!,
      itself: before[cStart + cell]!,
      row: before[plusStart + j]!,
    }
    let sum = added[addend]
    let magnitude = Math.abs(sum)
    for (let d = 0; d < k; d++) {
      const x = before[aStart + z * aBatch + i * aStrides.rowStride + d * aStrides.columnStride]!
      const product = x * before[bStart + z * bBatch + d * bStrides.rowStride + j * bStrides.columnStride]!
      sum += product
      magnitude += Math.abs(product)
    }
    const got = floats[cStart + cell]!
    const bound = (q / (1 - q)) * magnitude
    const agrees = Number.isFinite(sum) ? Math.abs(got - sum) <= bound : Object.is(got, sum)
    if (!agrees) throw new Error(`C[${z}, ${i}, ${j}] is ${got}, expected ${sum} within ${bound}`)
  }
}

const layout = fc.record({ kind: fc.constantFrom(...layouts), padding: fc.integer({ min: 0, max: 5 }) })
const size = fc.integer({ min: 0, max: 40 })

const anyCase: fc.Arbitrary<Case> = fc.record({
  // Few rows or columns are multiplied in another way.
  m: fc.oneof(fc.integer({ min: 0, max: 5 }), size),
  n: fc.oneof(fc.integer({ min: 0, max: 2 }), size),
  k: size,
  batch: fc.integer({ min: 1, max: 3 }),
  a: layout,
  b: layout,
  shares: fc.constantFrom('a', 'b', 'none'),
  addend: fc.constantFrom('none', 'matrix', 'itself', 'row'),
  seed: fc.nat(),
  last: fc.constantFrom('a', 'b'),
  features: fc.constantFrom(...variants),
  cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
})

const special: fc.Arbitrary<Special> = fc.record({
  operand: fc.constantFrom('a', 'b'),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  value: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0),
})

describe('packing', () => {
  it('interleaves lines into panels and fills the last panel with zeros, from any strides', () => {
    const memory = new WebAssembly.Memory({ initial: 4 })
    const floats = new Float32Array(memory.buffer)
    const packs = [1, 2, 3, 4, 5, 6, 7, 8, 12].map((width) => {
      const module = new WasmModule()
      const kernel = definePack(module, 'pack', width)
      return { width, pack: module.instantiate(memory)(kernel) }
    })
    fc.assert(
      fc.property(fc.constantFrom(...packs), size, size, layout, ({ width, pack }, lanes, depth, lying) => {
        const { rowStride, columnStride } = stridesOf(lying, lanes, depth)
        const [source, target] = [8, 16384]
        for (let i = 0; i < target; i++) floats[i] = i
        floats.fill(Number.NaN, target)
        pack(4 * source, 4 * rowStride, 4 * columnStride, lanes, depth, 4 * target)

        const panels = Math.ceil(lanes / width)
        const expected = Array.from({ length: panels * depth * width + 1 }, (_, index) => {
          const [panel, inPanel] = [Math.floor(index / (depth * width)), index % (depth * width)]
          const [d, lane] = [Math.floor(inPanel / width), panel * width + (inPanel % width)]
          if (index === panels * depth * width) return Number.NaN
          return lane < lanes ? source + lane * rowStride + d * columnStride : 0
        })
        expect([...floats.subarray(target, target + expected.length)]).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })
})

describe('matmul in WebAssembly', () => {
  it('agrees with a float64 sum and leaves everything around C alone, for all sizes and strides', () => {
    fc.assert(
      fc.property(anyCase, (item) => check(item)),
      { numRuns: 1000 },
    )
  })

  it('takes NaN, infinities and zeros to the cells that they belong to, and to no others', () => {
    fc.assert(
      fc.property(anyCase, fc.array(special, { minLength: 1, maxLength: 4 }), (item, specials) =>
        check(item, specials),
      ),
      { numRuns: 400 },
    )
  })

  it('gives the same product with tiles of other shapes', () => {
    const tile = fc.record({ rows: fc.integer({ min: 1, max: 8 }), vectors: fc.integer({ min: 1, max: 4 }) })
    fc.assert(
      fc.property(anyCase, tile, (item, shape) => check(item, [], defineProduct(item.features, shape))),
      { numRuns: 200 },
    )
  })

  const simple = { batch: 1, shares: 'none', cuts: [0.3, 0.6] } as const

  // The blocks are 256 deep, about 160 rows and 512 columns; operands are packed from 33, 65 or 257 on.
  const crossings = [
    [32, 64, 255],
    [33, 65, 256],
    [64, 72, 257],
    [66, 61, 513],
    [159, 8, 257],
    [161, 70, 300],
    [5, 511, 257],
    [7, 513, 258],
    [66, 1033, 12],
    [321, 67, 16],
    [1, 70, 513],
    [4, 33, 514],
    [70, 1, 515],
  ] as const
  const plainLayouts = ['rows', 'columns'] as const
  const flags = plainLayouts.flatMap((a) => plainLayouts.flatMap((b) => [false, true].map((add) => ({ a, b, add }))))
  for (const [m, n, k] of crossings) {
    it(`crosses the block boundaries at ${m} x ${n} x ${k}`, () => {
      for (const { a, b, add } of flags) {
        const padded = { a: { kind: a, padding: 3 }, b: { kind: b, padding: 1 } }
        const adds = add ? ({ last: 'a', addend: 'itself' } as const) : ({ last: 'b', addend: 'row' } as const)
        const rest = { seed: m + n + k, ...adds }
        const features = variants[(a === 'rows' ? 1 : 2) % variants.length]
        check({ ...simple, m, n, k, ...padded, ...rest, features })
        check({ ...simple, m, n, k, ...padded, ...rest, addend: add ? 'matrix' : 'none', features: variants[0] })
      }
    })
  }

  it('takes strides that are neither 1 nor 0 in packed blocks too', () => {
    const spread = { kind: 'spread', padding: 1 } as const
    for (const features of variants) {
      const item = { ...simple, m: 70, n: 75, k: 20, a: spread, b: spread, seed: 1, features } as const
      check({ ...item, addend: 'matrix', last: 'b' })
    }
  })

  it('merges a batch that shares B, and divides a large one by matrices', () => {
    const rows = { kind: 'rows', padding: 0 } as const
    for (const features of variants) {
      for (const [batch, shares] of [[40, 'none'] as const, [3, 'b'] as const, [33, 'a'] as const]) {
        const item = { ...simple, m: 9, n: 10, k: 6, batch, shares, a: rows, b: rows, seed: batch, features } as const
        check({ ...item, addend: 'matrix', last: 'a' })
      }
    }
  })

  it('traps, and does not wrap around, when a view leaves the memory', () => {
    const memory = new WebAssembly.Memory({ initial: 1 })
    const functions = productFunctions(variants[0])
    const view = (offset: number) => ({ offset, batch: 0, across: 8, depth: 1 })
    const sums = { dtype: 'float32' as const, offset: 8192, length: 64 }
    const task = productTask(functions, { batch: 1, m: 8, n: 8, k: 8, a: view(65536 - 64), b: view(4096), sums })
    const run = bind(functions.module, memory)(task.callee)
    expect(() => run(...(task.given as number[]), 16384, 0, task.items)).toThrow(WebAssembly.RuntimeError)
  })
})

describe('the activation at the end of a product', () => {
  const sigmoid = (x: number) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)))
  const inner = (x: number) => 1.5957691216057308 * (x + 0.044715 * x * x * x)
  const exact: Readonly<Record<Activation, (x: number) => number>> = {
    identity: (x) => x,
    relu: (x) => (x <= 0 ? 0 : x),
    sigmoid,
    silu: (x) => x * sigmoid(x),
    gelu: (x) => x * sigmoid(inner(x)),
  }
  /** Errors in units of 2^-24 of the result: see kernels/tuned/wasm/matmul-activation.ts. */
  const units: Readonly<Record<Activation, (x: number) => number>> = {
    identity: () => 0,
    relu: () => 0,
    sigmoid: () => 6,
    silu: () => 7,
    gelu: (x) => 7 + 5 * Math.abs(inner(x)),
  }

  const memory = new WebAssembly.Memory({ initial: 1 })
  const floats = new Float32Array(memory.buffer)
  const bound = variants.map((features) => bind(productFunctions(features).module, memory))

  /** act(0 + values): the sums are the addend, known to the last bit. */
  function activated(
    values: ArrayLike<number>,
    m: number,
    n: number,
    activation: Activation,
    saves: boolean,
    features: Features,
  ) {
    const functions = productFunctions(features)
    const [a, b, sums, out, scratch] = [1024, 2048, 4096, 8192, 12288]
    floats.fill(Number.NaN)
    floats.fill(0, a, a + m)
    floats.fill(0, b, b + n)
    floats.set(values, sums)
    const place = { dtype: 'float32' as const, offset: 4 * sums, length: m * n }
    const task = productTask(functions, {
      ...{ batch: 1, m, n, k: 1, activation, sums: place, addend: { place, isRow: false } },
      a: { offset: 4 * a, batch: 0, across: 1, depth: 1 },
      b: { offset: 4 * b, batch: 0, across: 1, depth: n },
      ...(saves ? { out: { dtype: 'float32' as const, offset: 4 * out, length: m * n } } : {}),
    })
    bound[variants.indexOf(features)](task.callee)(...(task.given as number[]), 4 * scratch, 0, task.items)
    const end = floats[(saves ? out : sums) + m * n]
    expect(end).toBeNaN()
    if (saves) expect([...floats.subarray(sums, sums + m * n)]).toEqual([...Float32Array.from(values, (x) => x + 0)])
    return floats.slice(saves ? out : sums, (saves ? out : sums) + m * n)
  }

  const value = fc.oneof(
    fc.float({ noNaN: true, min: -100, max: 100 }),
    fc.float({ noNaN: true, min: -2, max: 2 }),
    fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, 1e30, -1e30),
  )
  const short = fc.integer({ min: 1, max: 20 })

  for (const activation of linearActivations) {
    it(`is ${activation}, with NaN and infinities as the plain kernel has them, and may keep what it was applied to`, () => {
      const drawn = [fc.array(value, { minLength: 1, maxLength: 200 }), short, fc.boolean()] as const
      fc.assert(
        fc.property(...drawn, fc.constantFrom(...variants), (cells, n, saves, features) => {
          const m = Math.ceil(cells.length / n)
          const values = Float32Array.from({ length: m * n }, (_, i) => cells[i] ?? 0)
          const got = activated(values, m, n, activation, saves && activation !== 'identity', features)
          for (let i = 0; i < values.length; i++) {
            const expected = exact[activation](values[i])
            // Below the normal numbers a unit is 2^-149; sigmoid may be 3 off there, and silu and gelu multiply that.
            const tiny = 4 * (1 + Math.abs(values[i])) * 2 ** -149
            const bound = units[activation](values[i]) * 2 ** -24 * Math.abs(expected) + tiny
            const agrees = Number.isFinite(expected)
              ? Math.abs(got[i] - expected) <= bound
              : Object.is(got[i], expected)
            if (!agrees)
              throw new Error(`${activation}(${values[i]}) is ${got[i]}, expected ${expected} within ${bound}`)
          }
        }),
        { numRuns: 300 },
      )
    })
  }
})

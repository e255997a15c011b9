import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { createMatmul } from '../../../kernels/tuned/wasm/matmul.ts'
import { definePack } from '../../../kernels/tuned/wasm/matmul-pack.ts'

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
  readonly a: Layout
  readonly b: Layout
  readonly cPadding: number
  readonly accumulate: boolean
  readonly seed: number
  /** Which operand ends with the memory's last byte, where reading too far traps. */
  readonly last: 'a' | 'b'
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

/**
 * Runs one product in a memory of its own, laid out as [guard, scratch, guard, C, guard, the two operands], and checks every
 * byte after it: C against a float64 sum, everything but C and the scratch asked for against what was there. Guards and
 * scratch start as NaN, so that a padding lane that leaks into C shows.
 *
 * The bound. With u = 2^-24 each product is x y (1 + e), |e| <= u, and each addition (of products, of the sums of depth
 * blocks, of the old C, in whatever order) puts one more such factor on what it adds: a term passes the product's and at
 * most k more. So |computed - exact| <= g(k + 1) (sum |a| |b| + |old C|) with g(q) = q u / (1 - q u) (N. Higham, "Accuracy
 * and Stability of Numerical Algorithms", lemma 3.1). The float64 sum that stands for the exact one errs by less than
 * 2^-28 of that, which q = k + 2 covers. A value is 0 or at least 2^-36, so no product underflows.
 */
function check(item: Case, specials: readonly Special[] = [], tile?: { rows: number; vectors: number }): void {
  const { m, n, k, accumulate, seed } = item
  const aStrides = stridesOf(item.a, m, k)
  const bStrides = stridesOf(item.b, k, n)
  const cStride = n + item.cPadding
  const aCount = extent(m, k, aStrides)
  const bCount = extent(k, n, bStrides)
  const cCount = extent(m, n, { rowStride: cStride, columnStride: 1 })
  const guard = 16
  const scratchRoom = 512 + 256 * (Math.min(m, 256) + Math.min(n, 1024) + 64)
  const floatsNeeded = 3 * guard + scratchRoom + aCount + bCount + cCount
  const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * floatsNeeded) / 65536) })
  const floats = new Float32Array(memory.buffer)

  // Positions in floats.
  const scratchStart = guard
  const lastCount = item.last === 'a' ? aCount : bCount
  const lastStart = floats.length - lastCount
  const firstStart = lastStart - (item.last === 'a' ? bCount : aCount)
  const [aStart, bStart] = item.last === 'a' ? [lastStart, firstStart] : [firstStart, lastStart]
  const cStart = firstStart - guard - cCount
  const aIndex = (i: number, d: number) => aStart + i * aStrides.rowStride + d * aStrides.columnStride
  const bIndex = (d: number, j: number) => bStart + d * bStrides.rowStride + j * bStrides.columnStride

  floats.fill(Number.NaN)
  fillWithValues(floats.subarray(aStart, aStart + aCount), seed)
  fillWithValues(floats.subarray(bStart, bStart + bCount), seed + 1)
  fillWithValues(floats.subarray(cStart, cStart + cCount), seed + 2)
  for (const { operand, at, value } of specials) {
    const [start, count] = operand === 'a' ? [aStart, aCount] : [bStart, bCount]
    if (count > 0) floats[start + Math.floor(at * count)] = value
  }
  const before = floats.slice()

  let asked = 0
  const scratch = (bytes: number) => {
    expect(bytes).toBeLessThanOrEqual(4 * scratchRoom)
    asked = bytes / 4
    return 4 * scratchStart
  }
  const matmul = tile ? createMatmul(memory, scratch, tile) : createMatmul(memory, scratch)
  const a = { offset: 4 * aStart, ...aStrides }
  const b = { offset: 4 * bStart, ...bStrides }
  matmul(m, n, k, a, b, { offset: 4 * cStart, rowStride: cStride }, accumulate)

  const bits = new Uint32Array(floats.buffer)
  const bitsBefore = new Uint32Array(before.buffer)
  for (let index = 0; index < bits.length; index++) {
    if (bits[index] === bitsBefore[index] || (index >= scratchStart && index < scratchStart + asked)) continue
    const inC = index >= cStart && index < cStart + cCount && (index - cStart) % cStride < n
    if (!inC) throw new Error(`float ${index} was written; C starts at ${cStart}, the scratch at ${scratchStart}`)
  }

  const q = (k + 2) * 2 ** -24
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const cell = cStart + i * cStride + j
      let sum = accumulate ? before[cell]! : 0
      let magnitude = Math.abs(sum)
      for (let d = 0; d < k; d++) {
        const product = before[aIndex(i, d)]! * before[bIndex(d, j)]!
        sum += product
        magnitude += Math.abs(product)
      }
      const got = floats[cell]!
      const bound = (q / (1 - q)) * magnitude
      const agrees = Number.isFinite(sum) ? Math.abs(got - sum) <= bound : Object.is(got, sum)
      if (!agrees) throw new Error(`C[${i}, ${j}] is ${got}, expected ${sum} within ${bound}`)
    }
  }
}

const layout = fc.record({ kind: fc.constantFrom(...layouts), padding: fc.integer({ min: 0, max: 5 }) })
const size = fc.integer({ min: 0, max: 40 })

const anyCase: fc.Arbitrary<Case> = fc.record({
  m: size,
  n: size,
  k: size,
  a: layout,
  b: layout,
  cPadding: fc.integer({ min: 0, max: 9 }),
  accumulate: fc.boolean(),
  seed: fc.nat(),
  last: fc.constantFrom('a', 'b'),
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
      { numRuns: 400 },
    )
  })

  it('takes NaN, infinities and zeros to the cells that they belong to, and to no others', () => {
    fc.assert(
      fc.property(anyCase, fc.array(special, { minLength: 1, maxLength: 4 }), (item, specials) =>
        check(item, specials),
      ),
      { numRuns: 200 },
    )
  })

  it('gives the same product with tiles of other shapes', () => {
    const tile = fc.record({ rows: fc.integer({ min: 1, max: 8 }), vectors: fc.integer({ min: 1, max: 4 }) })
    fc.assert(
      fc.property(anyCase, tile, (item, shape) => check(item, [], shape)),
      { numRuns: 200 },
    )
  })

  // The blocks are 256 deep, 160 rows and 1024 columns; operands are packed from 65 on.
  const crossings = [
    [64, 64, 255],
    [65, 65, 256],
    [64, 72, 257],
    [66, 61, 513],
    [159, 8, 257],
    [161, 70, 300],
    [5, 1023, 257],
    [7, 1025, 258],
    [66, 1033, 12],
    [321, 67, 16],
  ] as const
  const plainLayouts = ['rows', 'columns'] as const
  const flags = plainLayouts.flatMap((a) => plainLayouts.flatMap((b) => [false, true].map((add) => ({ a, b, add }))))
  for (const [m, n, k] of crossings) {
    it(`crosses the block boundaries at ${m} x ${n} x ${k}`, () => {
      for (const { a, b, add } of flags) {
        const padded = { a: { kind: a, padding: 3 }, b: { kind: b, padding: 1 }, cPadding: 2 }
        check({ m, n, k, ...padded, accumulate: add, seed: m + n + k, last: add ? 'a' : 'b' })
      }
    })
  }

  it('takes strides that are neither 1 nor 0 in packed blocks too', () => {
    const spread = { kind: 'spread', padding: 1 } as const
    check({ m: 70, n: 75, k: 20, a: spread, b: spread, cPadding: 0, accumulate: true, seed: 1, last: 'b' })
  })

  it('writes zeros over whatever was there when k is 0, and adds nothing with accumulate', () => {
    const memory = new WebAssembly.Memory({ initial: 1 })
    const matmul = createMatmul(memory, () => 1024)
    const c = new Float32Array(memory.buffer, 0, 9).fill(Number.NaN)
    const empty = { offset: 65536, rowStride: 0, columnStride: 1 }
    matmul(3, 2, 0, empty, empty, { offset: 0, rowStride: 3 }, true)
    expect([...c]).toEqual(new Array(9).fill(Number.NaN))
    matmul(3, 2, 0, empty, empty, { offset: 0, rowStride: 3 }, false)
    expect([...c]).toEqual([0, 0, Number.NaN, 0, 0, Number.NaN, 0, 0, Number.NaN])
  })

  it('holds no view of the memory: it may grow whenever scratch is asked', () => {
    const memory = new WebAssembly.Memory({ initial: 1 })
    const matmul = createMatmul(memory, () => memory.grow(2) * 65536)
    const n = 66
    const values = new Float32Array(memory.buffer)
    for (let i = 0; i < n; i++) values[i * n + i] = i + 1
    const diagonal = { offset: 0, rowStride: n, columnStride: 1 }
    const c = { offset: 4 * n * n, rowStride: n }
    matmul(n, n, n, diagonal, diagonal, c, false)
    matmul(n, n, n, diagonal, diagonal, c, true)
    const after = new Float32Array(memory.buffer, c.offset, n * n)
    expect([...after]).toEqual(Array.from(after, (_, i) => (i % (n + 1) === 0 ? 2 * (i / (n + 1) + 1) ** 2 : 0)))
  })

  it('traps, and does not wrap around, when a view leaves the memory', () => {
    const memory = new WebAssembly.Memory({ initial: 1 })
    const matmul = createMatmul(memory, () => 0)
    const inside = { offset: 4096, rowStride: 8, columnStride: 1 }
    const outside = { offset: 65536 - 64, rowStride: 8, columnStride: 1 }
    expect(() => matmul(8, 8, 8, outside, inside, { offset: 8192, rowStride: 8 }, false)).toThrow(
      WebAssembly.RuntimeError,
    )
  })
})

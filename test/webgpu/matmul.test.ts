/** The matrix product on WebGPU against the plain kernel in float64: every tile, split, layout and epilogue. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { gelu, relu, sigmoid, silu } from '../../kernels/elementwise.ts'
import type { Activation, Epilogue } from '../../kernels/fused-linear.ts'
import { matmul } from '../../kernels/matmul.ts'
import { encodeProduct, productOf } from '../../kernels/tuned/wgsl/matmul.ts'
import { noEpilogue } from '../../kernels/tuned/wgsl/matmul-epilogue.ts'
import { type Choice, chooseTile, invocations, tiles } from '../../kernels/tuned/wgsl/matmul-tiles.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu, plainly } from './launch.ts'

let gpu: WebGpuDevice

interface Case {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batch: number
  readonly transposeA: boolean
  readonly transposeB: boolean
  /** One matrix for the whole batch. */
  readonly sharesA: boolean
  readonly sharesB: boolean
  readonly seed: number
}

function numbers(seed: number, length: number): Float32Array {
  let state = seed >>> 0
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 30 - 2
  })
}

function launchOf({ m, n, k, batch, transposeA, transposeB, sharesA, sharesB, seed }: Case) {
  const a = numbers(seed, (sharesA ? 1 : batch) * m * k)
  const b = numbers(seed + 1, (sharesB ? 1 : batch) * k * n)
  const strides = [
    ...[sharesA ? 0 : m * k, ...(transposeA ? [1, m] : [k, 1])],
    ...[sharesB ? 0 : k * n, ...(transposeB ? [1, k] : [n, 1])],
  ]
  return { a, b, bias: numbers(seed + 2, n), grid: [n, m, batch] as const, rest: [k, ...strides] }
}

/** The product as its program gives it: the result and, where it is saved, the value before the activation. */
async function computed(given: Case, epilogue: Epilogue, choice?: Choice) {
  const { a, b, bias, grid, rest } = launchOf(given)
  const length = grid[0] * grid[1] * grid[2]
  const held = [a, b, bias].map((data) => {
    const buffer = gpu.allocate('float32', data.length)
    gpu.write(buffer, data)
    return buffer
  })
  const results = [0, 1].map(() => {
    const buffer = gpu.allocate('float32', length)
    gpu.write(buffer, new Float32Array(length).fill(Number.NaN))
    return buffer
  })
  const encoder = {
    features: gpu.features,
    precision: gpu.precision,
    storageBuffers: gpu.storageBuffers,
    dispatch: gpu.dispatch.bind(gpu),
    scratch: (size: number) => {
      const buffer = gpu.allocate('float32', size)
      held.push(buffer)
      return buffer
    },
  }
  const product = productOf(results[0], grid, [held[0], held[1], ...rest])
  const extras = {
    ...(epilogue.hasBias ? { bias: held[2] } : {}),
    ...(epilogue.saves ? { preactivation: results[1] } : {}),
  }
  encodeProduct(encoder, { ...product, epilogue, ...extras }, choice)
  const [out, preactivation] = await Promise.all(results.map((buffer) => gpu.read(buffer)))
  for (const buffer of [...held, ...results]) gpu.release(buffer)
  return { out, preactivation }
}

const functions: Record<Activation, (x: number) => number> = {
  identity: (x) => x,
  relu: relu.scalar as (x: number) => number,
  sigmoid: sigmoid.scalar as (x: number) => number,
  silu: silu.scalar as (x: number) => number,
  gelu: gelu.scalar as (x: number) => number,
}

/**
 * A sum of k products and a bias is off by at most (k + 2) u (|a| . |b| + |bias|) for any order of adding, u = 2^-24
 * (Higham 2002, section 3.1); 1.01 covers the higher orders. Every activation's slope is below 1.13, and its own error is
 * that of WGSL's exp, (3 + 2 |x|) ulp of e^-|x|, and of three to six more roundings, one a division of 2.5 ulp: with
 * |x| e^-|x| below 0.37 and the argument of gelu's exponential up to |x| (1.6 + 0.08 x^2), 64 u max(1, |x|) covers it.
 */
async function check(given: Case, epilogue: Epilogue, choice?: Choice): Promise<void> {
  const isHalf = gpu.precision === 'float16'
  const { a, b, bias, grid, rest } = launchOf(given)
  const exact = plainly(matmul, grid, [Float64Array.from(a), Float64Array.from(b), ...rest])
  const sizes = plainly(matmul, grid, [Float64Array.from(a, Math.abs), Float64Array.from(b, Math.abs), ...rest])
  const { out, preactivation } = await computed(given, epilogue, choice)
  const act = functions[epilogue.activation]
  const own = epilogue.activation === 'identity' || epilogue.activation === 'relu' ? 0 : 64
  for (let i = 0; i < exact.length; i++) {
    const added = epilogue.hasBias ? bias[i % given.n] : 0
    const value = exact[i] + added
    const bound =
      1.01 * (given.k + 2) * 2 ** -24 * (sizes[i] + Math.abs(added)) + 1e-37 + (isHalf ? halved(sizes[i], given.k) : 0)
    const error = Math.abs(out[i] - act(value))
    if (!(error <= 1.13 * bound + own * 2 ** -24 * Math.max(1, Math.abs(value))))
      expect.fail(`${JSON.stringify(given)}: cell ${i} is ${out[i]}, expected ${act(value)}`)
    if (epilogue.saves && !(Math.abs(preactivation[i] - value) <= bound))
      expect.fail(`${JSON.stringify(given)}: saved cell ${i} is ${preactivation[i]}, expected ${value}`)
  }
}

/**
 * What rounding both operands to float16 adds to a sum of k products: 2^-11 of each, so twice that of |a| . |b| (and its
 * square, which 1.01 covers); or 2^-25, half of float16's smallest step, times an operand of at most 2, for tiny ones.
 */
const halved = (size: number, k: number): number => 1.01 * 2 * 2 ** -11 * size + k * 2 * 2 * 2 ** -25

/** Small sizes, and those around the edges of tiles and steps. */
const size = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 70 }) },
  { weight: 3, arbitrary: fc.constantFrom(4, 8, 16, 28, 32, 36, 64, 68) },
  { weight: 1, arbitrary: fc.constantFrom(127, 128, 129, 132) },
)
const cases = fc.record({
  m: size,
  n: size,
  k: size,
  batch: fc.integer({ min: 1, max: 3 }),
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
  sharesA: fc.boolean(),
  sharesB: fc.boolean(),
  seed: fc.nat(),
})
const epilogues: fc.Arbitrary<Epilogue> = fc.record({
  activation: fc.constantFrom<Activation>('identity', 'relu', 'sigmoid', 'silu', 'gelu'),
  hasBias: fc.boolean(),
  saves: fc.boolean(),
})

describeWebgpu('matmul', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  test('is the plain kernel within its rounding, as chosen', async () => {
    await fc.assert(
      fc.asyncProperty(cases, (given) => check(given, noEpilogue)),
      { numRuns: 200 },
    )
  })

  // Software adapters compile a program in a second or more, and each tile has 32: 8 cases a tile.
  test.each(tiles.map((tile) => [tile.name, tile] as const))('in tiles of %s, whole and split', async (_name, tile) => {
    await fc.assert(
      fc.asyncProperty(cases, fc.integer({ min: 1, max: 4 }), (given, splits) =>
        check(given, noEpilogue, { tile, splits }),
      ),
      { numRuns: 8 },
    )
  })

  // 30 cases of the 20 epilogues, on one tile, split or not, and on vectors: each is a program to compile.
  test('ends with bias and activation', async () => {
    const shapes = fc.oneof(
      { weight: 3, arbitrary: cases },
      { weight: 1, arbitrary: cases.map((given) => ({ ...given, m: 1 })) },
      { weight: 1, arbitrary: cases.map((given) => ({ ...given, n: 1 })) },
    )
    await fc.assert(
      fc.asyncProperty(shapes, epilogues, fc.integer({ min: 1, max: 3 }), ({ batch, ...given }, epilogue, splits) => {
        const whole = { ...given, batch: 1, transposeA: false, transposeB: true }
        const isVector = given.m === 1 || given.n === 1
        return check(whole, epilogue, isVector ? undefined : { tile: tiles[3], splits })
      }),
      { numRuns: 30 },
    )
  })

  test('in tiles of float16, where the adapter has them', async ({ annotate }) => {
    if (!gpu.features.has('shader-f16')) {
      await annotate('this adapter has no shader-f16')
      expect(() => Object.assign(gpu, { precision: 'float16' })).toThrow(/this adapter has no float16/)
      return
    }
    gpu.precision = 'float16'
    try {
      await fc.assert(
        fc.asyncProperty(cases, (given) => {
          // Whole vectors and one layout: few programs to compile, and many sizes.
          const [m, n, k] = [given.m, given.n, given.k].map((size) => 4 * Math.ceil(size / 4))
          return check({ ...given, m, n, k, transposeA: false, transposeB: true }, noEpilogue)
        }),
        { numRuns: 200 },
      )
      // And it is float16 indeed.
      const one = { m: 2, n: 2, k: 1, batch: 1, transposeA: false, transposeB: false, sharesA: false, sharesB: false }
      const half = await computed({ ...one, seed: 1 }, noEpilogue)
      gpu.precision = 'float32'
      const full = await computed({ ...one, seed: 1 }, noEpilogue)
      expect(half.out).not.toEqual(full.out)
    } finally {
      gpu.precision = 'float32'
    }
  })

  test('one row or column, long enough to be split', async () => {
    const long = { batch: 2, k: 9000, sharesA: false, sharesB: true, seed: 5 }
    for (const transposeA of [false, true]) {
      for (const transposeB of [false, true]) {
        await check({ ...long, m: 1, n: 37, transposeA, transposeB }, noEpilogue)
        await check({ ...long, m: 5, n: 1, transposeA, transposeB }, noEpilogue)
      }
    }
  })

  test('more workgroups than one dimension holds', async () => {
    const many = { m: 2, n: 2, k: 2, batch: 70_000, transposeA: false, transposeB: true, seed: 9 }
    await check({ ...many, sharesA: false, sharesB: true }, noEpilogue)
  })

  test('gives zeros for k = 0', async () => {
    const empty = { m: 5, n: 8, k: 0, batch: 1, transposeA: false, transposeB: false, seed: 1 }
    await check({ ...empty, sharesA: false, sharesB: false }, noEpilogue)
    await check({ ...empty, n: 1, sharesA: false, sharesB: false }, noEpilogue)
  })

  test('the same bits each time, split or not', async () => {
    const given = { m: 33, n: 40, k: 700, batch: 1, transposeA: true, transposeB: false, seed: 3 }
    const whole = { ...given, sharesA: false, sharesB: false }
    const choice = { tile: tiles[2], splits: 4 }
    const [once, again] = [await computed(whole, noEpilogue, choice), await computed(whole, noEpilogue, choice)]
    expect(again.out).toEqual(once.out)
  })

  test('leaves no buffers behind', () => {
    expect(gpu.statistics()).toEqual({ buffers: 0, bytes: 0 })
  })
})

// Choosing needs no adapter.
test('tiles keep to WebGPU’s default limits', () => {
  for (const tile of tiles) {
    const { rows, columns, depth, buffers, cellRows, cellColumns } = tile
    expect(invocations(tile)).toBeLessThanOrEqual(256)
    expect(4 * depth * (rows + columns) * buffers).toBeLessThanOrEqual(16384)
    // One block of 4 x 4 an invocation is copied each step.
    expect((depth * (rows + columns)) / 16).toBeLessThanOrEqual(invocations(tile))
    expect([rows % (4 * cellRows), columns % (8 * cellColumns), depth % 4]).toEqual([0, 0, 0])
  }
})

test('large products take large tiles, small ones small tiles, tall ones a split', () => {
  const named = (m: number, n: number, k: number, batch = 1) => {
    const { tile, splits } = chooseTile({ m, n, k, batch })
    return [tile.name, splits]
  }
  expect(named(4096, 4096, 4096)).toEqual(['128x128', 1])
  expect(named(2048, 2048, 2048)).toEqual(['128x128', 1])
  expect(named(64, 64, 64, 512)).toEqual(['64x64', 1])
  expect(named(16, 16, 16, 4)).toEqual(['32x32', 1])
  const [, splits] = named(512, 512, 16384)
  expect(splits).toBeGreaterThan(1)
})

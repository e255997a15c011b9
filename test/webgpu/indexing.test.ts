/** Gradients of embeddings, scattering and top k on WebGPU, against their plain kernels. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { embeddingGradient, scatterAdd, topKIndex } from '../../kernels/indexing.ts'
import type { Grid } from '../../kernels/kernel.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { expectCells } from '../device/launches.ts'
import { describeWebgpu } from './adapter.ts'
import { onWebgpu, openWebgpu, type Parameters, plainly } from './launch.ts'

let gpu: WebGpuDevice

/** Numbers from a small generator of its own, so that large cases need no large samples. */
function numbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/**
 * Multiples of 1/8 of size at most 2: sums of up to 2^19 of them are multiples of 1/8 below 2^21, exact in float32 in
 * whatever order. The bound of sums is 0.
 */
const eighths = (next: () => number, n: number) =>
  Float64Array.from({ length: n }, () => Math.floor(next() * 33) / 8 - 2)

/** Mostly the first few, as words are, with some that name nothing: -1 and those past the end. */
const skewed = (next: () => number, n: number, below: number) =>
  Int32Array.from({ length: n }, () => {
    const place = next()
    if (place < 0.03) return place < 0.015 ? -1 : below + Math.floor(next() * 3)
    return Math.min(below - 1, Math.floor(below * next() ** 3))
  })

const size = (max: number) => fc.integer({ min: 1, max })
const seed = fc.nat()

function embeddingCase(given: number, V: number, C: number, m: number): { grid: Grid; parameters: Parameters } {
  const next = numbers(given)
  return { grid: [C, V, 1], parameters: [eighths(next, m * C), skewed(next, m, V), m, C] }
}

function scatterCase(given: number, [Z, n, X]: number[], m: number): { grid: Grid; parameters: Parameters } {
  const next = numbers(given)
  const arrays = [eighths(next, Z * n * X), skewed(next, Z * m * X, n), eighths(next, Z * m * X)]
  return { grid: [X, n, Z], parameters: [...arrays, m, n, X] }
}

describeWebgpu('indexing', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  test('embeddingGradient adds what the plain kernel adds', async () => {
    const m = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 300 }))
    await fc.assert(
      fc.asyncProperty(seed, size(70), size(70), m, async (given, V, C, count) => {
        const { grid, parameters } = embeddingCase(given, V, C, count)
        const got = await onWebgpu(gpu, embeddingGradient, grid, parameters)
        expectCells(got, plainly(embeddingGradient, grid, parameters), 0, `V ${V}, C ${C}, m ${count}`)
      }),
      { numRuns: 200 },
    )
  })

  // Several chunks of sorted positions, rows that are deep and not, vectors of four and single columns.
  test.each([
    [3, 5, 5000],
    [700, 8, 5000],
    [701, 3, 4500],
    [65, 64, 1024],
    [1, 1, 20000],
    [20000, 4, 33],
  ])('embeddingGradient with V %i, C %i and m %i', async (V, C, m) => {
    const { grid, parameters } = embeddingCase(V * m, V, C, m)
    const got = await onWebgpu(gpu, embeddingGradient, grid, parameters)
    expectCells(got, plainly(embeddingGradient, grid, parameters), 0, 'embeddingGradient')
  })

  test('embeddingGradient and scatterAdd give the same bits again', async () => {
    const next = numbers(5)
    const [V, C, m] = [40, 12, 3000]
    const floats = (n: number) => Float32Array.from({ length: n }, () => next() - 0.5)
    const [dy, indices, x] = [floats(m * C), skewed(next, m, V), floats(V)]
    const gradient = () => onWebgpu(gpu, embeddingGradient, [C, V, 1], [dy, indices, m, C])
    expect(await gradient()).toEqual(await gradient())
    const scattered = () => onWebgpu(gpu, scatterAdd, [1, V, 1], [x, indices, dy.slice(0, m), m, V, 1])
    expect(await scattered()).toEqual(await scattered())
  })

  test('scatterAdd adds what the plain kernel adds', async () => {
    const shape = fc.oneof(fc.tuple(size(4), size(40), size(40)), fc.tuple(size(2), size(600), size(3)))
    const m = fc.oneof(fc.integer({ min: 0, max: 16 }), fc.integer({ min: 17, max: 300 }))
    await fc.assert(
      fc.asyncProperty(seed, shape, m, async (given, sizes, count) => {
        const { grid, parameters } = scatterCase(given, sizes, count)
        const got = await onWebgpu(gpu, scatterAdd, grid, parameters)
        expectCells(got, plainly(scatterAdd, grid, parameters), 0, `[Z, n, X] ${sizes.join(', ')}, m ${count}`)
      }),
      { numRuns: 200 },
    )
  })

  test('scatterAdd walks down many columns', async () => {
    const { grid, parameters } = scatterCase(1, [30, 7, 40], 20)
    const got = await onWebgpu(gpu, scatterAdd, grid, parameters)
    expectCells(got, plainly(scatterAdd, grid, parameters), 0, 'scatterAdd')
  })

  test('topKIndex orders all floats as the plain kernel does', async () => {
    const special = fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -0, 1, -1, 1.5, 1e-40, -1e-40, 3e38)
    const float = fc.oneof(special, fc.float({ noDefaultInfinity: true }))
    const shapes = fc.tuple(size(3), size(30), size(3)).chain(([Z, n, X]) =>
      fc.record({
        sizes: fc.constant([Z, n, X]),
        k: fc.integer({ min: 1, max: n }),
        x: fc.array(float, { minLength: Z * n * X, maxLength: Z * n * X }),
      }),
    )
    await fc.assert(
      fc.asyncProperty(shapes, async ({ sizes: [Z, n, X], k, x }) => {
        const grid: Grid = [X, k, Z]
        const parameters = [Float32Array.from(x), n, X]
        const got = await onWebgpu(gpu, topKIndex, grid, parameters, 'int32')
        expect([...got]).toEqual([...plainly(topKIndex, grid, parameters)])
      }),
      { numRuns: 200 },
    )
  })

  test('leaves no buffers behind', () => {
    expect(gpu.statistics()).toEqual({ buffers: 0, bytes: 0 })
  })
})

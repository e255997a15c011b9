/** Normalisation of rows in fused kernels, forwards and back, against float64. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import {
  l2NormBackward,
  l2NormForward,
  rmsNormBackward,
  rmsNormForward,
  rmsNormWeightBackward,
} from '../../kernels/fused-rows.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { l2Norm, rmsNorm } from '../../src/ops/norm.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu } from './launch.ts'
import { expectSameOperation, expectWithin, fusedCells, U, values, variants } from './rows.ts'

let gpu: WebGpuDevice

const EPS = 1e-3

/**
 * r = 1 / sqrt(s): s sums C squares, all positive, within (C + 1) u, halved by the root. WGSL's sqrt is 1 / inverseSqrt
 * (2 units of 2 u, and 2.5 for the division), the division by the divisor and that of 1 take 2.5 each, eps rounds twice:
 * together below 22 u.
 */
const scaleError = (C: number) => C / 2 + 22

/** All results in float64, each with the magnitude that its rounding errors are relative to. */
function normalised(x: Float32Array, dy: Float32Array, weight: Float32Array | null, C: number, centre: number) {
  const N = x.length / C
  const eps = Math.fround(EPS)
  const divisor = weight ? C : 1
  const make = (length: number) => ({ value: new Float64Array(length), size: new Float64Array(length) })
  const [y, dx, dw] = [make(N * C), make(N * C), make(C)]
  for (let z = 0; z < N; z++) {
    const places = Array.from({ length: C }, (_, i) => z * C + i)
    const w = (i: number) => (weight ? weight[i % C] + centre : 1)
    const wSize = (i: number) => (weight ? Math.abs(weight[i % C]) + centre : 1)
    const r = 1 / Math.sqrt(places.reduce((sum, i) => sum + x[i] ** 2, 0) / divisor + eps)
    const dot = places.reduce((sum, i) => sum + dy[i] * w(i) * x[i], 0) / divisor
    const dotSize = places.reduce((sum, i) => sum + Math.abs(dy[i] * wSize(i) * x[i]), 0) / divisor
    for (const i of places) {
      y.value[i] = x[i] * r * w(i)
      y.size[i] = Math.abs(x[i]) * r * wSize(i)
      dx.value[i] = r * (dy[i] * w(i) - x[i] * r * r * dot)
      dx.size[i] = r * (Math.abs(dy[i]) * wSize(i) + Math.abs(x[i]) * r * r * dotSize)
      dw.value[i % C] += dy[i] * x[i] * r
      dw.size[i % C] += Math.abs(dy[i] * x[i] * r)
    }
  }
  return { y, dx, dw }
}

async function check(seed: number, N: number, C: number, centre: number): Promise<void> {
  const [x, dy, weight] = [values(seed, N * C, 2), values(seed + 1, N * C), values(seed + 2, C)]
  const expected = normalised(x, dy, weight, C, centre)
  const unweighted = normalised(x, dy, null, C, 0)
  for (const features of variants(gpu)) {
    const what = (name: string) => `${name} of [${N}, ${C}], centre ${centre}, ${[...features]}`
    const launched = [
      ['y', rmsNormForward, [x, weight, N, C, EPS, centre], expected.y, scaleError(C) + 4],
      // r three times, the dot's own C + 6, and a few products.
      ['dx', rmsNormBackward, [dy, x, weight, N, C, EPS, centre], expected.dx, 3 * scaleError(C) + C + 16],
      ['dw', rmsNormWeightBackward, [dy, x, N, C, EPS], expected.dw, scaleError(C) + N + 4],
      ['length y', l2NormForward, [x, N, C, EPS], unweighted.y, scaleError(C) + 4],
      ['length dx', l2NormBackward, [dy, x, N, C, EPS], unweighted.dx, 3 * scaleError(C) + C + 16],
    ] as const
    await Promise.all(
      launched.map(async ([name, kernel, parameters, { value, size }, roundings]) => {
        const [got] = await fusedCells(gpu, features, kernel, [value.length], parameters)
        expectWithin(got, value, (i) => 1.01 * U * roundings * size[i] + 2 ** -120, what(name))
      }),
    )
  }
}

const size = (max: number) => fc.integer({ min: 1, max })
const shapes = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(size(70), size(20)) },
  { weight: 6, arbitrary: fc.tuple(size(20), size(300)) },
  { weight: 3, arbitrary: fc.tuple(fc.integer({ min: 120, max: 600 }), size(40)) },
  { weight: 2, arbitrary: fc.tuple(size(3), size(2100)) },
)

describeWebgpu('normalisation of rows', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  test('forwards and back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), shapes, fc.constantFrom(0, 1), (seed, [N, C], centre) => check(seed, N, C, centre)),
      { numRuns: 200 },
    )
  })

  test.each([
    [2, 5000],
    [5000, 3],
    [1500, 65],
  ])('[%i, %i]', (N, C) => check(9, N, C, 1))

  test('is what rmsNorm runs, forwards and back; twice back it is the composition', async () => {
    const [x, weight] = [values(3, 2 * 3 * 5, 2), values(4, 5)]
    const labels = await expectSameOperation(
      gpu,
      [
        [x, [2, 3, 5]],
        [weight, [5]],
      ],
      (t, _constant, w) => rmsNorm(t, w, { zeroCentred: true, eps: 0.1 }).square().sum(),
    )
    expect(labels.first).toEqual(expect.arrayContaining(['rmsNormForward', 'rmsNormBackward', 'rmsNormWeightBackward']))
    expect(labels.first).not.toContain('rmsNormWeightTerm')
  })

  test('is what l2Norm runs', async () => {
    const x = values(3, 2 * 3 * 5, 2)
    const w = values(4, 2 * 3 * 5)
    const labels = await expectSameOperation(gpu, [[x, [2, 3, 5]]], (t, constant) =>
      l2Norm(t, { eps: 0.1 })
        .mul(constant(w, [2, 3, 5]))
        .sum(),
    )
    expect(labels.first).toEqual(expect.arrayContaining(['l2NormForward', 'l2NormBackward']))
    expect(labels.second).not.toContain('l2NormBackward')
  })
})

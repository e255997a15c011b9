/** Cross-entropy in fused kernels, forwards and back, against float64. */
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { crossEntropyBackward, crossEntropyForward } from '../../kernels/fused-rows.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { tensor } from '../../src/index.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu } from './launch.ts'
import { expectSameOperation, expectWithin, fusedCells, U, values, variants } from './rows.ts'

let gpu: WebGpuDevice

/** Logits lie in [-A, A]. */
const A = 16
/** What the operation passes when nothing is ignored. */
const NONE = -2147483648
const dy = 1.5

function expectedOf(x: Float32Array, targets: Float32Array, V: number, ignore: number) {
  const N = targets.length
  const counted = targets.filter((t) => t !== ignore).length
  const logSum = new Float64Array(N)
  const gradient = new Float64Array(N * V)
  let loss = 0
  for (let z = 0; z < N; z++) {
    const row = Array.from(x.subarray(z * V, (z + 1) * V))
    const m = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    logSum[z] = Math.log(row.reduce((sum, v) => sum + Math.exp(v - m), 0)) + m
    if (targets[z] === ignore) continue
    loss += logSum[z] - row[targets[z]]
    row.forEach((v, i) => {
      gradient[z * V + i] = ((Math.exp(v - logSum[z]) - (i === targets[z] ? 1 : 0)) * dy) / counted
    })
  }
  return { loss: loss / counted, logSum, gradient, counted }
}

/**
 * The sum's relative error is that of softmax.test.ts without the numerator: 6 A + 3 (6 + 8 A) + 8 K + V. WGSL's log
 * is good to 2^-21, or 3 units of 2 u of at most log V. Adding the maximum rounds once more.
 */
const logSumBound = (V: number) => {
  const K = 4 + V / 256
  return 1.01 * (U * (V + 30 * A + 8 * K + 18 + 6 * Math.log(V) + A + Math.log(V)) + 2 ** -21)
}

async function check(seed: number, N: number, V: number, ignores: boolean): Promise<void> {
  const x = values(seed, N * V, A)
  const targets = values(seed + 1, N).map((v) => Math.min(V - 1, Math.floor(((v + 1) / 2) * V)))
  // Rows of class 0 are left out, if there are others.
  const ignore = ignores && targets.some((t) => t !== 0) ? 0 : NONE
  const expected = expectedOf(x, targets, V, ignore)
  const E = logSumBound(V)
  // A row's loss is at most 2 A + log V; its difference rounds twice, the mean over N rows N + 4 times.
  const lossBound = E + 1.01 * U * (N + 8) * (2 * A + Math.log(V))
  for (const features of variants(gpu)) {
    const what = `[${N}, ${V}], ignore ${ignore}, ${[...features]}`
    const sizes = [N, V, ignore]
    const [loss, counted, logSum] = await fusedCells(
      gpu,
      features,
      crossEntropyForward,
      [1, 1, N],
      [x, targets, ...sizes],
    )
    expect(counted[0]).toBe(expected.counted)
    expectWithin(loss, [expected.loss], () => lossBound, `loss of ${what}`)
    expectWithin(logSum, expected.logSum, () => E, `log sums of ${what}`)
    const given = [x, targets, Float32Array.from(logSum), Float32Array.of(dy), Float32Array.from(counted), ...sizes]
    const [dx] = await fusedCells(gpu, features, crossEntropyBackward, [N * V], given)
    // The exponent carries the log sum's error and a rounding; exp 3 + 2 |v| units of 2 u, |v| <= 2 A + log V. Then a
    // difference from 1, a division (5) and a product.
    const exponent = 2 * A + Math.log(V)
    const factor = dy / expected.counted
    const bound = (i: number) => {
      const target = i % V === targets[Math.floor(i / V)] ? 1 : 0
      const p = expected.gradient[i] / factor + target
      return 1.01 * factor * (p * (E + U * (7 + 5 * exponent)) + 7 * U * (p + target)) + 2 ** -120
    }
    expectWithin(dx, expected.gradient, bound, `gradient of ${what}`)
    expect(dx.filter((_, i) => targets[Math.floor(i / V)] === ignore).every((v) => v === 0)).toBe(true)
  }
}

const size = (max: number) => fc.integer({ min: 1, max })
const shapes = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(size(300), size(12)) },
  { weight: 6, arbitrary: fc.tuple(size(12), size(300)) },
  { weight: 2, arbitrary: fc.tuple(size(3), size(2100)) },
)

describeWebgpu('cross-entropy', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  test('forwards and back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), shapes, fc.boolean(), (seed, [N, V], ignores) => check(seed, N, V, ignores)),
      { numRuns: 200 },
    )
  })

  test.each([
    [3, 5000],
    [2, 50257],
    [2000, 5],
  ])('logits [%i, %i]', (N, V) => check(7, N, V, true))

  test('nothing counted gives NaN, and a gradient of 0; a class that is not there gives NaN', async () => {
    const x = values(1, 6)
    const run = (targets: number[], ignore: number) =>
      fusedCells(gpu, new Set(), crossEntropyForward, [1, 1, 2], [x, Float32Array.from(targets), 2, 3, ignore])
    const [loss, counted, logSum] = await run([1, 1], 1)
    expect([loss[0], counted[0]]).toEqual([Number.NaN, 0])
    const given = [x, Float32Array.of(1, 1), Float32Array.from(logSum), Float32Array.of(1), Float32Array.of(0), 2, 3, 1]
    const [dx] = await fusedCells(gpu, new Set(), crossEntropyBackward, [6], given)
    expect([...dx]).toEqual([0, 0, 0, 0, 0, 0])
    for (const target of [3, -1]) expect((await run([0, target], NONE))[0][0]).toBeNaN()
  })

  test('infinities and NaN in the logits', async () => {
    const { NaN: nan, POSITIVE_INFINITY: inf, NEGATIVE_INFINITY: none } = Number
    const loss = async (row: number[], target: number) => {
      const given = [Float32Array.from(row), Float32Array.of(target), 1, row.length, NONE]
      return (await fusedCells(gpu, new Set(), crossEntropyForward, [1, 1, 1], given))[0][0]
    }
    expect(await loss([nan, 0, 1], 1)).toBeNaN()
    expect(await loss([inf, 0, 1], 1)).toBeNaN()
    expect(await loss([none, none], 0)).toBeNaN()
    expect(await loss([none, 0, 0], 1)).toBeCloseTo(Math.LN2, 5)
    expect(await loss([none, 0, 0], 0)).toBe(inf)
  })

  test('is what the operation runs, forwards and back; twice back it is the composition', async () => {
    const x = values(3, 2 * 3 * 5, 2)
    const classes = Int32Array.of(0, 4, 1, 1, 2, 3)
    const labels = await expectSameOperation(gpu, [[x, [2, 3, 5]]], (t) =>
      t.crossEntropy(tensor(classes, { shape: [2, 3], device: t.device }), { ignoreIndex: 1 }),
    )
    expect(labels.first).toEqual(expect.arrayContaining(['crossEntropyForward', 'crossEntropyBackward']))
    expect(labels.second).not.toContain('crossEntropyBackward')
  })
})

/** Every tuned kernel of the cpu device against its plain twin. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { topKIndex } from '../../kernels/indexing.ts'
import type { CellKernel, Grid, Kernel } from '../../kernels/kernel.ts'
import { matmul } from '../../kernels/matmul.ts'
import { CpuDevice } from '../../src/device/cpu/cpu.ts'
import { tunedKernels } from '../../src/device/cpu/tuned.ts'
import { runPlain } from '../../src/device/plain.ts'
import { cellCount, expectCells, type Launch, launchesOf } from './launches.ts'

const device = new CpuDevice()

/** Runs a launch on the cpu device, over memory that held other numbers before. */
function onCpu(kernel: Kernel, grid: Grid, parameters: Launch['parameters']): ArrayLike<number> {
  const buffers = parameters.map((p) => {
    if (typeof p === 'number') return p
    const buffer = device.allocate(p instanceof Int32Array ? 'int32' : 'float32', p.length)
    device.write(buffer, p)
    return buffer
  })
  const output = device.allocate(kernel === topKIndex ? 'int32' : 'float32', cellCount(grid))
  device.write(output, new Float32Array(output.length).fill(Number.NaN))
  device.launch(kernel, output, grid, buffers)
  const result = device.readNow(output)
  for (const buffer of [...buffers, output]) if (typeof buffer !== 'number') device.release(buffer)
  return result
}

function plain(kernel: Kernel, grid: Grid, parameters: Launch['parameters']): Float64Array {
  const output = new Float64Array(cellCount(grid))
  runPlain(kernel, output, grid, parameters)
  return output
}

const tuned = [...tunedKernels({ relaxed: false }).keys()]
  .filter((kernel): kernel is CellKernel => kernel.kind === 'cell')
  .map((kernel) => [kernel.name, kernel] as const)

describe('tuned kernels', () => {
  test('are there', () => {
    expect(tuned.map(([name]) => name)).toEqual(
      expect.arrayContaining(['matmul', 'scatterAdd', 'embeddingGradient', 'cumsumAxis', 'stridedCopy']),
    )
  })

  // Sums of at most 41 products of multiples of 1/8 up to 2 are exact in float32, in whatever order: the bound is 0 but for
  // kernels with an exponential, a logarithm or a quotient.
  test.each(tuned)('%s gives the plain cells, bit for bit where sums are exact', (name, kernel) => {
    const { draw, bound } = launchesOf(kernel)
    fc.assert(
      fc.property(fc.gen(), (g) => {
        const { grid, parameters } = draw(g)
        expectCells(onCpu(kernel, grid, parameters), plain(kernel, grid, parameters), bound, name)
      }),
      { numRuns: 200 },
    )
  })

  // |fl(a . b) - a . b| <= (k + 1) u |a| . |b| for any order of summing, u = 2^-24 (Higham 2002, section 3.1), to first
  // order; 1.01 covers the higher ones. The entries are float32 numbers, so the inputs are exact.
  test('matmul rounds no more than a dot product may', () => {
    const float = fc.float({ min: -4, max: 4, noNaN: true })
    const dimension = fc.integer({ min: 1, max: 48 })
    const entries = (n: number) => fc.array(float, { minLength: n, maxLength: n })
    fc.assert(
      fc.property(fc.gen(), dimension, dimension, dimension, fc.boolean(), fc.boolean(), (g, m, k, n, ta, tb) => {
        const a = Float64Array.from(g(entries, m * k))
        const b = Float64Array.from(g(entries, k * n))
        const strides = [m * k, ...(ta ? [1, m] : [k, 1]), k * n, ...(tb ? [1, k] : [n, 1])]
        const grid: Grid = [n, m, 1]
        const got = onCpu(matmul, grid, [a, b, k, ...strides])
        const expected = plain(matmul, grid, [a, b, k, ...strides])
        const sizes = plain(matmul, grid, [a.map(Math.abs), b.map(Math.abs), k, ...strides])
        for (let i = 0; i < got.length; i++) {
          const bound = 1.01 * (k + 1) * 2 ** -24 * sizes[i] + 1e-37
          expect(Math.abs(got[i] - expected[i])).toBeLessThanOrEqual(bound)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('leave no buffers behind', () => {
    expect(device.statistics()).toEqual({ buffers: 0, bytes: 0 })
  })
})

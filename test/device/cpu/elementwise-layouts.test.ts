/** Launches of map kernels as vector code: every layout of operands, one by one and fused, in one call or several. */
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import * as maps from '../../../kernels/elementwise.ts'
import { elementwise, type Grid, type MapKernel } from '../../../kernels/kernel.ts'
import * as updates from '../../../kernels/optimizer.ts'
import type { FusedMap, FusedOperand } from '../../../kernels/tuned/wasm/elementwise/fuse.ts'
import { MapLaunchers } from '../../../kernels/tuned/wasm/elementwise/launch.ts'
import type { Place } from '../../../kernels/tuned/wasm/task.ts'
import { CpuDevice } from '../../../src/device/cpu/cpu.ts'
import { runPlain } from '../../../src/device/plain.ts'
import { TaskRunner } from './tasks.ts'
import { variants } from './variants.ts'

/** Exact in float32 for the numbers below, and none of its operands may be exchanged. */
const mix = elementwise(function mix(a: number, b: number, c: number, k: number): number {
  return a + 4 * b - 16 * c + k
}, 3)

const extent = fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 9 }) }, fc.integer({ min: 10, max: 40 }))
const long = fc.integer({ min: 200, max: 1500 })
const grids: fc.Arbitrary<Grid> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(extent, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })) },
  { weight: 1, arbitrary: fc.tuple(long, fc.integer({ min: 1, max: 3 }), fc.constant(1)) },
)

/** Whether an operand walks along X, Y, Z, or repeats; some leave room between rows. */
const layouts = fc.record({
  walks: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
  gap: fc.integer({ min: 0, max: 2 }),
})

interface Operand {
  readonly length: number
  /** Along z, y, x. */
  readonly strides: readonly [number, number, number]
}

function operandOf([X, Y, Z]: Grid, walks: readonly [boolean, boolean, boolean], gap: number): Operand {
  const rowLength = (walks[0] ? X : 1) + gap
  const strides = [walks[2] ? (walks[1] ? Y : 1) * rowLength : 0, walks[1] ? rowLength : 0, walks[0] ? 1 : 0] as const
  return { length: strides[0] * (Z - 1) + strides[1] * (Y - 1) + strides[2] * (X - 1) + 1, strides }
}

const valuesOf = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => (((i + seed) * 7919) % 255) / 8 - 15)

describe.each(variants.map((features) => [features.relaxed ? 'fused' : 'in two roundings', features] as const))(
  'multiply-add %s',
  (_name, features) => {
    const launchers = new MapLaunchers(features)
    const runner = new TaskRunner()

    test('a map gives the plain cells, however its operands lie, and writes nothing else', () => {
      const launcher = launchers.of(mix)!
      fc.assert(
        fc.property(grids, fc.tuple(layouts, layouts, layouts), fc.integer({ min: 1, max: 3 }), (grid, lie, parts) => {
          runner.clear()
          const operands = lie.map(({ walks, gap }) => operandOf(grid, walks, gap))
          const given = operands.map(({ length }, i) => valuesOf(length, i))
          const places = given.map((values) => runner.placeOf(values))
          const size = grid[0] * grid[1] * grid[2]
          const out = runner.place(size)
          const tasks = launcher([out], grid, [...places.flatMap((place, i) => [place, ...operands[i].strides]), 0.5])
          runner.run(tasks!, parts)
          const expected = new Float32Array(size)
          runPlain(mix, expected, grid, [...given.flatMap((values, i) => [values, ...operands[i].strides]), 0.5])
          expect(out.values).toEqual(expected)
          expect(runner.isWhole(out)).toBe(true)
        }),
        { numRuns: 500 },
      )
    })

    test('strides that neither walk nor repeat along a row are left to the plain loop', () => {
      runner.clear()
      const [x, out] = [runner.place(20), runner.place(4)]
      expect(launchers.of(maps.neg)!([out], [4, 1, 1], [x, 0, 0, 2])).toBeUndefined()
    })

    /** Maps of one to three operands, of which each is an input of the launch or an earlier map. */
    const kernels: MapKernel[] = [...Object.values(maps), ...Object.values(updates)].filter((k) => k !== maps.erf)
    const integers = (min: number, max: number) => fc.integer({ min, max })
    const draw = (g: fc.GeneratorValue) => {
      const inputs = g(integers, 1, 4)
      const count = g(integers, 2, 12)
      const fused: FusedMap[] = []
      for (let map = 0; map < count; map++) {
        const kernel = kernels[g(integers, 0, kernels.length - 1)]
        const operands = Array.from({ length: kernel.operands }, (): FusedOperand => {
          const pick = g(integers, -inputs, map - 1)
          return pick < 0 ? { input: -1 - pick } : { map: pick }
        })
        fused.push({ kernel, operands })
      }
      const outputs = fused.map((_, i) => i).filter((i) => i === count - 1 || g(fc.boolean))
      return { fused, outputs, inputs }
    }

    test('maps that are fused give the bits of the maps one by one', () => {
      const constant = fc.double({ min: 0.01, max: 1, noNaN: true }).map(Math.fround)
      fc.assert(
        fc.property(
          fc.gen(),
          grids,
          fc.array(layouts, { minLength: 4, maxLength: 4 }),
          fc.array(constant, { minLength: 60, maxLength: 60 }),
          (g, grid, lie, constants) => {
            runner.clear()
            const { fused, outputs, inputs } = draw(g)
            const size = grid[0] * grid[1] * grid[2]
            const contiguous = [grid[0] * grid[1], grid[0], 1]
            const operands = lie.slice(0, inputs).map(({ walks, gap }) => operandOf(grid, walks, gap))
            const places = operands.map(({ length }, i) => runner.placeOf(valuesOf(length, i)))
            const given = operands.map(({ strides }, i) => [places[i], ...strides] as const)

            const results: Place[] = []
            const expected: Float32Array[] = []
            let used = 0
            for (const { kernel, operands } of fused) {
              const out = runner.place(size)
              const own = constants.slice(used, (used += kernel.constants))
              const read = operands.map((x) => ('map' in x ? [results[x.map], ...contiguous] : given[x.input]))
              runner.run(launchers.of(kernel)!([out], grid, [...read.flat(), ...own] as (Place | number)[])!)
              results.push(out)
              expected.push(out.values)
            }
            const reads = fused.flatMap(({ operands }) => operands.map((x) => ('input' in x ? x.input + 1 : 0)))
            const inputCount = Math.max(...reads)
            const outs = outputs.map(() => runner.place(size))
            const launcher = launchers.fused(fused, outputs)!
            runner.run(launcher(outs, grid, [...given.slice(0, inputCount).flat(), ...constants.slice(0, used)])!, 2)
            // Equal to toEqual are two NaN, whatever they hold, and equal zeros only of one sign.
            outputs.forEach((map, i) => {
              expect(outs[i].values).toEqual(expected[map])
            })
          },
        ),
        { numRuns: 300 },
      )
    }, 300_000)
  },
)

describe('on the device', () => {
  const devices = [1, 2].map((threads) => new CpuDevice({ threads }))
  afterAll(() => {
    for (const device of devices) device.destroy()
  })

  /** One launch of kernel over int32 or float32 operands, contiguous; the output in `dtype`. */
  function launch(
    device: CpuDevice,
    kernel: MapKernel,
    given: (Int32Array | Float32Array)[],
    dtype: 'int32' | 'float32',
  ) {
    const n = given[0].length
    const buffers = given.map((values) => {
      const buffer = device.allocate(values instanceof Int32Array ? 'int32' : 'float32', n)
      device.write(buffer, values)
      return buffer
    })
    const output = device.allocate(dtype, n)
    device.launch(
      kernel,
      output,
      [n, 1, 1],
      buffers.flatMap((buffer) => [buffer, n, n, 1]),
    )
    const result = device.readNow(output)
    for (const buffer of [...buffers, output]) device.release(buffer)
    return result
  }

  test('two threads give the bits of one', async () => {
    const n = 100_003
    const given = [valuesOf(n, 1), valuesOf(n, 2)]
    launch(devices[1], maps.gelu, given.slice(0, 1), 'float32')
    while (devices[1].pool.ready < 2) await new Promise((done) => setTimeout(done, 5))
    for (const kernel of [maps.gelu, maps.add, maps.tanh, maps.pow]) {
      const [one, two] = devices.map((device) => launch(device, kernel, given.slice(0, kernel.operands), 'float32'))
      expect(two).toEqual(one)
    }
  })

  test('integers are exact, beyond what float32 holds too', () => {
    const integers = Int32Array.of(2 ** 24 + 1, -5, 7, 2 ** 30 + 1)
    const [device] = devices
    expect([...launch(device, maps.equal, [integers, Int32Array.of(2 ** 24, -5, 8, 2 ** 30 + 1)], 'float32')]).toEqual([
      0, 1, 0, 1,
    ])
    expect([...launch(device, maps.add, [integers, integers], 'int32')]).toEqual([2 ** 25 + 2, -10, 14, -(2 ** 31) + 2])
    expect([...launch(device, maps.mul, [Float32Array.of(0.5, 1.5), Float32Array.of(3, 3)], 'int32')]).toEqual([1, 4])
  })
})

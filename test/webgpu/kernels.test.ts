/** Every kernel on the webgpu device against its plain cells: as gpu.js translates it, and as the device runs it. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { embedding, gather } from '../../kernels/indexing.ts'
import { type Cells, defineKernel, elementwise, type Kernel, type KernelThis } from '../../kernels/kernel.ts'
import { stridedCopy } from '../../kernels/movement.ts'
import { maxAxis, sumAxis } from '../../kernels/reduce.ts'
import type { DeviceBuffer, TypedArray } from '../../src/device/device.ts'
import { runPlain } from '../../src/device/plain.ts'
import { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { PlainKernels } from '../../src/device/webgpu/plain.ts'
import { cellCount, everyKernel, expectCells, type Launch } from '../device/launches.ts'
import { describeWebgpu } from './adapter.ts'

const kernels = await everyKernel()
const names = kernels.map((k) => [`${k.file} ${k.kernel.name}`, k] as const)

describeWebgpu('kernels on webgpu', () => {
  let device: WebGpuDevice
  const plain = new PlainKernels()

  beforeAll(async () => {
    device = await WebGpuDevice.open()
    await plain.prepare()
  })
  afterAll(() => device.destroy())

  type Value = Launch['parameters'][number] | Float32Array

  /** The cells of one launch: tuned where there is a tuned kernel, unless `translated` asks for the plain one. */
  async function cells(
    kernel: Kernel,
    { grid, parameters }: { grid: Launch['grid']; parameters: readonly Value[] },
    translated: boolean,
  ): Promise<TypedArray> {
    const made: DeviceBuffer[] = []
    const upload = (values: Exclude<Value, number>) => {
      const buffer = device.allocate(values instanceof Int32Array ? 'int32' : 'float32', values.length)
      device.write(buffer, values)
      made.push(buffer)
      return buffer
    }
    const given = parameters.map((p) => (typeof p === 'number' ? p : upload(p)))
    const output = device.allocate('float32', cellCount(grid))
    made.push(output)
    if (translated) plain.launch(device, kernel, output as never, grid, given as never)
    else device.launch(kernel, output, grid, given)
    const result = await device.read(output)
    for (const buffer of made) device.release(buffer)
    return result
  }

  // float32 exp, log and division of WGSL are allowed 3 units in the last place and more, where JavaScript's are exact to
  // one: 2^-22 on top of what the kernel's own bound allows for rounding.
  const bounds = (bound: number) => bound + 2 ** -22

  // Reads wait for the device, about a millisecond each in software, so several launches wait together: 200 in all.
  const together = 4
  test.each(names)('%s', async (_, { kernel, draw, bound }) => {
    await fc.assert(
      fc.asyncProperty(fc.gen(), async (g) => {
        const launches = Array.from({ length: together }, () => draw(g))
        await Promise.all(
          launches.flatMap((launch) =>
            [true, false].map(async (translated) => {
              const expected = new Float64Array(cellCount(launch.grid))
              runPlain(kernel, expected, launch.grid, launch.parameters)
              const got = Float32Array.from(await cells(kernel, launch, translated))
              const what = translated ? 'translated' : 'as the device runs it'
              expectCells(got, Float32Array.from(expected), bounds(bound), what)
            }),
          ),
        )
      }),
      { numRuns: 200 / together },
    )
  })

  test.each([true, false])('sums and maxima over more than 5,000 (translated: %s)', async (translated) => {
    // gpu.js stops loops at 1,000 without a word unless told otherwise.
    const x = Float32Array.from({ length: 5003 }, (_, i) => (i === 5002 ? 7 : 1))
    expect([...(await cells(sumAxis, { grid: [1, 1, 1], parameters: [x, 5003, 1] }, translated))]).toEqual([5009])
    expect([...(await cells(maxAxis, { grid: [1, 1, 1], parameters: [x, 5003, 1] }, translated))]).toEqual([7])
  })

  // 2^24 + 1 is the first integer that float32 does not hold: a float index reads the cell before.
  test.each([true, false])('places are exact past 2^24 (translated: %s)', async (translated) => {
    const table = new Float32Array(2 ** 24 + 16)
    for (let i = 0; i < 16; i++) table[2 ** 24 + i] = i + 1
    const last = Int32Array.of(2 ** 20)
    const read = async (kernel: Kernel, grid: Launch['grid'], parameters: readonly Value[]) => [
      ...(await cells(kernel, { grid, parameters }, translated)),
    ]
    expect(await read(embedding, [3, 1, 1], [table, last, 16])).toEqual([1, 2, 3])
    expect(
      (await read(gather, [1, 1, 2 ** 20 + 1], [table, new Int32Array(2 ** 20 + 1).fill(3), 16, 1, 1])).at(-1),
    ).toBe(4)
    expect(await read(stridedCopy, [3, 1, 1], [table, 2 ** 24 + 1, 1, 1, 1, 0, 0, 0, 0, 0, 1])).toEqual([2, 3, 4])
    expect(await read(stridedCopy, [1, 1, 4], [table, 2 ** 24, 1, 1, 4, 0, 0, 0, 1, 0, 0])).toEqual([1, 2, 3, 4])
  })

  test('a map over more than 2^24 cells reaches every one', async () => {
    const n = 2 ** 24 + 9
    const increment = elementwise(function increment(x: number): number {
      return x + 1
    })
    await device.prepare()
    const [x, y, rows] = [device.allocate('float32', n), device.allocate('float32', n), device.allocate('float32', n)]
    // Zeros: a fresh buffer's contents are unspecified.
    device.write(x, new Float32Array(n))
    device.launch(increment, y, [n, 1, 1], [x, 0, 0, 1])
    const values = await device.read(y)
    expect(values.length).toBe(n)
    expect(values.every((value) => value === 1)).toBe(true)
    // And through strides, where the index is computed: row i of two columns that lie n / 2 apart... transposed back.
    const half = (n - 1) / 2
    device.launch(increment, rows, [2, half, 1], [y, 0, 1, half])
    const strided = (await device.read(rows)).subarray(0, 2 * half)
    expect(strided.every((value) => value === 2)).toBe(true)
    for (const buffer of [x, y, rows]) device.release(buffer)
  })

  test('a kernel declared after the device was made ready asks to be prepared, and runs then', async () => {
    const fresh = new PlainKernels()
    const late = defineKernel(
      function late(this: KernelThis, x: Cells): number {
        return 3 * x[this.thread.x]
      },
      { x: 'array' },
    )
    const output = device.allocate('float32', 1)
    expect(() => fresh.launch(device, late, output as never, [1, 1, 1], [output as never])).toThrow(
      /kernel late was declared after the device was made ready; call await device\('webgpu'\) again/,
    )
    await device.prepare()
    expect([...(await cells(late, { grid: [2, 1, 1], parameters: [Float32Array.of(1, 2)] }, false))]).toEqual([3, 6])
    device.release(output)
  })

  test('integers that float32 does not hold are refused', () => {
    const buffer = device.allocate('int32', 2)
    expect(() => device.write(buffer, [1, 2 ** 24 + 1])).toThrow(/int32 element 1 is 16777217; .* exact to 2\^24/)
    device.release(buffer)
  })

  test('a buffer that pending commands read keeps its values for them when the host writes it anew', async () => {
    const double = elementwise(function double(x: number): number {
      return 2 * x
    })
    await device.prepare()
    const [x, y, z] = [1, 2, 3].map(() => device.allocate('float32', 4))
    device.write(x, [1, 2, 3, 4])
    device.launch(double, y, [4, 1, 1], [x, 0, 0, 1])
    device.write(x, [10, 20, 30, 40])
    device.launch(double, z, [4, 1, 1], [x, 0, 0, 1])
    expect([...(await device.read(y)), ...(await device.read(z))]).toEqual([2, 4, 6, 8, 20, 40, 60, 80])
    for (const buffer of [x, y, z]) device.release(buffer)
  })
})

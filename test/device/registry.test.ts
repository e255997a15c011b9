/** Devices by name: which there are, when they are ready, which one is the default, and what every one promises. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { sumAxis } from '../../kernels/reduce.ts'
import type { Device } from '../../src/device/device.ts'
import { ReferenceDevice } from '../../src/device/reference/reference.ts'
import { findDevice } from '../../src/device/registry.ts'
import { defaultDevice, device, deviceNames, registerDevice, setDevice, tensor } from '../../src/index.ts'

afterEach(() => setDevice('cpu'))

describe('registry', () => {
  // Runs first: nothing has asked for gpujs yet.
  test('a device that nobody readied says how to', async () => {
    expect(() => findDevice('gpujs')).toThrow(
      /^device: 'gpujs' is not ready; call await device\('gpujs'\) or await setDevice\('gpujs'\) first/,
    )
    expect(() => tensor([1], { device: 'gpujs' })).toThrow(/'gpujs' is not ready/)
    expect((await device('gpujs')).name).toBe('gpujs')
    expect(findDevice('gpujs')).toBe(await device('gpujs'))
  })

  test('where gpu.js is not installed, it is asked for by name', async () => {
    vi.resetModules()
    vi.doMock('gpu.js', () => {
      throw new Error("Cannot find package 'gpu.js'")
    })
    try {
      // Loaded afresh, as in a process that has not seen gpu.js.
      const { loadLibrary } = await import('../../src/device/gpujs/library.ts')
      await expect(loadLibrary('gpujs device')).rejects.toThrow(
        /^gpujs device: gpu\.js translates the kernels that a program declares itself.*install it: npm install gpu\.js@2\.24\.1/s,
      )
    } finally {
      vi.doUnmock('gpu.js')
      vi.resetModules()
    }
  })

  test('an unknown device names those there are', async () => {
    await expect(device('abacus')).rejects.toThrow(
      /^device: there is no device 'abacus'; there are reference, cpu, gpujs/,
    )
    await expect(setDevice('abacus')).rejects.toThrow(/there is no device 'abacus'/)
    expect(() => tensor([1], { device: 'abacus' })).toThrow(/there is no device 'abacus'/)
    expect(defaultDevice().name).toBe('cpu')
    expect(deviceNames()).toEqual(expect.arrayContaining(['reference', 'cpu', 'gpujs']))
  })

  test('auto says which device it took', async () => {
    expect(deviceNames()).toContain((await device()).name)
    expect(await device('auto')).toBe(await device())
    expect((await setDevice('auto')).name).toBe(defaultDevice().name)
  })

  test('the default device is where new tensors lie', async () => {
    expect(tensor([1]).device).toBe('cpu')
    await setDevice('reference')
    expect(tensor([1])).toMatchObject({ device: 'reference', dtype: 'float64' })
    await setDevice('gpujs')
    expect(tensor([1])).toMatchObject({ device: 'gpujs', dtype: 'float32' })
  })

  test('a registered device is made once, also when two ask at once, and again after a failure', async () => {
    const made = new ReferenceDevice()
    const make = vi.fn<() => Promise<Device>>()
    make.mockRejectedValueOnce(new Error('no adapter'))
    make.mockImplementation(() => new Promise((resolve) => setTimeout(() => resolve(made), 5)))
    registerDevice('late', make)
    await expect(device('late')).rejects.toThrow('no adapter')
    expect(() => findDevice('late')).toThrow(/not ready/)
    expect(await Promise.all([device('late'), device('late')])).toEqual([made, made])
    expect(await device('late')).toBe(made)
    expect(make).toHaveBeenCalledTimes(2)
  })
})

describe.each(['reference', 'cpu', 'gpujs'])('the contract on %s', (name) => {
  test('reads what was written and launched, in order, as a copy', async () => {
    const d = await device(name)
    const before = d.statistics()
    const x = d.allocate(d.floatType, 6)
    const y = d.allocate(d.floatType, 2)
    d.write(x, [1, 2, 3, 4, 5, 6])
    d.launch(sumAxis, y, [1, 1, 2], [x, 3, 1])
    const read = d.read(y)
    d.write(x, [0, 0, 0, 0, 0, 1])
    d.launch(sumAxis, y, [1, 1, 2], [x, 3, 1])
    expect([...(await read)]).toEqual([6, 15])
    const copy = await d.read(y)
    expect([...copy]).toEqual([0, 1])
    copy.fill(9)
    expect([...(await d.read(y))]).toEqual([0, 1])
    const bytes = d.floatType === 'float64' ? 64 : 32
    expect(d.statistics()).toEqual({ buffers: before.buffers + 2, bytes: before.bytes + bytes })
    d.release(x)
    d.release(y)
    expect(d.statistics()).toEqual(before)
  })

  test('holds int32 and floats of its own type', async () => {
    const d = await device(name)
    const i = d.allocate('int32', 2)
    d.write(i, [-3, 2 ** 24])
    expect(await d.read(i)).toEqual(Int32Array.of(-3, 2 ** 24))
    const f = d.allocate(d.floatType, 1)
    d.write(f, [0.1])
    expect((await d.read(f))[0]).toBe(d.floatType === 'float64' ? 0.1 : Math.fround(0.1))
    d.release(i)
    d.release(f)
  })
})

test('gpujs refuses integers that gpu.js would round', async () => {
  const d = await device('gpujs')
  const buffer = d.allocate('int32', 2)
  expect(() => d.write(buffer, [0, 2 ** 24 + 1])).toThrow(
    /^gpujs device: int32 element 1 is 16777217; gpu.js holds integers as float32, exact to 2\^24 = 16777216/,
  )
  d.release(buffer)
})

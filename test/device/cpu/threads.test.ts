/** The threads of the cpu device: each does its share of a task's items, programs meet at barriers, processes end. */
import { execFileSync } from 'node:child_process'
import { buildSync } from 'esbuild'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { adamW } from '../../../kernels/fused-optimizer.ts'
import { CpuDevice } from '../../../src/device/cpu/cpu.ts'
import { SluiceError } from '../../../src/errors.ts'

const devices = [1, 2, 3].map((threads) => new CpuDevice({ threads }))
afterAll(() => {
  for (const device of devices) device.destroy()
})

/** One step of AdamW over parameters of these sizes, all of them from the same generator. */
function adamWStep(device: CpuDevice, sizes: readonly number[], steps: number): Float32Array[] {
  let seed = 1
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647 - 0.5
  const buffer = (size: number) => {
    const made = device.allocate('float32', size)
    device.write(made, Float32Array.from({ length: size }, random))
    return made
  }
  const values = device.allocate('float32', 3 * sizes.length)
  device.write(
    values,
    sizes.flatMap(() => [0.01, 0.1, 0.05]),
  )
  const outputs = sizes.flatMap((size) => [buffer(size), buffer(size), buffer(size)])
  for (let i = 2; i < outputs.length; i += 3) device.write(outputs[i], outputs[i].values.map(Math.abs))
  const each = sizes.flatMap((size, i) => [buffer(size), size, i, 0.1])
  const parameters = [values, values, 0.9, 0.95, 1e-8, ...each]
  for (let i = 0; i < steps; i++) device.launchFused(adamW[sizes.length - 1], outputs, parameters)
  const result = outputs.map((output) => Float32Array.from(output.values))
  for (const b of [values, ...outputs, ...each.filter((x) => typeof x !== 'number')]) device.release(b)
  return result
}

describe('threads', () => {
  test('take part once they have started', async () => {
    const [, two] = devices
    adamWStep(two, [100_000], 1)
    const start = Date.now()
    while (two.pool.ready < 2 && Date.now() - start < 10_000) await new Promise((done) => setTimeout(done, 5))
    expect(two.pool.ready).toBe(2)
  })

  test('give the same bits, however many they are', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1000, max: 9000 }))
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 3 }), (sizes) => {
        const [one, ...others] = devices.map((device) => adamWStep(device, sizes, 2))
        for (const other of others) expect(other).toEqual(one)
      }),
      { numRuns: 200 },
    )
  })

  test('are refused where they cannot be', () => {
    expect(() => new CpuDevice({ threads: 0 })).toThrow(SluiceError)
    expect(() => new CpuDevice({ threads: 1.5 })).toThrow('expected an integer of at least 1')
  })
})

describe('a process with threads', () => {
  const bundle = '.cache/threads-test.mjs'
  const run = (body: string): string => {
    buildSync({
      stdin: {
        contents: `import { CpuDevice } from './src/device/cpu/cpu.ts'\n${body}`,
        resolveDir: '.',
        loader: 'ts',
      },
      outfile: bundle,
      bundle: true,
      format: 'esm',
      platform: 'node',
      external: ['gpu.js', 'webgpu'],
    })
    return execFileSync(process.execPath, [bundle], { encoding: 'utf8', timeout: 30_000 })
  }
  const work = `
    import { adamW } from './kernels/fused-optimizer.ts'
    const device = new CpuDevice({ threads: 2 })
    const n = 100000
    const [p, m, v, g, values] = [n, n, n, n, 3].map((size) => device.allocate('float32', size))
    for (const b of [p, m, v, g, values]) device.write(b, new Float32Array(b.length).fill(0.5))
    const step = () => device.launchFused(adamW[0], [p, m, v], [values, values, 0.9, 0.95, 1e-8, g, n, 0, 0])
    step()
    while (device.pool.ready < 2) await new Promise((done) => setTimeout(done, 5))
    for (let i = 0; i < 100; i++) step()
  `

  test('ends by itself', () => {
    expect(run(`${work}\nconsole.log('done')`)).toBe('done\n')
  })

  test('runs modules that come while a thread wakes up', () => {
    // A worker sleeps after some hundred microseconds. That it misses a job would end in waiting for ever.
    const text = run(`
      import { integers, WasmModule } from './kernels/tuned/wasm/assembler.ts'
      import { i32 } from './kernels/tuned/wasm/instructions.ts'
      import { task, withRange } from './kernels/tuned/wasm/task.ts'
      const device = new CpuDevice({ threads: 2 })
      const out = device.allocate('int32', 2)
      const fresh = () =>
        new WasmModule().function('count', { ...integers('out'), ...withRange }, (f, { out, from, to }) => {
          const item = f.local('i32', i32.add(out, i32.shl(from, 2)))
          f.times(i32.sub(to, from), () => f.store(item, i32.add(i32.load(item), 1)))
        })
      const count = () => device.pool.run(task(fresh(), { out: out.offset }, { items: 2, cost: 1e6 }))
      count()
      while (device.pool.ready < 2) await new Promise((done) => setTimeout(done, 5))
      device.write(out, [0, 0])
      for (let i = 0; i < 300; i++) {
        count()
        await new Promise((done) => setTimeout(done, i % 4))
      }
      console.log([...out.values].join())
      process.exit()`)
    expect(text).toBe('300,300\n')
  })

  test('is idle while nothing runs', () => {
    const text = run(`${work}
      await new Promise((done) => setTimeout(done, 100))
      const before = process.cpuUsage()
      await new Promise((done) => setTimeout(done, 1000))
      const { user, system } = process.cpuUsage(before)
      console.log((user + system) / 1000)`)
    // A thread that looks at its job number all the time would take 1000 ms.
    expect(Number(text)).toBeLessThan(200)
  })
})

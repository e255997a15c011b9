/** Profiles: on webgpu by timestamps, on the cpu by the host's clock; the table and the trace at the end of a program. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Profile } from '../../src/device/profile.ts'
import { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { Profiler } from '../../src/device/webgpu/profiler.ts'
import { capture, device, registerDevice, type Tensor, tensor } from '../../src/index.ts'
import { describeWebgpu } from './adapter.ts'

const root = resolve(import.meta.dirname, '../..')
let folder: string
let program: string

/** A training step's sort of work: a product, a softmax, a sum. */
const source = `
  import { device, tensor } from ${JSON.stringify(join(root, 'src/index.ts'))}
  const name = process.argv[2]
  // Looks for adapters before the one that is timed is opened.
  if (name === 'webgpu') await device('auto')
  await device(name)
  const x = tensor([[1, 2], [3, 4]], { device: name })
  for (let i = 0; i < 3; i++) await x.matmul(x).softmax().sum().item()
`

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-profile-'))
  // Beside node_modules, where the program finds its packages.
  program = join(root, '.cache', `profile-test-${process.pid}.mjs`)
  await build({
    stdin: { contents: source, resolveDir: root },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile: program,
    logLevel: 'error',
  })
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await rm(program, { force: true })
})

async function run(name: string, environment: Record<string, string>) {
  const options = { cwd: folder, env: { ...process.env, ...environment }, timeout: 60_000 }
  return promisify(execFile)(process.execPath, [program, name], options)
}

interface Trace {
  traceEvents: { name: string; ph: string; ts?: number; dur?: number; pid: number }[]
}

const readTrace = async (path: string) => JSON.parse(await readFile(join(folder, path), 'utf8')) as Trace

/** The table's rows as written: kernel, calls, total, mean, share; what speeds follow is left out. */
function rowsOf(stderr: string) {
  const rows = [...stderr.matchAll(/^ {2}(\S.*?) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) %(?: .*)?$/gm)]
  return rows.map(([, kernel, ...numbers]) => ({ kernel, numbers: numbers.map(Number) }))
}

describe('the profile of a program on the cpu', () => {
  test('is written at its end, with the trace', async () => {
    const { stderr } = await run('cpu', { SLUICE_PROFILE: '1' })
    expect(stderr).toMatch(/profile of cpu: \d+ calls, [\d.]+ ms/)
    const rows = rowsOf(stderr)
    expect(rows.find(({ kernel }) => /matmul/i.test(kernel))?.numbers[0]).toBe(3)
    // Five shares and more, each rounded to a tenth of a percent.
    const shares = rows.reduce((sum, { numbers }) => sum + numbers[3], 0)
    expect(Math.abs(shares - 100)).toBeLessThan(0.05 * rows.length + 0.01)
    const { traceEvents } = await readTrace('sluice-trace.json')
    const calls = rows.reduce((sum, { numbers }) => sum + numbers[0], 0)
    expect(traceEvents.filter(({ ph }) => ph === 'X')).toHaveLength(calls)
    expect(Math.min(...traceEvents.map(({ ts }) => ts ?? 0))).toBe(0)
  })

  test('is not there unless asked for', async () => {
    expect((await run('cpu', { SLUICE_PROFILE: '' })).stderr).toBe('')
  })
})

describe('a profile', () => {
  test('adds up calls of one kernel, longest first, and names the program that ran', () => {
    const profile = new Profile('webgpu', true)
    profile.add('sum', 'sum', 10, 2000)
    profile.add('matmul', 'matmulTiles', 2010, 3000)
    profile.add('sum', 'sum', 5010, 3000)
    expect(profile.rows()).toEqual([
      { kernel: 'sum', calls: 2, milliseconds: 5, share: 5 / 8, gigaflops: 0, gigabytes: 0 },
      { kernel: 'matmul > matmulTiles', calls: 1, milliseconds: 3, share: 3 / 8, gigaflops: 0, gigabytes: 0 },
    ])
    expect(`${profile}`).toBe(
      [
        'profile of webgpu: 3 calls, 8.0 ms',
        '  kernel                calls  total ms  mean us   share',
        '  sum                       2      5.00   2500.0  62.5 %',
        '  matmul > matmulTiles      1      3.00   3000.0  37.5 %',
      ].join('\n'),
    )
    profile.reset()
    expect(profile.rows()).toEqual([])
  })

  test('tells the speed where the work is known', () => {
    const profile = new Profile('cpu', true)
    profile.add('matmul', 'matmul', 0, 1000, { operations: 4e7, bytes: 8e6 })
    profile.add('sum', 'sum', 1000, 500)
    const [product] = profile.rows()
    expect([product.gigaflops, product.gigabytes]).toEqual([40, 8])
    expect(`${profile}`).toBe(
      [
        'profile of cpu: 2 calls, 1.5 ms',
        '  kernel  calls  total ms  mean us   share  GFLOP/s  GB/s',
        '  matmul      1      1.00   1000.0  66.7 %     40.0   8.0',
        '  sum         1      0.50    500.0  33.3 %               ',
      ].join('\n'),
    )
  })

  test('without timestamps says so, and counts', () => {
    const profiler = new Profiler({ features: new Set() } as unknown as GPUDevice)
    for (let i = 0; i < 3; i++) expect(profiler.passDescriptor('sum', 'sum')).toBeUndefined()
    return profiler.profile().then((profile) => {
      expect(`${profile}`).toMatch(/no timestamps \(timestamp-query\), so calls are only counted/)
      expect(`${profile}`).toMatch(/sum +3$/m)
    })
  })
})

describeWebgpu('profile on webgpu', () => {
  test('a program writes table and trace, to the path asked for', async () => {
    const { stderr } = await run('webgpu', { SLUICE_PROFILE: '1', SLUICE_PROFILE_TRACE: 'gpu.json' })
    expect(stderr).toMatch(/profile of webgpu: \d+ calls, [\d.]+ ms/)
    const rows = rowsOf(stderr)
    expect(rows.find(({ kernel }) => /matmul/i.test(kernel))?.numbers[0]).toBe(3)
    const calls = rows.reduce((sum, { numbers }) => sum + numbers[0], 0)
    const events = (await readTrace('gpu.json')).traceEvents.filter(({ ph }) => ph === 'X')
    expect(events).toHaveLength(calls)
    // One queue runs one dispatch after another here, in the order in which they were made.
    for (const [i, { ts, dur }] of events.entries()) {
      expect(dur).toBeGreaterThanOrEqual(0)
      if (i > 0) expect(ts).toBeGreaterThanOrEqual(events[i - 1].ts!)
    }
    // Unrounded: Dawn would give multiples of 65.536 us otherwise.
    expect(events.some(({ dur }) => Math.abs(dur! - 65.536 * Math.round(dur! / 65.536)) > 0.01)).toBe(true)
  })

  test('counts the dispatches of replays, beyond one set of queries', async () => {
    registerDevice('profiled', () => WebGpuDevice.open({ profile: true }))
    const gpu = (await device('profiled')) as WebGpuDevice
    const x = tensor([1, 2, 3, 4], { device: 'profiled' })
    const program = capture((t: Tensor) => [t.mul(2).add(1).exp().sum()])
    const results: number[] = []
    // More than 2048 dispatches, the number that one set holds: each replay is four at least.
    const REPLAYS = 600
    for (let i = 0; i < REPLAYS; i++) {
      const [sum] = program(x)
      if (i === 0 || i === REPLAYS - 1) results.push(await sum.item())
      sum.dispose()
    }
    const rows = (await gpu.profile()).rows()
    const exp = rows.find(({ kernel }) => kernel.includes('exp'))!
    expect(exp.calls).toBeGreaterThanOrEqual(REPLAYS)
    expect(results[1]).toBe(results[0])
    expect(rows.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9)
    program.dispose()
    gpu.destroy()
  })

  test('is refused by a device that was not told to', async () => {
    const gpu = await WebGpuDevice.open({ profile: false })
    await expect(gpu.profile()).rejects.toThrow(/it does not profile; open it with \{ profile: true \}/)
    gpu.destroy()
  })
})

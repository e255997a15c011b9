/** What the cpu device does where something is missing: it runs with less, or says in one sentence what is missing and what to do. */
import { EventEmitter } from 'node:events'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { adamW } from '../../../kernels/fused-optimizer.ts'
import { CpuDevice } from '../../../src/device/cpu/cpu.ts'
import type { CpuOptions } from '../../../src/device/cpu/options.ts'
import { cpuSettings } from '../../../src/device/cpu/settings.ts'
import { environmentVariable } from '../../../src/environment.ts'
import { DeviceFault, SluiceError } from '../../../src/errors.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

/** The sentence that the settings are refused with. */
function refusal(options: CpuOptions = {}): string {
  try {
    cpuSettings(options)
  } catch (error) {
    expect(error).toBeInstanceOf(SluiceError)
    return (error as Error).message
  }
  throw new Error('they were not refused')
}

describe('threads', () => {
  test('are as many as asked for, by the option before the environment', () => {
    vi.stubEnv('SLUICE_THREADS', '3')
    expect(cpuSettings({})).toMatchObject({ threads: 3, threadsReason: 'it was asked for' })
    expect(cpuSettings({ threads: 2 })).toMatchObject({ threads: 2, threadsReason: 'it was asked for' })
    vi.stubEnv('SLUICE_THREADS', '')
    expect(cpuSettings({}).threadsReason).toMatch(/^one a processor$|^more gain nothing/)
  })

  const missing = {
    'shared memory': () => vi.stubGlobal('SharedArrayBuffer', undefined),
    'Cross-Origin-Opener-Policy: same-origin': () => vi.stubGlobal('crossOriginIsolated', false),
    'start Node with --allow-worker': () => vi.stubGlobal('process', { ...process, permission: { has: () => false } }),
  }
  test.each(Object.entries(missing))('are one where there can be no more, and more are refused: %s', (what, take) => {
    vi.stubEnv('SLUICE_THREADS', '')
    take()
    const { threads, threadsReason } = cpuSettings({})
    expect(threads).toBe(1)
    expect(threadsReason).toContain(what)
    expect(cpuSettings({ threads: 1 }).threads).toBe(1)
    expect(refusal({ threads: 2 })).toMatch(/^cpu device: 2 threads: .*; or ask for 1/)
  })
})

describe('WebAssembly', () => {
  test('is named where there is none, with what to do', () => {
    vi.stubGlobal('WebAssembly', undefined)
    for (const simd of ['plain', 'relaxed'] as const) {
      expect(refusal({ simd })).toMatch(/^cpu device: it computes in WebAssembly, which .*--device reference/)
    }
  })

  test('is refused without vectors', () => {
    vi.spyOn(WebAssembly, 'Module').mockImplementation(function refuse(): never {
      throw new WebAssembly.CompileError('Wasm SIMD unsupported')
    })
    for (const simd of ['plain', 'relaxed'] as const) {
      expect(refusal({ simd })).toMatch(
        /^cpu device: it computes in vectors of WebAssembly \(SIMD\), .*--device reference/,
      )
    }
  })

  test('is a fault of the device where the system has no room for its memory', () => {
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(function refuse(): never {
      throw new RangeError('could not allocate memory')
    })
    expect(() => cpuSettings({ simd: 'plain' })).toThrow(DeviceFault)
    expect(refusal({ simd: 'plain' })).toMatch(
      /no room for its memory \(could not .*ulimit -v.*--disable-wasm-trap-handler/,
    )
  })
})

describe('workers that cannot be started', () => {
  /** Has the device find this class in place of Node's. */
  function stubWorker(Worker: unknown): void {
    const given = process.getBuiltinModule
    vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) =>
      name === 'node:worker_threads' ? { Worker } : given(name)) as typeof given)
  }

  /** What a step of AdamW that is worth two threads makes of its parameters. */
  function updated(cpu: CpuDevice): Float32Array {
    const n = 100_000
    const buffers = [n, n, n, n, 3].map((size) => cpu.allocate('float32', size))
    for (const [i, b] of buffers.entries()) cpu.write(b, new Float32Array(b.length).fill(0.5 + i))
    const [p, m, v, g, values] = buffers
    cpu.launchFused(adamW[0], [p, m, v], [values, values, 0.9, 0.95, 1e-8, g, n, 0, 0])
    return Float32Array.from(p.values)
  }

  const alone = updated(new CpuDevice({ threads: 1 }))

  test('are done without, with one warning', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    stubWorker(function refuse(): never {
      throw new Error('Access to this API has been restricted')
    })
    const cpu = new CpuDevice({ threads: 2 })
    expect(updated(cpu)).toEqual(alone)
    expect(updated(cpu)).toEqual(alone)
    expect(warn.mock.calls).toEqual([
      ['sluice: computing in one thread, since no other could be started: Access to this API has been restricted'],
    ])
  })

  test('are ended where one fails later', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const started: Late[] = []
    class Late extends EventEmitter {
      terminate = vi.fn()
      unref(): void {}
      postMessage(): void {
        if (!started.includes(this)) started.push(this)
      }
    }
    stubWorker(Late)
    const cpu = new CpuDevice({ threads: 3 })
    expect(updated(cpu)).toEqual(alone)
    expect(started).toHaveLength(2)
    for (const worker of started) worker.emit('error', new Error('out of memory'))
    expect(warn).toHaveBeenCalledTimes(1)
    for (const { terminate } of started) expect(terminate).toHaveBeenCalledTimes(1)
    expect(updated(cpu)).toEqual(alone)
    expect(started).toHaveLength(2)
    expect(cpu.pool.ready).toBe(1)
  })
})

describe('the environment', () => {
  test('is empty where it may not be read', () => {
    vi.stubEnv('SLUICE_THREADS', '3')
    expect(environmentVariable('SLUICE_THREADS')).toBe('3')
    expect(environmentVariable('SLUICE_NEVER_SET')).toBeUndefined()
    const env = new Proxy(
      {},
      {
        get(): never {
          throw new Error('Requires env access')
        },
      },
    )
    vi.stubGlobal('process', { ...process, env })
    expect(environmentVariable('SLUICE_THREADS')).toBeUndefined()
    vi.stubGlobal('process', undefined)
    expect(environmentVariable('SLUICE_THREADS')).toBeUndefined()
  })
})

/** `sluice info`: what is printed of a machine, and that it agrees with what `device('auto')` does on this one. */
import { describe, expect, it } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { formatInfo, gatherInfo, type Info, infoCommand } from '../../src/cli/info.ts'
import { describeAdapter } from '../../src/device/webgpu/adapter.ts'
import { device } from '../../src/index.ts'

const machine: Pick<Info, 'sluice' | 'runtime' | 'platform' | 'cpu'> = {
  sluice: '1.2.3',
  runtime: 'Node 20.20.2, V8 11.3',
  platform: 'linux x64',
  cpu: {
    name: 'Some CPU',
    cores: 8,
    found: true,
    threads: 8,
    threadsReason: 'one a processor',
    simd: 'relaxed',
    reason: 'vectors of 256 bits need Node 24 or later',
  },
}

const withGpu: Info = {
  ...machine,
  webgpu: {
    found: true,
    adapter: {
      implementation: 'Dawn (webgpu 0.6.2)',
      vendor: 'nvidia',
      architecture: 'hopper',
      name: 'NVIDIA H100',
      driver: '',
      isSoftware: false,
      features: ['timestamp-query', 'subgroups'],
      limits: {
        maxBufferSize: 2 ** 40,
        maxStorageBufferBindingSize: 2 ** 31 - 4,
        maxStorageBuffersPerShaderStage: 16,
        maxComputeWorkgroupStorageSize: 49152,
        maxComputeInvocationsPerWorkgroup: 1024,
      },
    },
  },
  auto: { device: 'webgpu', reason: 'a hardware adapter answers' },
}

describe('sluice info', () => {
  it('prints adapter, features, limits, and what auto takes', () => {
    expect(formatInfo(withGpu)).toBe(`sluice
  version   1.2.3
  runtime   Node 20.20.2, V8 11.3
  platform  linux x64

cpu
  processor    Some CPU, 8 cores
  computes in  float32, WebAssembly
  threads      8 (one a processor)
  vectors      relaxed (vectors of 256 bits need Node 24 or later)

webgpu
  implementation  Dawn (webgpu 0.6.2)
  adapter         NVIDIA H100
  vendor          nvidia
  architecture    hopper
  driver          -
  kind            hardware
  features used   timestamp-query, subgroups

  limits used
    maxBufferSize                      1 TiB
    maxStorageBufferBindingSize        2.00 GiB
    maxStorageBuffersPerShaderStage    16
    maxComputeWorkgroupStorageSize     48 KiB
    maxComputeInvocationsPerWorkgroup  1024

device('auto')
  takes    webgpu
  because  a hardware adapter answers`)
  })

  it('says what was tried and what to install where there is no adapter', () => {
    const reason = `${'looked here and there '.repeat(8)}: install the driver`
    const text = formatInfo({
      ...machine,
      webgpu: { found: false, implementation: 'Dawn (webgpu 0.6.2)', reason },
      auto: { device: 'cpu', reason: 'no WebGPU adapter answers' },
    })
    expect(text).toMatch(/adapter +none/)
    expect(text.replace(/\s+/g, ' ')).toContain(reason.replace(/\s+/g, ' '))
    // 18 columns of names before 90 of text.
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(18 + 91)
  })

  it('says why nothing computes on the cpu', () => {
    const reason = 'cpu device: it computes in WebAssembly, which this engine does not have'
    const text = formatInfo({ ...withGpu, cpu: { name: 'Some CPU', cores: 1, found: false, reason } })
    expect(text).toContain(`
cpu
  processor    Some CPU, 1 core
  computes in  nothing
  reason       ${reason}
`)
  })

  it('names an adapter by its description where a runtime gives numbers', () => {
    const info = { vendor: '65541', architecture: '', device: '0', description: 'llvmpipe (LLVM 15.0.6, 256 bits)' }
    const adapter = { info, features: new Set(), limits: {} } as unknown as GPUAdapter
    expect(describeAdapter(adapter, 'navigator.gpu')).toMatchObject({ name: info.description, isSoftware: true })
  })

  it('agrees with the registry, here', async () => {
    const info = await gatherInfo()
    expect(info.sluice).toBe(packageJson.version)
    expect(info.auto.device).toBe((await device('auto')).name)
    if (!info.webgpu.found) expect(info.webgpu.reason).toMatch(/install/)
    else expect(info.webgpu.adapter.implementation).toMatch(/^Dawn \(webgpu \d+\.\d+\.\d+\)$/)
  })

  it('gives the same as JSON', async () => {
    const log = console.log
    let printed = ''
    console.log = (text: string) => {
      printed += text
    }
    try {
      await infoCommand.run(['--json'])
    } finally {
      console.log = log
    }
    expect(JSON.parse(printed)).toEqual(await gatherInfo())
  })
})

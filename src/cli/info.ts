/** `sluice info`: what Sluice runs on here, which device 'auto' takes, and what is missing for a GPU. */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cpuSettings } from '../device/cpu/settings.ts'
import type { SimdChoice } from '../device/cpu/simd.ts'
import { type AdapterDescription, describeAdapter, findAdapter } from '../device/webgpu/adapter.ts'

const usage = `usage: sluice info [--json]

  --json   the same as JSON`

/** What WebGPU gives here: an adapter, or the reason why there is none. */
type WebGpuInfo =
  | { readonly found: true; readonly adapter: AdapterDescription }
  | { readonly found: false; readonly implementation: string; readonly reason: string }

export interface Info {
  readonly sluice: string
  readonly runtime: string
  readonly platform: string
  readonly cpu: { readonly name: string; readonly cores: number; readonly threads: number } & SimdChoice
  readonly webgpu: WebGpuInfo
  readonly auto: { readonly device: string; readonly reason: string }
}

/** Of the package that this file is part of, built or not. */
async function ownVersion(): Promise<string> {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => '{}')
    const { name, version } = JSON.parse(text) as { name?: string; version?: string }
    if (name === 'sluice' && version !== undefined) return version
    if (folder === dirname(folder)) return 'unknown'
  }
}

async function webgpuInfo(): Promise<WebGpuInfo> {
  const { adapter, implementation, reason } = await findAdapter()
  if (!adapter) return { found: false, implementation, reason }
  return { found: true, adapter: describeAdapter(adapter, implementation) }
}

/** What `device('auto')` takes: the rule of the registry, with its reason. */
function chosen(webgpu: WebGpuInfo): Info['auto'] {
  if (!webgpu.found) return { device: 'cpu', reason: 'no WebGPU adapter answers' }
  if (webgpu.adapter.isSoftware) {
    return { device: 'cpu', reason: 'the WebGPU adapter is software, slower than the cpu device' }
  }
  return { device: 'webgpu', reason: 'a hardware adapter answers' }
}

export async function gatherInfo(): Promise<Info> {
  const webgpu = await webgpuInfo()
  const cores = cpus()
  const { threads, simd, reason } = cpuSettings({})
  return {
    sluice: await ownVersion(),
    runtime: `Node ${process.versions.node}, V8 ${process.versions.v8}`,
    platform: `${process.platform} ${process.arch}`,
    cpu: { name: cores[0]?.model.trim() || 'unknown', cores: cores.length, threads, simd, reason },
    webgpu,
    auto: chosen(webgpu),
  }
}

/** In a unit that keeps the number small; 4 bytes less than 4 GiB show as 4.00 GiB. */
function showBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const at = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10 + 1e-6)))
  const value = bytes / 2 ** (10 * at)
  return `${Number.isInteger(value) ? value : value.toFixed(2)} ${units[at]}`
}

/** Rows under a heading; an empty value shows as a dash. */
function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return [title, ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value || '-'}`)].join('\n')
}

/** Breaks a sentence into lines of at most 90 characters, those after the first indented. */
function wrapped(text: string, indent: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    if (lines.at(-1)!.length + word.length > 90) lines.push('')
    lines[lines.length - 1] += lines.at(-1) === '' ? word : ` ${word}`
  }
  return lines.join(`\n${indent}`)
}

function webgpuSection(webgpu: WebGpuInfo): string[] {
  if (!webgpu.found) {
    const indent = ' '.repeat(18)
    return [
      section('webgpu', [
        ['implementation', webgpu.implementation],
        ['adapter', 'none'],
        ['reason', wrapped(webgpu.reason, indent)],
      ]),
    ]
  }
  const { adapter } = webgpu
  return [
    section('webgpu', [
      ['implementation', adapter.implementation],
      ['adapter', adapter.name],
      ['vendor', adapter.vendor],
      ['architecture', adapter.architecture],
      ['driver', adapter.driver],
      ['kind', adapter.isSoftware ? 'software: computes on the CPU' : 'hardware'],
      ['features used', adapter.features.join(', ') || 'none'],
    ]),
    section(
      '  limits used',
      Object.entries(adapter.limits).map(([name, value]) => [
        `  ${name}`,
        /Size$/.test(name) ? showBytes(value) : String(value),
      ]),
    ),
  ]
}

export function formatInfo({ sluice, runtime, platform, cpu, webgpu, auto }: Info): string {
  return [
    section('sluice', [
      ['version', sluice],
      ['runtime', runtime],
      ['platform', platform],
    ]),
    section('cpu', [
      ['processor', `${cpu.name}, ${cpu.cores} cores`],
      ['computes in', `float32, WebAssembly; ${cpu.threads === 1 ? 'one thread' : `${cpu.threads} threads`}`],
      ['vectors', `${cpu.simd}${cpu.reason === undefined ? '' : ` (${cpu.reason})`}`],
    ]),
    ...webgpuSection(webgpu),
    section("device('auto')", [
      ['takes', auto.device],
      ['because', auto.reason],
    ]),
  ].join('\n\n')
}

export const infoCommand = {
  summary: 'what Sluice runs on here: devices, adapter, versions',
  usage,
  async run(given: string[]): Promise<void> {
    const { values } = parseArgs({ args: given, options: { json: { type: 'boolean' } } })
    const info = await gatherInfo()
    console.log(values.json ? JSON.stringify(info, null, 2) : formatInfo(info))
  },
}

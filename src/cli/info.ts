/** `sluice info`: what Sluice runs on here, which device 'auto' takes, and what is missing for a GPU. */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type CpuSettings, cpuSettings } from '../device/cpu/settings.ts'
import { type AdapterDescription, describeAdapter, findAdapter } from '../device/webgpu/adapter.ts'
import { SluiceError } from '../errors.ts'

const usage = `usage: sluice info [--json]

  --json   the same as JSON`

/** What WebGPU gives here: an adapter, or the reason why there is none. */
type WebGpuInfo =
  | { readonly found: true; readonly adapter: AdapterDescription }
  | { readonly found: false; readonly implementation: string; readonly reason: string }

/** How the cpu device computes here, or the reason why it cannot. */
type CpuInfo =
  | ({ readonly found: true } & Omit<CpuSettings, 'features'>)
  | { readonly found: false; readonly reason: string }

export interface Info {
  readonly sluice: string
  readonly runtime: string
  readonly platform: string
  readonly cpu: { readonly name: string; readonly cores: number } & CpuInfo
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

function cpuInfo(): CpuInfo {
  try {
    const { features: _, ...settings } = cpuSettings({})
    return { found: true, ...settings }
  } catch (error) {
    if (error instanceof SluiceError) return { found: false, reason: error.message }
    throw error
  }
}

/** What `device('auto')` takes: the rule of the registry, with its reason. */
function chosen(cpu: CpuInfo, webgpu: WebGpuInfo): Info['auto'] {
  if (webgpu.found && !webgpu.adapter.isSoftware) return { device: 'webgpu', reason: 'a hardware adapter answers' }
  const reason = webgpu.found
    ? 'the WebGPU adapter is software, slower than the cpu device'
    : 'no WebGPU adapter answers'
  return cpu.found ? { device: 'cpu', reason } : { device: 'none', reason: `${reason}, and cpu cannot work here` }
}

/** Its own name before Node's, whose place others take: 'Deno 2.9.6, as Node 26.3.0, V8 15.0'. */
function runtimeName({ bun, deno, node, v8 }: NodeJS.ProcessVersions): string {
  const own = bun ? `Bun ${bun}, as ` : deno ? `Deno ${deno}, as ` : ''
  // Bun's engine is JavaScriptCore; the V8 that it names is the one whose interface it offers.
  return `${own}Node ${node}${bun ? '' : `, V8 ${v8}`}`
}

export async function gatherInfo(): Promise<Info> {
  const [cpu, webgpu] = [cpuInfo(), await webgpuInfo()]
  const cores = cpus()
  return {
    sluice: await ownVersion(),
    runtime: runtimeName(process.versions),
    platform: `${process.platform} ${process.arch}`,
    cpu: { name: cores[0]?.model.trim() || 'unknown', cores: cores.length, ...cpu },
    webgpu,
    auto: chosen(cpu, webgpu),
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

function cpuSection(cpu: Info['cpu']): string {
  const indent = ' '.repeat(15)
  const why = (value: string | number, reason: string | undefined): string =>
    wrapped(reason === undefined ? String(value) : `${value} (${reason})`, indent)
  return section('cpu', [
    ['processor', `${cpu.name}, ${cpu.cores} ${cpu.cores === 1 ? 'core' : 'cores'}`],
    ...(cpu.found
      ? ([
          ['computes in', 'float32, WebAssembly'],
          ['threads', why(cpu.threads, cpu.threadsReason)],
          ['vectors', why(cpu.simd, cpu.reason)],
        ] as const)
      : ([
          ['computes in', 'nothing'],
          ['reason', wrapped(cpu.reason, indent)],
        ] as const)),
  ])
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
    cpuSection(cpu),
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

/** On what, with what and when it was measured. */
import { createRequire } from 'node:module'
import { arch, cpus, type } from 'node:os'

export interface Machine {
  readonly cpu: string
  /** That the operating system shows: hardware threads, not always cores. */
  readonly cores: number
  readonly system: string
  readonly node: string
  readonly v8: string
  readonly sluice: string
  /** ISO 8601, UTC, to the second. */
  readonly date: string
}

const { version } = createRequire(import.meta.url)('sluice/package.json') as { version: string }

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    system: `${type()} ${arch()}`,
    node: process.version,
    v8: process.versions.v8,
    sluice: version,
    date: `${new Date().toISOString().slice(0, 19)}Z`,
  }
}

export function showMachine({ cpu, cores, system, node, sluice, date }: Machine): string {
  return `${cpu}, ${cores} cores, ${system}; Node ${node}; sluice ${sluice}; ${date}`
}

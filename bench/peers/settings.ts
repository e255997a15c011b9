/** The options of both comparisons with other engines. */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { type Simd, simdNames } from '../cpu.ts'
import type { HashModelName } from '../hash-model.ts'
import { configNames, positiveInteger, positiveIntegerOr, someOf } from '../options.ts'

/** `limit` is a single-purpose program for the one model of the training step: what WebAssembly can reach. */
export const families = ['Sluice', 'limit', 'PyTorch', 'jax-js', 'TF.js'] as const
export type Family = (typeof families)[number]

export interface PeerSettings {
  /** The folder of the peers' scripts, where the npm peers are installed; without it there is only Sluice. */
  readonly peers: string | undefined
  readonly node: string
  readonly pythons: readonly string[]
  readonly openblas: string | undefined
  readonly threads: readonly number[]
  readonly rounds: number
  readonly families: readonly Family[]
  readonly simd: readonly Simd[]
  /** Seconds. */
  readonly limit: number
  readonly out: string
  readonly label: string | undefined
  readonly tables: string | undefined
}

export interface StepComparison extends PeerSettings {
  readonly configs: readonly HashModelName[]
  readonly steps: number | undefined
}

export interface OperationComparison extends PeerSettings {
  readonly only: readonly string[]
  /** Milliseconds. */
  readonly time: number
}

const common = {
  peers: { type: 'string' },
  node: { type: 'string', default: process.execPath },
  python: { type: 'string', default: 'python3' },
  openblas: { type: 'string' },
  threads: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  engines: { type: 'string' },
  simd: { type: 'string' },
  limit: { type: 'string', default: '600' },
  out: { type: 'string', default: 'bench/results' },
  label: { type: 'string' },
  tables: { type: 'string' },
} as const

interface CommonValues {
  readonly peers?: string
  readonly node: string
  readonly python: string
  readonly openblas?: string
  readonly threads?: string
  readonly rounds: string
  readonly engines?: string
  readonly simd?: string
  readonly limit: string
  readonly out: string
  readonly label?: string
  readonly tables?: string
}

function commonSettings(values: CommonValues): PeerSettings {
  return {
    peers: values.peers,
    node: values.node,
    pythons: values.python.split(','),
    openblas: values.openblas,
    threads: (values.threads ?? String(availableParallelism()))
      .split(',')
      .map((text) => positiveInteger('threads', text)),
    rounds: positiveInteger('rounds', values.rounds),
    families: someOf('engines', values.engines, families),
    simd: someOf('simd', values.simd, simdNames),
    limit: positiveInteger('limit', values.limit),
    out: values.out,
    label: values.label,
    tables: values.tables,
  }
}

/** @throws Error for an option or a value that there is not */
export function stepSettings(args: readonly string[]): StepComparison {
  const { values } = parseArgs({
    args: [...args],
    options: { ...common, configs: { type: 'string' }, steps: { type: 'string' } },
  })
  return {
    ...commonSettings(values),
    configs: someOf('configs', values.configs, configNames),
    steps: positiveIntegerOr('steps', values.steps, undefined),
  }
}

/** @throws Error for an option or a value that there is not */
export function operationSettings(args: readonly string[]): OperationComparison {
  const { values } = parseArgs({
    args: [...args],
    options: { ...common, only: { type: 'string' }, time: { type: 'string', default: '300' } },
  })
  return {
    ...commonSettings(values),
    only: values.only?.split(',') ?? [''],
    time: positiveInteger('time', values.time),
  }
}

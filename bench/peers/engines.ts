/** The engines that take turns: how each is called, and with what it measures a training step or an operation. */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Simd } from '../cpu.ts'
import type { HashModelName } from '../hash-model.ts'
import { type Found, type Installed, pythonEnvironment, source } from './installed.ts'
import type { OperationTask } from './operation-cases.ts'
import type { Command } from './process.ts'
import type { Family, PeerSettings } from './settings.ts'

export interface Engine {
  /** `Sluice wide`, `PyTorch 1.13.0`. */
  readonly name: string
  readonly family: Family
  readonly threads: number
  /** Of Sluice and the limit. */
  readonly simd?: Simd
  /** Why it cannot run here. */
  readonly missing: string | undefined
  readonly step: (config: HashModelName, steps: number | undefined) => Command
  /** Undefined for what it does not have. */
  readonly operation: (task: OperationTask) => Command | undefined
}

const compiled = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const missing = (found: Found): string | undefined => ('why' in found ? found.why : undefined)

/** What the limit calls the variants. */
const limitModes: Readonly<Record<Simd, string>> = { plain: 'nofma', relaxed: 'fma', wide: 'revec' }

/** How many steps, for scripts that take it as their last argument. */
const stepsArgument = (steps: number | undefined): string[] => (steps === undefined ? [] : [String(steps)])

function sluice(installed: Installed, threads: number, simd: Simd, eager: boolean): Engine {
  const { program } = installed.node
  const step = (config: HashModelName, steps: number | undefined): Command => ({
    program,
    args: [
      ...[compiled('../main.js'), 'step', '--json', '--config', config, '--threads', String(threads), '--simd', simd],
      ...(steps === undefined ? [] : ['--steps', String(steps)]),
      ...(eager ? ['--eager'] : []),
    ],
  })
  const operation = (task: OperationTask): Command | undefined =>
    // Captured and eager are one where a call is one operation.
    eager
      ? undefined
      : { program, args: [compiled('./operation-sluice.js'), JSON.stringify({ ...task, threads, simd })] }
  const name = `Sluice ${simd}${eager ? ', eager' : ''}`
  return { name, family: 'Sluice', threads, simd, missing: undefined, step, operation }
}

function limit({ node, limit: found }: Installed, settings: PeerSettings, threads: number, simd: Simd): Engine {
  const isTooOld = simd === 'wide' && node.major < 24
  // Relaxed SIMD is behind a flag there.
  const flags = node.major < 22 ? ['--experimental-wasm-relaxed-simd'] : []
  return {
    name: `limit ${simd}`,
    family: 'limit',
    threads,
    simd,
    missing: missing(found) ?? (isTooOld ? 'needs Node 24 or later' : undefined),
    step: (config, steps) => ({
      program: node.program,
      args: [...flags, 'limit/wasm_step.mjs', config, limitModes[simd], String(threads), ...stepsArgument(steps)],
      folder: resolve(settings.peers ?? '.'),
    }),
    operation: () => undefined,
  }
}

/** Only PyTorch has the means for it. */
const isDelta = (task: OperationTask): boolean => task.case.operation === 'gatedDeltaRule'

function torchEngines({ pythons }: Installed, settings: PeerSettings, threads: number): Engine[] {
  const environment = pythonEnvironment(settings)
  const folder = resolve(settings.peers ?? '.')
  const noScript = settings.peers === undefined ? 'no --peers' : undefined
  return pythons.map(({ name, program, torch }) => ({
    name,
    family: 'PyTorch',
    threads,
    missing: missing(torch) ?? noScript,
    step: (config, steps) => ({
      program,
      args: ['torch_step.py', config, String(threads), ...stepsArgument(steps)],
      folder,
      environment,
    }),
    operation: (task) => ({
      program,
      args: [source('operation_torch.py'), JSON.stringify({ ...task, threads })],
      environment,
    }),
  }))
}

function jaxjs({ node, jaxjs: found }: Installed, settings: PeerSettings, threads: number): Engine {
  const { program } = node
  const folder = resolve(settings.peers ?? '.')
  return {
    name: 'jax-js',
    family: 'jax-js',
    threads,
    missing: missing(found),
    step: (config, steps) => ({
      program,
      args: ['jaxjs_step.mjs', config, 'wasm', String(threads), ...stepsArgument(steps)],
      folder,
      environment: { ATT: 'dpa' },
    }),
    operation: (task) =>
      isDelta(task)
        ? undefined
        : { program, args: [source('operation_jaxjs.mjs'), JSON.stringify({ ...task, threads })], folder },
  }
}

/** It has one thread in Node, whatever it is asked for. */
function tfjs({ node, tfjs: found }: Installed, settings: PeerSettings): Engine {
  const { program } = node
  const folder = resolve(settings.peers ?? '.')
  return {
    name: 'TF.js',
    family: 'TF.js',
    threads: 1,
    missing: missing(found),
    step: (config, steps) => ({
      program,
      args: ['tfjs_step.mjs', config, 'wasm', '1', ...stepsArgument(steps)],
      folder,
      // Helped: its own gradients of products and of the embedding are several times slower.
      environment: { ONEHOT_EMB: '1', TFJS_FAST: '1' },
    }),
    operation: (task) =>
      isDelta(task)
        ? undefined
        : { program, args: [source('operation_tfjs.mjs'), JSON.stringify({ ...task, threads: 1 })], folder },
  }
}

/** All that were asked for, those that cannot run here too; in the order of their turns. */
export function enginesOf(installed: Installed, settings: PeerSettings): Engine[] {
  const { threads, simd, families } = settings
  // Those with one thread take part once, whichever numbers are asked for; jax-js is often faster with one.
  const once = [...(threads.includes(1) ? [] : [jaxjs(installed, settings, 1)]), tfjs(installed, settings)]
  // Eager once, in the fastest variant that this Node has.
  const able = simd.filter((each) => each !== 'wide' || installed.node.major >= 24)
  const eagerSimd = able.at(-1) ?? 'plain'
  return [
    ...threads.flatMap((n) => [
      ...simd.map((each) => sluice(installed, n, each, false)),
      sluice(installed, n, eagerSimd, true),
      ...simd.map((each) => limit(installed, settings, n, each)),
      ...torchEngines(installed, settings, n),
      jaxjs(installed, settings, n),
    ]),
    ...once,
  ].filter(({ family }) => families.includes(family))
}

/** How the cpu device is set up: how many threads, and which instructions of WebAssembly. */
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { environmentVariable } from '../../environment.ts'
import { SluiceError } from '../../errors.ts'
import type { CpuOptions } from './options.ts'
import { chooseSimd, featuresOf, type SimdChoice } from './simd.ts'

interface ThreadChoice {
  readonly threads: number
  /** Why so many, and no more. */
  readonly threadsReason: string
}

export interface CpuSettings extends SimdChoice, ThreadChoice {
  readonly features: Features
}

function processors(): number {
  const os = globalThis.process?.getBuiltinModule?.('node:os') as typeof import('node:os') | undefined
  return os?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1
}

/** What Node has of its permission model, where that is switched on. */
type Permission = { has(scope: string): boolean }

/** Why there can be no second thread; undefined where there can. */
function missingForThreads(): string | undefined {
  const page = globalThis as { crossOriginIsolated?: boolean }
  if (page.crossOriginIsolated === false) {
    return 'threads need shared memory, which this page may not use: serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp'
  }
  if (typeof SharedArrayBuffer === 'undefined') {
    return 'threads need shared memory, and this engine has no SharedArrayBuffer'
  }
  const { permission } = (globalThis.process ?? {}) as { permission?: Permission }
  if (permission?.has('worker') === false)
    return 'worker threads are not permitted here: start Node with --allow-worker'
  return undefined
}

/** More threads than this gain nothing on models that a cpu trains. */
const MOST_THREADS = 16

function chooseThreads(asked: number | undefined): ThreadChoice {
  const variable = environmentVariable('SLUICE_THREADS')
  const given = asked ?? (variable === undefined ? undefined : Number(variable))
  const missing = missingForThreads()
  if (given === undefined) {
    if (missing !== undefined) return { threads: 1, threadsReason: missing }
    const available = processors()
    if (available <= MOST_THREADS) return { threads: available, threadsReason: 'one a processor' }
    return { threads: MOST_THREADS, threadsReason: 'more gain nothing unless they are asked for' }
  }
  if (!Number.isInteger(given) || given < 1) {
    throw new SluiceError('cpu device', `${given} threads; expected an integer of at least 1`)
  }
  if (given > 1 && missing !== undefined)
    throw new SluiceError('cpu device', `${given} threads: ${missing}; or ask for 1`)
  return { threads: given, threadsReason: 'it was asked for' }
}

/** @throws SluiceError for what this machine cannot do */
export function cpuSettings({ threads, simd }: CpuOptions): CpuSettings {
  const choice = chooseSimd(simd ?? environmentVariable('SLUICE_SIMD'))
  return { ...chooseThreads(threads), ...choice, features: featuresOf[choice.simd] }
}

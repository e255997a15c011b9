/** How the cpu device is set up: how many threads, and which instructions of WebAssembly. */
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { SluiceError } from '../../errors.ts'
import type { CpuOptions } from './options.ts'
import { chooseSimd, featuresOf, type SimdChoice } from './simd.ts'

export interface CpuSettings extends SimdChoice {
  readonly threads: number
  readonly features: Features
}

const environment = globalThis.process?.env ?? {}

function processors(): number {
  const os = globalThis.process?.getBuiltinModule?.('node:os') as typeof import('node:os') | undefined
  return os?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1
}

/** A browser shares memory with workers only on pages that are isolated from other origins. */
const canShare = (): boolean =>
  typeof SharedArrayBuffer !== 'undefined' &&
  (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false

/** More threads than this gain nothing on models that a cpu trains. */
const MOST_THREADS = 16

function threadCount(asked: number | undefined): number {
  const given = asked ?? (environment.SLUICE_THREADS ? Number(environment.SLUICE_THREADS) : undefined)
  if (given === undefined) return canShare() ? Math.min(MOST_THREADS, processors()) : 1
  if (!Number.isInteger(given) || given < 1) {
    throw new SluiceError('cpu device', `${given} threads; expected an integer of at least 1`)
  }
  if (given > 1 && !canShare()) {
    throw new SluiceError(
      'cpu device',
      `${given} threads need shared memory, which this page may not use; serve it with Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or ask for 1`,
    )
  }
  return given
}

/** @throws SluiceError for what this machine cannot do */
export function cpuSettings({ threads, simd }: CpuOptions): CpuSettings {
  const choice = chooseSimd(simd ?? environment.SLUICE_SIMD)
  return { threads: threadCount(threads), ...choice, features: featuresOf[choice.simd] }
}

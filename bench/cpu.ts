/** The cpu device, set up as a bench is asked to. */
import type { CpuSettings } from '../src/device/cpu/settings.ts'
import { findDevice } from '../src/device/registry.ts'

export const simdNames = ['plain', 'relaxed', 'wide'] as const

/** Which vector instructions the kernels use; `src/device/cpu/settings.ts` says what each is. */
export type Simd = (typeof simdNames)[number]

export interface CpuWish {
  /** As the device chooses unless given. */
  readonly threads?: number
  readonly simd?: string
}

/** What the device then runs with. */
export interface CpuFacts {
  readonly threads: number
  readonly simd: string
}

/**
 * Call it before the device is first used: it is made then, and reads how from the environment.
 *
 * @throws Error when the device runs with something else than was asked for
 */
export function setUpCpu({ threads, simd }: CpuWish): CpuFacts {
  if (threads !== undefined) process.env.SLUICE_THREADS = String(threads)
  if (simd !== undefined) process.env.SLUICE_SIMD = simd
  const { settings } = findDevice('cpu') as unknown as { settings: CpuSettings & { simd?: string } }
  const facts = { threads: settings.threads, simd: settings.simd ?? 'plain' }
  const isAsFacts =
    (threads ?? facts.threads) === facts.threads && (simd === undefined || simd === 'auto' || simd === facts.simd)
  if (isAsFacts) return facts
  throw new Error(
    `asked for ${threads ?? 'any number of'} threads and SIMD ${simd ?? 'auto'}, the cpu device runs with ${facts.threads} and ${facts.simd}`,
  )
}

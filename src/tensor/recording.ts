/**
 * What `capture` sees of a program while it runs: every launch, every upload, and every parameter that is given another
 * value. Nothing is kept while nobody records.
 */
import type { FusedKernel, Grid, Kernel } from '../../kernels/kernel.ts'
import type { Device, TypedArray } from '../device/device.ts'
import type { Storage } from './storage.ts'
import type { Tensor } from './tensor.ts'

/** A number that the host computes when a launch is made, and anew at every replay of a captured one. */
export type HostNumber = number | (() => number)

export const currentValue = (x: HostNumber): number => (typeof x === 'number' ? x : x())

export interface Recorder {
  launch(
    device: Device,
    kernel: Kernel | FusedKernel,
    outputs: readonly Storage[],
    grid: Grid | null,
    parameters: readonly (Storage | HostNumber)[],
  ): void
  /** `storage` was filled from the host, with what will be the same at every replay. */
  constant(storage: Storage, data: ArrayLike<number>): void
  /** `storage` was filled from the host, with what `make` gives anew at every replay. */
  source(storage: Storage, make: () => ArrayLike<number>): void
  /** Something was done on the host that every replay must do again. */
  effect(run: () => void): void
  /** `tensor` was given another storage than `before`. */
  assigned(tensor: Tensor, before: Storage): void
}

let current: Recorder | undefined

export function recorder(): Recorder | undefined {
  return current
}

export function withRecorder<R>(given: Recorder, body: () => R): R {
  const before = current
  current = given
  try {
    return body()
  } finally {
    current = before
  }
}

/** Runs `effect` now, and again at every replay of the program that is being captured, if one is. */
export function atEveryRun(effect: () => void): void {
  effect()
  current?.effect(effect)
}

/** A copy of host data, of its own type where it is a typed array. */
export function copyOf(data: ArrayLike<number>): ArrayLike<number> {
  return ArrayBuffer.isView(data) ? (data as TypedArray).slice() : Array.from(data)
}

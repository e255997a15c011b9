/**
 * The recording of one run, as `capture` needs it: launches over numbered values, and where each value comes from.
 *
 * A value is a storage: a buffer, whichever tensors share it. It is an input, made by the program, or there before.
 */
import type { Device, TracedLaunch } from '../device/device.ts'
import { SluiceError } from '../errors.ts'
import { copyOf, type Recorder, withRecorder } from '../tensor/recording.ts'
import type { Storage } from '../tensor/storage.ts'
import type { Tensor } from '../tensor/tensor.ts'

export interface Recording {
  readonly device: Device | undefined
  readonly launches: readonly TracedLaunch<Storage>[]
  /** Filled from the host, with the same at every replay. */
  readonly constants: ReadonlyMap<Storage, ArrayLike<number>>
  /** Filled from the host, with what the function gives at each replay. */
  readonly sources: ReadonlyMap<Storage, () => ArrayLike<number>>
  /** What every replay does on the host before its launches, sources included, in order. */
  readonly hostSteps: readonly (Storage | (() => void))[]
  /** Storages that were written in the run and did not exist before. */
  readonly made: ReadonlySet<Storage>
  /** Tensors from before the run that were given another storage in it, with the one that they had. */
  readonly replaced: ReadonlyMap<Tensor, Storage>
}

/** Runs `body` and records what it launches. */
export function record<R>(inputs: readonly Tensor[], body: () => R): [R, Recording] {
  const launches: TracedLaunch<Storage>[] = []
  const constants = new Map<Storage, ArrayLike<number>>()
  const sources = new Map<Storage, () => ArrayLike<number>>()
  const hostSteps: (Storage | (() => void))[] = []
  const made = new Set<Storage>()
  const replaced = new Map<Tensor, Storage>()
  let device: Device | undefined
  const needDevice = (of: Device) => {
    device ??= of
    if (of !== device) {
      throw new SluiceError(
        'capture',
        `the function runs on two devices, ${device.name} and ${of.name}; capture one of them`,
      )
    }
  }
  const recorder: Recorder = {
    launch(of, kernel, outputs, grid, parameters) {
      needDevice(of)
      launches.push({ kernel, outputs: [...outputs], grid, parameters: [...parameters] })
      outputs.forEach((output, i) => {
        if (kernel.kind !== 'fused' || Object.values(kernel.results)[i] === 'new') made.add(output)
      })
    },
    constant(storage, data) {
      needDevice(storage.device)
      made.add(storage)
      constants.set(storage, copyOf(data))
    },
    source(storage, make) {
      needDevice(storage.device)
      made.add(storage)
      sources.set(storage, make)
      hostSteps.push(storage)
    },
    effect(run) {
      hostSteps.push(run)
    },
    assigned(tensor, before) {
      // A tensor that the run made itself may change as it likes.
      if (!made.has(before) && !replaced.has(tensor)) replaced.set(tensor, before)
    },
  }
  for (const t of inputs) needDevice(t.storage.device)
  const result = withRecorder(recorder, body)
  return [result, { device, launches, constants, sources, hostSteps, made, replaced }]
}

/**
 * A recorded run made into a program: its values placed in memory, its launches ready to be replayed.
 *
 * Temporary values share slots by their lifetimes; constants, host sources and inputs have memory of their own. A
 * parameter that an optimizer replaced is read where it lies, and its next value is copied there at the end. Results are
 * lent where they lie, and copied before the next run if they are still needed then.
 */
import type { Device, DeviceBuffer, RecordedLaunch, Replay, TracedLaunch } from '../device/device.ts'
import { bytesPerElement } from '../device/device.ts'
import { SluiceError, showShape } from '../errors.ts'
import { type Lifetime, planSlots } from '../tensor/plan.ts'
import { Storage } from '../tensor/storage.ts'
import { Tensor } from '../tensor/tensor.ts'
import { type ArenaPlan, explainProgram } from './explain.ts'
import type { Recording } from './trace.ts'

export interface CapturedProgram {
  /** Whether everything it refers to still is what it was when it was recorded. */
  isCurrent(): boolean
  run(inputs: readonly Tensor[]): Tensor[]
  explain(): string
  dispose(): void
}

/** Where a result comes from. */
type ResultPlace =
  | { readonly made: DeviceBuffer; readonly shape: readonly number[]; readonly dtype: Tensor['dtype'] }
  | { readonly input: number; readonly shape: readonly number[] }
  | { readonly outside: Storage; readonly shape: readonly number[] }

const storagesOf = ({ outputs, parameters }: TracedLaunch<Storage>): Storage[] => [
  ...outputs,
  ...parameters.filter((p): p is Storage => p instanceof Storage),
]

/**
 * Places the values of a recording.
 *
 * @returns null when the run launched nothing: there is no device to replay it on
 * @throws SluiceError when a value that the run made is still alive and is no result
 */
export function compileProgram(
  recording: Recording,
  inputs: readonly Tensor[],
  results: readonly Tensor[],
): CapturedProgram | null {
  const { device, made, replaced } = recording
  if (!device) return null
  const state = [...replaced].filter(([tensor]) => !tensor.isDisposed)
  needNothingLeft(made, results, state)
  const launches = rewritten(device, recording, results, state)

  const owned: DeviceBuffer[] = []
  const own = (like: DeviceBuffer): DeviceBuffer => {
    const buffer = device.allocate(like.dtype, like.length)
    owned.push(buffer)
    return buffer
  }
  const places = new Map<Storage, DeviceBuffer>()
  inputs.forEach((t) => {
    if (!places.has(t.storage)) places.set(t.storage, own(t.storage.buffer))
  })
  // A replaced parameter is read where its tensor keeps it now.
  for (const [tensor, before] of state) {
    tensor.storage.own()
    if (!places.has(before)) places.set(before, tensor.storage.buffer)
  }
  for (const [storage, data] of recording.constants) {
    const buffer = own(storage.buffer)
    device.write(buffer, data)
    places.set(storage, buffer)
  }
  for (const storage of recording.sources.keys()) places.set(storage, own(storage.buffer))
  const arena = placeTemporaries(device, made, launches, results, state, places, own)
  const outside = new Set<Storage>()
  for (const storage of launches.flatMap(storagesOf)) {
    if (places.has(storage)) continue
    storage.own()
    places.set(storage, storage.buffer)
    outside.add(storage)
  }

  const updated = new Set(launches.flatMap(({ outputs }) => outputs).filter((storage) => outside.has(storage)))

  const recorded: RecordedLaunch[] = launches.map(({ kernel, outputs, grid, parameters }) => ({
    kernel,
    outputs: outputs.map((s) => places.get(s)!),
    grid,
    parameters: parameters.map((p) => (p instanceof Storage ? places.get(p)! : p)),
  }))
  const replay = device.prepareReplay?.(recorded) ?? plainReplay(device, recorded)
  const inputOf = (storage: Storage) => inputs.findIndex((t) => t.storage === storage)
  const resultPlaces = results.map(({ storage, shape, dtype }): ResultPlace => {
    const input = inputOf(storage)
    if (input >= 0) return { input, shape }
    return made.has(storage) && !state.some(([t]) => t.storage === storage)
      ? { made: places.get(storage)!, shape, dtype }
      : { outside: storage, shape }
  })
  const updates = state.map(([tensor]) => ({ from: places.get(tensor.storage)!, to: tensor.storage.buffer }))
  const kept = state.map(([tensor]) => [tensor, tensor.storage] as const)
  const together = device.together?.bind(device) ?? ((body: () => void) => body())
  const copies = inputs
    .map((t, i) => ({ i, to: places.get(t.storage)!, storage: t.storage }))
    .filter(({ i, storage }) => inputOf(storage) === i)
    .map(({ i, to }) => ({ i, to }))
  let lent: Storage[] = []
  const takeBack = () => {
    for (const storage of lent) storage.own()
    lent = []
  }
  const explanation = explainProgram(recording, launches, replay.description, places, arena, inputs, results)

  return {
    // What a replay overwrites must not be shared, by a detached copy for instance: recording afresh copies it first.
    isCurrent: () =>
      device.lost === undefined &&
      kept.every(([tensor, storage]) => !tensor.isDisposed && tensor.storage === storage && !storage.isShared) &&
      [...updated].every((storage) => !storage.isShared) &&
      [...outside].every((storage) => !storage.isFree && !storage.isSuperseded),
    run(given) {
      takeBack()
      for (const step of recording.hostSteps) {
        if (step instanceof Storage) device.write(places.get(step)!, recording.sources.get(step)!())
        else step()
      }
      const outputs: Tensor[] = []
      together(() => {
        for (const { i, to } of copies) device.copy(given[i].storage.buffer, to)
        replay.run()
        for (const { from, to } of updates) device.copy(from, to)
      })
      const loans = new Map<DeviceBuffer, Storage>()
      for (const place of resultPlaces) outputs.push(resultTensor(device, place, given, loans))
      lent = [...loans.values()]
      return outputs
    },
    explain: () => explanation,
    dispose() {
      takeBack()
      replay.release()
      for (const buffer of owned) device.release(buffer)
    },
  }
}

/** The launches as the device would rather have them. */
function rewritten(
  device: Device,
  { launches, made, constants, sources }: Recording,
  results: readonly Tensor[],
  state: readonly (readonly [Tensor, Storage])[],
): readonly TracedLaunch<Storage>[] {
  if (!device.rewrite) return launches
  const leaving = new Set([...results, ...state.map(([tensor]) => tensor)].map(({ storage }) => storage))
  return device.rewrite(
    launches,
    (value) => made.has(value) && !leaving.has(value) && !constants.has(value) && !sources.has(value),
  )
}

/** @param loans what this run lent so far, by its place: results that are the same value share it */
function resultTensor(
  device: Device,
  place: ResultPlace,
  given: readonly Tensor[],
  loans: Map<DeviceBuffer, Storage>,
): Tensor {
  if ('input' in place) return given[place.input].alias(place.shape)
  if ('outside' in place) return new Tensor(place.outside.retain(), place.shape)
  const loan = loans.get(place.made)
  if (loan) return new Tensor(loan.retain(), place.shape)
  const storage = new Storage(device, place.made, true)
  loans.set(place.made, storage)
  return new Tensor(storage, place.shape)
}

/** Places what the run made and used up by itself. Returns what the plan costs. */
function placeTemporaries(
  device: Device,
  made: ReadonlySet<Storage>,
  launches: readonly TracedLaunch<Storage>[],
  results: readonly Tensor[],
  state: readonly (readonly [Tensor, Storage])[],
  places: Map<Storage, DeviceBuffer>,
  own: (like: DeviceBuffer) => DeviceBuffer,
): ArenaPlan {
  const spans = new Map<Storage, { first: number; last: number }>()
  launches.forEach((launch, time) => {
    for (const storage of storagesOf(launch)) {
      if (places.has(storage) || !made.has(storage)) continue
      const span = spans.get(storage)
      if (span) span.last = time
      else spans.set(storage, { first: time, last: time })
    }
  })
  // What leaves the program is needed until its end.
  for (const { storage } of [...results, ...state.map(([tensor]) => tensor)]) {
    const span = spans.get(storage)
    if (span) span.last = launches.length
  }
  const storages = [...spans.keys()]
  const numbers = new Map(storages.map((storage, i) => [storage, i]))
  const lifetimes = storages.map((storage): Lifetime => {
    const { buffer } = storage
    const bytes = buffer.length * bytesPerElement(buffer.dtype)
    const span = spans.get(storage)!
    const overwrites = device.overwritable?.(launches[span.first]).flatMap((operand) => numbers.get(operand) ?? [])
    return { bytes, kind: buffer.dtype, ...span, overwrites }
  })
  const { slots, sizes } = planSlots(lifetimes)
  const buffers = sizes.map((size, slot) => {
    const largest = storages.find((_, i) => slots[i] === slot && lifetimes[i].bytes === size.bytes)!
    return own(largest.buffer)
  })
  storages.forEach((storage, i) => {
    places.set(storage, device.view(buffers[slots[i]], storage.buffer.length))
  })
  return {
    values: storages.length,
    asked: lifetimes.reduce((sum, { bytes }) => sum + bytes, 0),
    slots: new Map(storages.map((storage, i) => [storage, slots[i]])),
    count: sizes.length,
    bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

function needNothingLeft(
  made: ReadonlySet<Storage>,
  results: readonly Tensor[],
  state: readonly (readonly [Tensor, Storage])[],
): void {
  const known = new Set([...results, ...state.map(([tensor]) => tensor)].map(({ storage }) => storage))
  const left = [...made].filter((storage) => !storage.isFree && !known.has(storage))
  if (left.length === 0) return
  const sizes = left.slice(0, 5).map(({ buffer }) => showShape([buffer.length]))
  throw new SluiceError(
    'capture',
    `the function leaves ${left.length} tensors behind that it does not return (of sizes ${sizes.join(', ')}${left.length > 5 ? ', …' : ''}), which a replay could not renew; return them, or free them inside: gradients by zeroGrad()`,
  )
}

/** Replays by launching one after another, on devices that have no faster way. */
function plainReplay(device: Device, launches: readonly RecordedLaunch[]): Replay {
  return {
    run() {
      for (const { kernel, outputs, grid, parameters } of launches) {
        const given = parameters.map((p) => (typeof p === 'function' ? p() : p))
        if (kernel.kind === 'fused') device.launchFused!(kernel, outputs, given)
        else device.launch(kernel, outputs[0], grid!, given)
      }
    },
    release() {},
  }
}

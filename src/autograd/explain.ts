/** A captured program as text: its launches with the shapes they run over, its memory, and how the plan shares it. */
import { bytesPerElement, type DeviceBuffer, type TracedLaunch } from '../device/device.ts'
import { showShape } from '../errors.ts'
import { Storage } from '../tensor/storage.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Recording } from './trace.ts'

export interface ArenaPlan {
  /** Temporary values. */
  readonly values: number
  /** Their bytes, if each had memory of its own. */
  readonly asked: number
  /** The slot of each of them. */
  readonly slots: ReadonlyMap<Storage, number>
  readonly count: number
  readonly bytes: number
}

const showBytes = (bytes: number): string =>
  bytes < 1024
    ? `${bytes} B`
    : bytes < 1 << 20
      ? `${(bytes / 1024).toFixed(1)} KiB`
      : `${(bytes / (1 << 20)).toFixed(1)} MiB`

export function explainProgram(
  { device, launches: before, constants, sources, replaced }: Recording,
  launches: readonly TracedLaunch<Storage>[],
  description: string | undefined,
  places: ReadonlyMap<Storage, DeviceBuffer>,
  { slots, ...plan }: ArenaPlan,
  inputs: readonly Tensor[],
  results: readonly Tensor[],
): string {
  const names = new Map<unknown, string>()
  const nameOf = (storage: Storage): string => {
    const place = slots.get(storage) ?? places.get(storage)
    let name = names.get(place)
    if (!name) names.set(place, (name = `b${names.size}`))
    return name
  }
  const rows = launches.map(({ kernel, outputs, grid, parameters }, i) => {
    const written = outputs.map((s) => `${nameOf(s)}[${s.buffer.length}]`).join(', ')
    const read = parameters.filter((p): p is Storage => p instanceof Storage).map(nameOf)
    const over = grid ? ` over ${grid.join(' x ')}` : ', fused'
    const bytes = [...outputs, ...parameters.filter((p): p is Storage => p instanceof Storage)].reduce(
      (sum, { buffer }) => sum + buffer.length * bytesPerElement(buffer.dtype),
      0,
    )
    return `${String(i).padStart(5)}  ${written} = ${kernel.name}(${read.join(', ')})${over}; ${showBytes(bytes)}`
  })
  const shapes = (tensors: readonly Tensor[]) =>
    tensors.map((t) => `${showShape(t.shape)} ${t.dtype}`).join(', ') || 'none'
  return [
    `program on ${device!.name}: ${launches.length} launches${launches.length < before.length ? `, of ${before.length} before fusion` : ''}`,
    ...(description?.split('\n').map((line) => `  ${line}`) ?? []),
    `  inputs: ${shapes(inputs)}`,
    `  results: ${shapes(results)}`,
    `  constants: ${constants.size}, from the host at every run: ${sources.size}, parameters replaced: ${replaced.size}`,
    `  temporaries: ${plan.values} of ${showBytes(plan.asked)}, in ${plan.count} slots of ${showBytes(plan.bytes)}`,
    ...rows,
  ].join('\n')
}

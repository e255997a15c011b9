/**
 * Times every dispatch on the GPU: begin and end of its pass, by timestamp queries.
 *
 * A timestamp belongs to a pass, so that every dispatch gets a pass of its own: a profiled run is somewhat slower. Where
 * the adapter has no timestamps, dispatches are counted.
 */
import { Profile, type ProfileRow } from '../profile.ts'

export type { ProfileRow } from '../profile.ts'

/** WebGPU's limit of queries in one set. */
const QUERIES = 4096
const QUERY_RESOLVE_COPY_SOURCE = 0x200 | 0x4
const MAP_READ_COPY_DESTINATION = 0x1 | 0x8

interface QuerySet {
  readonly set: GPUQuerySet
  readonly names: { label: string; program: string }[]
}

export class Profiler {
  readonly isTiming: boolean
  readonly #device: GPUDevice
  readonly #profile: Profile
  readonly #reading = new Set<Promise<void>>()
  #sets: QuerySet[] = []
  readonly #idle: GPUQuerySet[] = []

  constructor(device: GPUDevice, name = 'webgpu') {
    this.#device = device
    this.isTiming = device.features.has('timestamp-query')
    this.#profile = new Profile(name, this.isTiming)
  }

  /** Where the next pass, which holds one dispatch, writes its times; without timestamps it is counted. */
  passDescriptor(label: string, program: string): GPUComputePassDescriptor | undefined {
    if (!this.isTiming) {
      this.#profile.count(label, program)
      return undefined
    }
    let current = this.#sets.at(-1)
    if (!current || 2 * current.names.length >= QUERIES) {
      const set = this.#idle.pop() ?? this.#device.createQuerySet({ type: 'timestamp', count: QUERIES })
      this.#sets.push((current = { set, names: [] }))
    }
    const beginningOfPassWriteIndex = 2 * current.names.length
    current.names.push({ label, program })
    return {
      timestampWrites: {
        querySet: current.set,
        beginningOfPassWriteIndex,
        endOfPassWriteIndex: beginningOfPassWriteIndex + 1,
      },
    }
  }

  /** Encodes the reading of all times of the batch that `encoder` ends; they arrive after its submit. */
  resolve(encoder: GPUCommandEncoder): void {
    for (const { set, names } of this.#sets) {
      const bytes = 16 * names.length
      const resolved = this.#device.createBuffer({ size: bytes, usage: QUERY_RESOLVE_COPY_SOURCE })
      const staging = this.#device.createBuffer({ size: bytes, usage: MAP_READ_COPY_DESTINATION })
      encoder.resolveQuerySet(set, 0, 2 * names.length, resolved, 0)
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes)
      // The submit follows in this same turn; the map waits for it.
      const reading = Promise.resolve()
        .then(() => staging.mapAsync(1))
        .then(() => {
          const times = new BigUint64Array(staging.getMappedRange())
          names.forEach(({ label, program }, i) => {
            const [begin, end] = [times[2 * i], times[2 * i + 1]]
            // The two are not ordered where the GPU's clock is set back between them.
            const nanoseconds = end > begin ? Number(end - begin) : 0
            this.#profile.add(label, program, Number(begin) / 1e3, nanoseconds / 1e3)
          })
        })
        .catch(() => {
          // A lost device: its times are lost with it.
        })
        .finally(() => {
          staging.destroy()
          resolved.destroy()
          this.#idle.push(set)
          this.#reading.delete(reading)
        })
      this.#reading.add(reading)
    }
    this.#sets = []
  }

  /** The profile with all times of what was submitted. */
  async profile(): Promise<Profile> {
    await Promise.all(this.#reading)
    return this.#profile
  }

  /** Time by kernel, the largest first. */
  async table(): Promise<ProfileRow[]> {
    return (await this.profile()).rows()
  }
}

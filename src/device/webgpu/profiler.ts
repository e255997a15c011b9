/**
 * Where the GPU's time goes: begin and end of every dispatch, by timestamp queries, as a table and as a trace that
 * Chrome's viewer (chrome://tracing, ui.perfetto.dev) opens.
 *
 * A timestamp belongs to a pass, so that every dispatch gets a pass of its own: a profiled run is somewhat slower.
 */

interface Timed {
  readonly label: string
  readonly program: string
  /** Nanoseconds on the GPU's own clock. */
  readonly begin: bigint
  readonly end: bigint
}

/** WebGPU's limit of queries in one set. */
const QUERIES = 4096
const QUERY_RESOLVE_COPY_SOURCE = 0x200 | 0x4
const MAP_READ_COPY_DESTINATION = 0x1 | 0x8

interface QuerySet {
  readonly set: GPUQuerySet
  readonly names: { label: string; program: string }[]
}

export interface ProfileRow {
  /** The launch's kernel, and the program that ran for it where that has another name. */
  readonly kernel: string
  readonly calls: number
  readonly milliseconds: number
  /** Of all timed dispatches. */
  readonly share: number
}

export class Profiler {
  readonly isTiming: boolean
  readonly #device: GPUDevice
  readonly #timed: Timed[] = []
  readonly #reading = new Set<Promise<void>>()
  #sets: QuerySet[] = []
  readonly #idle: GPUQuerySet[] = []

  constructor(device: GPUDevice) {
    this.#device = device
    this.isTiming = device.features.has('timestamp-query')
  }

  /** Where the next pass, which holds one dispatch, writes its times. */
  passDescriptor(label: string, program: string): GPUComputePassDescriptor {
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
          names.forEach((name, i) => {
            this.#timed.push({ ...name, begin: times[2 * i], end: times[2 * i + 1] })
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

  /** Time by kernel, the largest first. */
  async table(): Promise<ProfileRow[]> {
    await Promise.all(this.#reading)
    const rows = new Map<string, { calls: number; nanoseconds: number }>()
    for (const { label, program, begin, end } of this.#timed) {
      const kernel = label === program ? label : `${label} > ${program}`
      const row = rows.get(kernel) ?? { calls: 0, nanoseconds: 0 }
      row.calls++
      row.nanoseconds += Number(end - begin)
      rows.set(kernel, row)
    }
    const total = [...rows.values()].reduce((sum, { nanoseconds }) => sum + nanoseconds, 0)
    return [...rows]
      .map(([kernel, { calls, nanoseconds }]) => ({
        kernel,
        calls,
        milliseconds: nanoseconds / 1e6,
        share: total > 0 ? nanoseconds / total : 0,
      }))
      .sort((a, b) => b.milliseconds - a.milliseconds)
  }

  /** The trace in Chrome's format: one complete event a dispatch, microseconds from the first one. */
  async trace(): Promise<string> {
    await Promise.all(this.#reading)
    const first = this.#timed.reduce((least, { begin }) => (begin < least ? begin : least), this.#timed[0]?.begin ?? 0n)
    const events = this.#timed.map(({ label, program, begin, end }) => ({
      name: label,
      cat: program,
      ph: 'X',
      ts: Number(begin - first) / 1e3,
      dur: Number(end - begin) / 1e3,
      pid: 1,
      tid: 1,
    }))
    const process = { name: 'process_name', ph: 'M', pid: 1, tid: 1, args: { name: 'GPU' } }
    return JSON.stringify({ traceEvents: [process, ...events], displayTimeUnit: 'ms' })
  }
}

/**
 * Where the time of a program goes, by kernel: a table to read, and a trace that Chrome's viewer (chrome://tracing,
 * ui.perfetto.dev) opens. Devices fill it in; `profile-output.ts` writes it at the end of a program in Node.
 */

/** One launch on the cpu, or one dispatch on a GPU. */
interface Timed {
  readonly kernel: string
  readonly program: string
  /** Microseconds, on the device's own clock. */
  readonly begin: number
  readonly duration: number
}

/** What a launch does, where that is known. */
export interface Work {
  /** Floating-point operations, roughly. */
  readonly operations: number
  /** Bytes of the buffers it reads and writes. */
  readonly bytes: number
}

interface Total {
  calls: number
  microseconds: number
  operations: number
  bytes: number
}

/** One kernel's share of the time. */
export interface ProfileRow {
  /** The launch's kernel, and the program that ran for it where that has another name. */
  readonly kernel: string
  /** How often it ran. */
  readonly calls: number
  /** Time on the device, all calls together. */
  readonly milliseconds: number
  /** Of all that was timed. */
  readonly share: number
  /** Speeds, where the work of the launches is known; else 0. */
  readonly gigaflops: number
  /** Gigabytes a second. */
  readonly gigabytes: number
}

/** Events kept for the trace: more would not be opened by a viewer. The table counts all. */
const MOST_EVENTS = 500_000

export class Profile {
  /** The device that it is of. */
  readonly device: string
  /** Whether there are times; else calls are counted. */
  readonly isTiming: boolean
  readonly #totals = new Map<string, Total>()
  readonly #events: Timed[] = []
  #leftOut = 0

  constructor(device: string, isTiming: boolean) {
    this.device = device
    this.isTiming = isTiming
  }

  /** @param begin in microseconds, as `duration` */
  add(kernel: string, program: string, begin: number, duration: number, work?: Work): void {
    const total = this.#count(kernel, program)
    total.microseconds += duration
    total.operations += work?.operations ?? 0
    total.bytes += work?.bytes ?? 0
    if (this.#events.length < MOST_EVENTS) this.#events.push({ kernel, program, begin, duration })
    else this.#leftOut++
  }

  /** A call without a time. */
  count(kernel: string, program: string): void {
    this.#count(kernel, program)
  }

  /** By kernel, the longest first. */
  rows(): ProfileRow[] {
    const total = [...this.#totals.values()].reduce((sum, { microseconds }) => sum + microseconds, 0)
    const perSecond = (amount: number, microseconds: number) => (microseconds > 0 ? amount / microseconds / 1000 : 0)
    return [...this.#totals]
      .map(([kernel, { calls, microseconds, operations, bytes }]) => ({
        kernel,
        calls,
        milliseconds: microseconds / 1000,
        share: total > 0 ? microseconds / total : 0,
        gigaflops: perSecond(operations, microseconds),
        gigabytes: perSecond(bytes, microseconds),
      }))
      .sort((a, b) => b.milliseconds - a.milliseconds || b.calls - a.calls)
  }

  #count(kernel: string, program: string): Total {
    const name = kernel === program ? kernel : `${kernel} > ${program}`
    let total = this.#totals.get(name)
    if (!total) this.#totals.set(name, (total = { calls: 0, microseconds: 0, operations: 0, bytes: 0 }))
    total.calls++
    return total
  }

  /** Forgets what was seen so far, such as a first step that compiles. */
  reset(): void {
    this.#totals.clear()
    this.#events.length = 0
    this.#leftOut = 0
  }

  /** The table as text: kernel, calls, total and mean time, share. */
  toString(): string {
    const rows = this.rows()
    const calls = rows.reduce((sum, row) => sum + row.calls, 0)
    const milliseconds = rows.reduce((sum, row) => sum + row.milliseconds, 0)
    const title = `profile of ${this.device}: ${calls} calls`
    if (!this.isTiming) {
      return `${title}; this adapter has no timestamps (timestamp-query), so calls are only counted\n${table([
        ['kernel', 'calls'],
        ...rows.map((row) => [row.kernel, String(row.calls)]),
      ])}`
    }
    const isWorkKnown = rows.some(({ gigabytes }) => gigabytes > 0)
    const speed = (value: number) => (value > 0 ? value.toFixed(1) : '')
    return `${title}, ${milliseconds.toFixed(1)} ms\n${table([
      ['kernel', 'calls', 'total ms', 'mean us', 'share', ...(isWorkKnown ? ['GFLOP/s', 'GB/s'] : [])],
      ...rows.map((row) => [
        row.kernel,
        String(row.calls),
        row.milliseconds.toFixed(2),
        ((1000 * row.milliseconds) / row.calls).toFixed(1),
        `${(100 * row.share).toFixed(1)} %`,
        ...(isWorkKnown ? [speed(row.gigaflops), speed(row.gigabytes)] : []),
      ]),
    ])}`
  }

  /** What the trace leaves out, for want of room. */
  get leftOut(): number {
    return this.#leftOut
  }

  /** Chrome's complete events, microseconds from this device's first one. */
  events(process: number): object[] {
    const first = this.#events.reduce((least, { begin }) => Math.min(least, begin), this.#events[0]?.begin ?? 0)
    const place = { pid: process, tid: 1 }
    return [
      { name: 'process_name', ph: 'M', ...place, args: { name: this.device } },
      ...this.#events.map(({ kernel, program, begin, duration }) => {
        return { name: kernel, cat: program, ph: 'X', ts: begin - first, dur: duration, ...place }
      }),
    ]
  }
}

/** Trace in Chrome's trace-event format, a process a device. Each device has a clock of its own, from 0. */
export function chromeTrace(profiles: readonly Profile[]): string {
  return JSON.stringify({ traceEvents: profiles.flatMap((p, i) => p.events(i + 1)), displayTimeUnit: 'ms' })
}

/** Columns side by side: the first to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '))
    .map((line) => `  ${line}`)
    .join('\n')
}

/** One input after another through a target, each timed and watched. */
import { getHeapStatistics } from 'node:v8'
import { SluiceError } from '../../../src/errors.ts'
import { lookAtPrototypes, offences } from './guards.ts'
import { limits, type Target } from './target.ts'

/** What was found with one kind of inputs, or with all. */
export interface Findings {
  readonly tries: Record<string, number>
  read: number
  refused: number
  /** Milliseconds of the processor that one input took at most. */
  slowest: number
  /** Bytes that one input took at most. */
  largest: number
}

/** An input that was neither read nor refused as it should be. */
export class Loss extends Error {
  readonly input: Uint8Array
  constructor(what: string, input: Uint8Array) {
    super(what)
    this.input = input
  }
}

/** Of the heap, and of array buffers outside of it. */
const allocated = (): number => {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return heap + external
}

/** Of the processor: others may be at work on the same machine. */
export function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

export class Trial {
  readonly findings: Findings = { tries: {}, read: 0, refused: 0, slowest: 0, largest: 0 }
  readonly #target: Target
  readonly #begin: (input: Uint8Array) => void

  /** @param begin is told every input before it is read, so that one which ends the process is known */
  constructor(target: Target, begin: (input: Uint8Array) => void) {
    this.#target = target
    this.#begin = begin
  }

  /** @throws Loss */
  async attempt(kind: string, input: Uint8Array): Promise<void> {
    const { findings } = this
    this.#begin(input)
    findings.tries[kind] = (findings.tries[kind] ?? 0) + 1
    const before = allocated()
    const begun = processorTime()
    let thrown: unknown
    let isRead = false
    try {
      await this.#target.read(input)
      isRead = true
    } catch (error) {
      thrown = error
    }
    const milliseconds = processorTime() - begun
    // What was collected meanwhile is missing here: the bombs are measured by what the system gave.
    const bytes = Math.max(0, allocated() - before)
    if (isRead) findings.read++
    else findings.refused++
    findings.slowest = Math.max(findings.slowest, milliseconds)
    findings.largest = Math.max(findings.largest, bytes)
    lookAtPrototypes()
    const size = input.length + this.#target.besides
    const [offence] = offences.splice(0)
    if (offence !== undefined) throw new Loss(offence, input)
    if (!isRead && !(thrown instanceof SluiceError)) throw new Loss(describe(thrown), input)
    if (milliseconds > limits.milliseconds(size)) throw new Loss(`it took ${milliseconds.toFixed(0)} ms`, input)
    if (bytes > limits.memory(size)) throw new Loss(`it took ${(bytes / 2 ** 20).toFixed(0)} MiB`, input)
  }
}

function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `${String(thrown)} was thrown`
  const place = thrown.stack?.split('\n').find((line) => /\/(src|docs)\//.test(line)) ?? ''
  return `${thrown.name}: ${thrown.message.slice(0, 200)} ${place.trim()}`
}

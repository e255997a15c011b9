/**
 * What a worker thread runs. The function is sent as text, so that neither a bundler nor a browser has to find a file: it
 * must name nothing outside itself.
 *
 * It sleeps until the job number in the control block changes, does its share of the job, and counts itself done. To hear
 * of new modules it must return to its event loop: it does so when more messages were sent than it has received.
 */
import type { ModuleMessage } from './library.ts'

/** Words of the control block, which all threads share. */
export const control = {
  /** Number of the current job. */
  job: 0,
  /** How many workers have finished a job, in all. */
  done: 1,
  /** How many workers have started. */
  ready: 2,
  /** How many messages were sent to each worker after its first: all are to be received before a job. */
  sent: 3,
  /** Number of the function to call. */
  callee: 4,
  /** How many threads take part, the main one included. */
  threads: 5,
  /** Items of the job, divided among the threads; 0 where the function takes the thread's number first instead. */
  items: 6,
  /** Byte offset of the first thread's scratch memory, and the bytes of each; 0 where the function takes none. */
  scratch: 7,
  scratchStep: 8,
  /** How many arguments are given. */
  count: 9,
  /** The barrier's counter, and whether a thread has failed. */
  barrier: 10,
  failed: 11,
  /** The arguments: a word each. */
  given: 12,
} as const

export const mostArguments = 48
export const controlBytes = 4 * (control.given + mostArguments)

export interface WorkerMessage {
  readonly start?: { readonly memory: WebAssembly.Memory; readonly offset: number; readonly thread: number }
  readonly modules: readonly ModuleMessage[]
  /** Numbers of functions to forget: from the first to before the last. */
  readonly dropped: readonly (readonly [number, number])[]
  /** Number of the last job before this, and of the messages sent until now. */
  readonly job: number
  readonly sent: number
  readonly words: typeof control
}

interface Port {
  onmessage: ((event: { data: WorkerMessage }) => void) | null
}

export function workerMain(port: Port): void {
  /** Looks at the job number before sleeping: some hundred microseconds, in which a training loop gives the next job. */
  const looks = 20_000
  const functions: ((...values: number[]) => void)[] = []
  const types: (readonly string[])[] = []
  let memory: WebAssembly.Memory
  let offset = 0
  let thread = 0
  let job = 0
  let received = 0

  const instantiate = ({ module, imports, hostImports, first, names, types: all }: ModuleMessage) => {
    const given: Record<string, (...values: number[]) => void> = {}
    for (const { key, id } of imports) given[key] = functions[id]
    for (const key of hostImports) given[key] = () => {}
    const { exports } = new WebAssembly.Instance(module, { env: { memory }, module: given, host: given })
    names.forEach((name, i) => {
      functions[first + i] = exports[name] as (...values: number[]) => void
      types[first + i] = all[i]
    })
  }

  const work = (at: typeof control) => {
    const words = new Int32Array(memory.buffer, offset)
    const floats = new Float32Array(memory.buffer, offset)
    for (;;) {
      for (let seen = 0; Atomics.load(words, at.job) === job; seen++) {
        if (seen > looks) Atomics.wait(words, at.job, job)
      }
      if (words[at.sent] !== received) return
      job = Atomics.load(words, at.job)
      const threads = words[at.threads]
      if (thread < threads) {
        const callee = words[at.callee]
        const items = words[at.items]
        const values: number[] = items === 0 ? [thread] : []
        const start = values.length
        for (let i = 0; i < words[at.count]; i++) {
          values.push(types[callee][start + i] === 'f32' ? floats[at.given + i] : words[at.given + i])
        }
        if (items > 0) {
          if (words[at.scratchStep] > 0) values.push(words[at.scratch] + thread * words[at.scratchStep])
          const share = Math.ceil(items / threads)
          values.push(Math.min(items, thread * share), Math.min(items, (thread + 1) * share))
        }
        try {
          functions[callee](...values)
        } catch (error) {
          Atomics.store(words, at.failed, 1)
          Atomics.notify(words, at.barrier)
          console.error(error)
        }
      }
      Atomics.add(words, at.done, 1)
      Atomics.notify(words, at.done)
    }
  }

  port.onmessage = ({ data: { start, modules, dropped, job: before, sent, words } }) => {
    received = sent
    if (start) {
      job = before
      memory = start.memory
      offset = start.offset
      thread = start.thread
    }
    for (const [first, end] of dropped) for (let id = first; id < end; id++) delete functions[id]
    // A function that is missing then fails when it is called, which the main thread hears of; a dead worker it would wait for.
    for (const module of modules) {
      try {
        instantiate(module)
      } catch (error) {
        console.error(error)
      }
    }
    if (start) Atomics.add(new Int32Array(memory.buffer, offset, words.given), words.ready, 1)
    work(words)
  }
}

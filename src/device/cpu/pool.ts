/**
 * The threads of the cpu device: this one and workers, which share its memory.
 *
 * Workers start when there is first enough to do, and take part once they are there; results do not depend on it, since a
 * task's items are independent. Idle workers sleep, and keep no process alive.
 */
import { worthThreads } from '../../../kernels/tuned/wasm/program.ts'
import type { Task } from '../../../kernels/tuned/wasm/task.ts'
import { SluiceError } from '../../errors.ts'
import type { Library, LoadedFunction, ModuleMessage } from './library.ts'
import { control, controlBytes, mostArguments, type WorkerMessage, workerMain } from './worker.ts'

/** The byte offset of `threads` times `bytes` of scratch memory: room that only grows. */
export type ScratchMemory = (bytes: number, threads: number) => number

interface Starter {
  postMessage(message: WorkerMessage): void
  terminate(): unknown
}

type NodeThreads = typeof import('node:worker_threads')

const rangeOf = ({ first, names }: ModuleMessage) => [first, first + names.length] as const

/**
 * Starts a worker that runs `workerMain`, in Node or in a browser.
 *
 * @param failed called when it could not start, or has ended by an error
 */
function startWorker(failed: (error: Error) => void): Starter {
  const node = globalThis.process?.getBuiltinModule?.('node:worker_threads') as NodeThreads | undefined
  if (node) {
    const source = `(${workerMain.toString()})(require('node:worker_threads').parentPort)`
    // Flags of the main thread, such as those of a test runner, are not the worker's.
    const worker = new node.Worker(source, { eval: true, execArgv: [], name: 'sluice' })
    worker.unref()
    worker.on('error', failed)
    return worker
  }
  const source = `(${workerMain.toString()})(self)`
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  const worker = new Worker(url, { name: 'sluice' })
  worker.onerror = ({ message }) => failed(new Error(message || 'the page may not start workers from a blob'))
  return worker
}

/** Whether this thread may sleep on shared memory: everywhere but on a browser's main thread. */
const mayWait: boolean = typeof document === 'undefined'

/** Looks at the counter of finished workers before sleeping. */
const looks = 20_000

export class Pool {
  /** Threads at most, this one included. */
  readonly threads: number
  readonly #memory: WebAssembly.Memory
  readonly #offset: number
  readonly #library: Library
  readonly #scratch: ScratchMemory
  readonly #words: Int32Array
  readonly #floats: Float32Array
  #workers: Starter[] = []
  #isAlone = false
  #sent = 0
  #dropped = 0
  #job = 0
  #done = 0

  /** @param offset byte offset of `controlBytes` that are zero, in a memory that is shared unless `threads` is 1 */
  constructor(memory: WebAssembly.Memory, offset: number, threads: number, library: Library, scratch: ScratchMemory) {
    this.threads = threads
    this.#memory = memory
    this.#offset = offset
    this.#library = library
    this.#scratch = scratch
    this.#words = new Int32Array(memory.buffer, offset, controlBytes / 4)
    this.#floats = new Float32Array(memory.buffer, offset, controlBytes / 4)
  }

  /** Byte offset of the barrier's counter. */
  get counter(): number {
    return this.#offset + 4 * control.barrier
  }

  /** How many threads take part now. */
  get ready(): number {
    if (this.#workers.length === 0) return 1
    const isReady = Atomics.load(this.#words, control.ready) === this.#workers.length
    return isReady ? this.threads : 1
  }

  /** Starts the workers, unless they were started or cannot be. */
  start(): void {
    if (this.#workers.length > 0 || this.#isAlone) return
    try {
      this.#startWorkers()
    } catch (error) {
      this.#goAlone(error as Error)
    }
  }

  /** The results are the same with one thread, so a program need not end because it gets no more. */
  #goAlone({ message }: Error): void {
    if (this.#isAlone) return
    this.#isAlone = true
    this.stop()
    console.warn(`sluice: computing in one thread, since no other could be started: ${message}`)
  }

  #startWorkers(): void {
    const { messages, dropped } = this.#library
    const modules = messages.filter((message) => !dropped.includes(message))
    for (let thread = 1; thread < this.threads; thread++) {
      const worker = startWorker((error) => this.#goAlone(error))
      this.#workers.push(worker)
      worker.postMessage({
        start: { memory: this.#memory, offset: this.#offset, thread },
        modules,
        dropped: [],
        job: this.#job,
        sent: this.#words[control.sent],
        words: control,
      })
    }
    this.#sent = messages.length
    this.#dropped = dropped.length
  }

  /** Ends the workers. */
  stop(): void {
    for (const worker of this.#workers) worker.terminate()
    this.#workers = []
  }

  /** Runs a task at once, over as many threads as it is worth. */
  run({ callee, given, items, cost, scratch }: Task): void {
    const loaded = this.#library.get(callee)
    const values = given as readonly number[]
    if (cost >= worthThreads && items > 1 && this.threads > 1) {
      this.start()
      const threads = this.ready
      if (threads > 1) {
        const at = scratch > 0 ? this.#scratch(scratch, threads) : 0
        this.#together(loaded, values, threads, items, at, scratch)
        return
      }
    }
    const all = [...values]
    if (loaded.takesScratch) all.push(this.#scratch(scratch, 1))
    if (loaded.takesRange) all.push(0, items)
    loaded.call(...all)
  }

  /** Calls a program's function on every thread: see kernels/tuned/wasm/program.ts. */
  runProgram(run: LoadedFunction, scratchBytes: number): void {
    if (this.threads > 1) this.start()
    const threads = this.ready
    const scratch = scratchBytes > 0 ? this.#scratch(scratchBytes, threads) : 0
    const before = threads > 1 ? Atomics.load(this.#words, control.barrier) : 0
    const given = [threads, this.counter, before, mayWait ? 1 : 0, scratch, scratchBytes]
    if (threads === 1) run.call(0, ...given)
    else this.#together(run, given, threads, 0, 0, 0)
  }

  #together(
    loaded: LoadedFunction,
    given: readonly number[],
    threads: number,
    items: number,
    scratch: number,
    scratchStep: number,
  ): void {
    const words = this.#words
    if (given.length > mostArguments) throw new SluiceError('cpu', `a kernel takes ${given.length} arguments`)
    if (this.#sent < this.#library.messages.length) this.#sendModules()
    words[control.callee] = loaded.id
    words[control.threads] = threads
    words[control.items] = items
    words[control.scratch] = scratch
    words[control.scratchStep] = loaded.takesScratch ? scratchStep : 0
    words[control.count] = given.length
    const start = items === 0 ? 1 : 0
    for (let i = 0; i < given.length; i++) {
      if (loaded.types[start + i] === 'f32') this.#floats[control.given + i] = given[i]
      else words[control.given + i] = given[i]
    }
    this.#announce()
    const all = items === 0 ? [0, ...given] : [...given]
    if (items > 0) {
      if (loaded.takesScratch) all.push(scratch)
      all.push(0, Math.min(items, Math.ceil(items / threads)))
    }
    try {
      loaded.call(...all)
    } catch (error) {
      // Nobody may wait for this thread at a barrier.
      Atomics.store(words, control.failed, 1)
      Atomics.notify(words, control.barrier)
      this.#finish()
      throw error
    }
    if (!this.#finish()) throw new SluiceError('cpu', 'a kernel failed on another thread; its error is above')
  }

  #announce(): void {
    this.#job = (this.#job + 1) | 0
    Atomics.store(this.#words, control.job, this.#job)
    Atomics.notify(this.#words, control.job)
  }

  /** Waits until all workers have done their part. Gives whether no thread failed. */
  #finish(): boolean {
    const words = this.#words
    this.#done = (this.#done + this.#workers.length) | 0
    for (let seen = 0; ; seen++) {
      const done = Atomics.load(words, control.done)
      if (done === this.#done) break
      if (mayWait && seen > looks) Atomics.wait(words, control.done, done)
    }
    return Atomics.exchange(words, control.failed, 0) === 0
  }

  /** Sends the workers the modules that are new. They leave their loop for it when the next job comes. */
  #sendModules(): void {
    const { messages, dropped } = this.#library
    const forget = dropped.slice(this.#dropped)
    const modules = messages.slice(this.#sent).filter((message) => !dropped.includes(message))
    const sent = ++this.#words[control.sent]
    for (const worker of this.#workers) {
      worker.postMessage({ modules, dropped: forget.map(rangeOf), job: this.#job, sent, words: control })
    }
    this.#sent = messages.length
    this.#dropped = dropped.length
  }
}

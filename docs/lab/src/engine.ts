/**
 * The engine behind the page: one experiment at a time, trained a step of one arm at a time, with the page's messages between steps.
 *
 * It knows nothing of workers: `post` sends what it has to say, `receive` takes what was sent to it.
 */
import type { CpuDevice } from '../../../src/device/cpu/cpu.ts'
import type { Device } from '../../../src/device/device.ts'
import { device } from '../../../src/device/registry.ts'
import type { AdapterDescription } from '../../../src/device/webgpu/adapter.ts'
import { SluiceError } from '../../../src/errors.ts'
import { reason } from '../../../src/hub/files.ts'
import { checkLeaks } from '../../../src/tensor/lifetime.ts'
import { type ArmRun, openArms } from './arm.ts'
import { lookAt } from './look.ts'
import { labelsOf, passageCount, readPassage } from './passage.ts'
import type { ArmLook, Both, DeviceChoice, DeviceReport, PageMessage, WorkerMessage } from './protocol.ts'
import { StepRate } from './step-rate.ts'

type Message<Type extends PageMessage['type']> = Extract<PageMessage, { type: Type }>

/** Sends a message; the buffers are given away with it. */
export type Post = (message: WorkerMessage, given: ArrayBuffer[]) => void

/** Milliseconds from one look, or message of progress, to the next. */
const interval = 1000 / 30

interface Experiment {
  readonly number: number
  readonly arms: Both<ArmRun>
  readonly labels: readonly string[]
}

export class Engine {
  readonly #post: Post
  readonly #turn: () => Promise<void>
  #inbox: PageMessage[] = []
  #wake: (() => void) | undefined
  #device: Device | undefined
  #experiment: Experiment | undefined
  /** Both arms train up to this many steps; 0 while they are paused. */
  #goal = 0
  /** Whether the page was told that they train. */
  #toldPlaying = false
  #look: Message<'look'> | undefined
  #lastProgress = Number.NEGATIVE_INFINITY
  #lastLook = Number.NEGATIVE_INFINITY
  #rate = new StepRate()

  /** @param turn resolves in another turn of the event loop, when messages have come in */
  constructor(post: Post, turn: () => Promise<void>) {
    this.#post = post
    this.#turn = turn
  }

  receive(message: PageMessage): void {
    this.#inbox.push(message)
    this.#wake?.()
  }

  /** Serves the page; never returns. */
  async run(): Promise<never> {
    this.#post({ type: 'ready' }, [])
    for (;;) {
      try {
        await this.#round()
      } catch (error) {
        this.#fail(error)
      }
    }
  }

  /** All messages, a look if one is wanted, and one step of one arm. */
  async #round(): Promise<void> {
    for (let message = this.#inbox.shift(); message; message = this.#inbox.shift()) await this.#take(message)
    const untilLook = this.#lastLook + interval - performance.now()
    if (this.#look && untilLook <= 0) await this.#showLook(this.#look)
    const next = this.#next()
    if (next) {
      await next.step()
      this.#rate.add(performance.now(), this.#leastSteps())
      this.#tellProgress()
      await this.#turn()
      return
    }
    if (this.#toldPlaying) this.#tellProgress()
    if (this.#inbox.length === 0) await this.#message(this.#look ? untilLook : undefined)
  }

  /** The next message, or `patience` milliseconds. */
  async #message(patience: number | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (patience !== undefined) setTimeout(resolve, patience)
    })
    this.#wake = undefined
  }

  /** The arm that trains next: the one that has done fewer steps. */
  #next(): ArmRun | undefined {
    const waiting = this.#experiment?.arms.filter(
      ({ session }) => session.stepsDone < this.#goal && !session.isComplete,
    )
    return waiting?.sort((a, b) => a.session.stepsDone - b.session.stepsDone)[0]
  }

  #steps(): number[] {
    return this.#experiment?.arms.map(({ session }) => session.stepsDone) ?? [0]
  }

  #leastSteps(): number {
    return Math.min(...this.#steps())
  }

  async #take(message: PageMessage): Promise<void> {
    switch (message.type) {
      case 'start':
        return this.#start(message)
      case 'play':
        return this.#trainTo(Number.POSITIVE_INFINITY)
      case 'pause':
        return this.#pause()
      case 'step':
        return this.#trainTo(Math.max(...this.#steps()) + message.count)
      case 'look':
        this.#look = message
        return
      case 'download':
        return this.#download(message)
      case 'statistics':
        return this.#statistics()
      case 'end':
        return this.#end()
    }
  }

  async #start({ experiment: number, plans, device: choice, threads }: Message<'start'>): Promise<void> {
    this.#end()
    try {
      this.#device = await openDevice(choice, threads)
      const arms = await openArms(plans, this.#device.name)
      const [{ session }] = arms
      const labels = labelsOf(session.data, session.config.data)
      this.#experiment = { number, arms, labels }
      this.#post(
        {
          type: 'started',
          experiment: number,
          device: reportOf(this.#device),
          arms: [arms[0].report(), arms[1].report()],
          contextLength: session.data.contextLength,
          labels,
          passages: passageCount(session.data),
        },
        [],
      )
    } catch (error) {
      this.#post({ type: 'failed', experiment: number, message: messageOf(error) }, [])
    }
  }

  #trainTo(goal: number): void {
    this.#goal = goal
    this.#rate.forget()
    // Told even if there is nothing to do, so that the page knows.
    this.#toldPlaying = true
  }

  /** An arm that is far behind stays there. */
  #pause(): void {
    const [a, b] = this.#steps()
    this.#goal = Math.abs(a! - b!) <= 1 ? Math.max(a!, b!) : 0
  }

  #tellProgress(): void {
    const now = performance.now()
    const playing = this.#next() !== undefined
    if (!this.#experiment || (playing && now - this.#lastProgress < interval)) return
    const { number, arms } = this.#experiment
    const [a, b] = arms
    const stepsPerSecond = playing ? this.#rate.perSecond : 0
    this.#post({ type: 'progress', experiment: number, playing, entries: [a.untold, b.untold], stepsPerSecond }, [])
    for (const arm of arms) arm.untold = []
    this.#lastProgress = now
    this.#toldPlaying = playing
  }

  async #showLook({ request, layer, passage: asked }: Message<'look'>): Promise<void> {
    this.#look = undefined
    if (!this.#experiment) return
    const { number, arms, labels } = this.#experiment
    const { data } = arms[0].session
    let passage: ReturnType<typeof readPassage>
    try {
      passage = readPassage(asked, data, labels)
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error
      this.#post({ type: 'look-refused', experiment: number, request, reason: messageOf(error) }, [])
      return
    }
    const [a, b] = arms.map(({ session }) => lookAt(session.model, passage, layer, session.stepsDone))
    const looks: Both<ArmLook> = [await a!, await b!]
    const tokens = passage.inputs
    this.#post({ type: 'look', experiment: number, request, tokens, arms: looks }, [
      tokens.buffer as ArrayBuffer,
      ...looks.flatMap(buffersOf),
    ])
    this.#lastLook = performance.now()
  }

  async #download({ arm }: Message<'download'>): Promise<void> {
    if (!this.#experiment) return
    const { number, arms } = this.#experiment
    const file = await arms[arm].pack()
    this.#post({ type: 'file', experiment: number, arm, ...file }, [file.bytes])
  }

  #statistics(): void {
    const { buffers, bytes } = this.#device?.statistics() ?? { buffers: 0, bytes: 0 }
    const leaks = checkLeaks().map(({ place }) => place)
    this.#post({ type: 'statistics', buffers, bytes, leaks }, [])
  }

  #end(): void {
    const ended = this.#experiment
    if (!ended) return
    this.#forget()
    for (const { session } of ended.arms) session.dispose()
    this.#post({ type: 'ended', experiment: ended.number }, [])
  }

  #forget(): void {
    this.#experiment = undefined
    this.#goal = 0
    this.#toldPlaying = false
    this.#look = undefined
    this.#rate.forget()
  }

  /** What went wrong ends the experiment. */
  #fail(error: unknown): void {
    const failed = this.#experiment
    this.#forget()
    for (const { session } of failed?.arms ?? []) {
      try {
        session.dispose()
      } catch {
        // A device that was lost cannot free; what is told is why.
      }
    }
    this.#post({ type: 'failed', experiment: failed?.number ?? -1, message: messageOf(error) }, [])
  }
}

/** An error in words; a fault of this program with the place it came from. */
function messageOf(error: unknown): string {
  if (error instanceof SluiceError) return reason(error)
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** The page draws on a processor of its own; models of this size meet at barriers too often for more than a few threads. */
const ownThreads = (): number => Math.max(1, Math.min(4, (globalThis.navigator?.hardwareConcurrency ?? 1) - 1))

const isIsolated = (): boolean => (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true

async function openDevice(choice: DeviceChoice, threads: number | undefined): Promise<Device> {
  return device(choice, { threads: threads ?? (isIsolated() ? ownThreads() : 1) })
}

function reportOf(opened: Device): DeviceReport {
  if (opened.name === 'webgpu') {
    const { name, isSoftware } = (opened as unknown as { adapter: AdapterDescription }).adapter
    return { name: 'webgpu', adapter: name, isSoftware, threads: undefined, isIsolated: isIsolated() }
  }
  const { threads } = (opened as CpuDevice).settings
  return { name: 'cpu', adapter: undefined, isSoftware: false, threads, isIsolated: isIsolated() }
}

function buffersOf({ losses, guesses, guessProbabilities, attention, gate, state }: ArmLook): ArrayBuffer[] {
  const arrays = [losses, guesses, guessProbabilities, attention, gate, state?.values, state?.beta, state?.decay]
  return arrays.flatMap((array) => (array ? [array.buffer as ArrayBuffer] : []))
}

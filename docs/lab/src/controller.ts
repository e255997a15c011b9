/** The state, the worker and what the page shows, joined. It knows no elements: what it needs of a browser is handed to it. */
import { formatFixed } from '../../../src/train/report/format.ts'
import { History } from './history.ts'
import { plansOf } from './plan.ts'
import type { Arm, ArmPlan, Both, OpenedRun, PageMessage, Passage, WorkerMessage } from './protocol.ts'
import { initialTaskOptions, type LabState, readState, taskProblem, writeState } from './state.ts'
import { type Cell, followed, type View } from './view.ts'

export interface Surroundings {
  /** Starts a worker; each message goes to `take`, and what ends it unasked to `fail`. */
  openWorker(take: (message: WorkerMessage) => void, fail: (reason: string) => void): WorkerHandle
  readHash(): string
  writeHash(hash: string): void
  /** The text that the page brings. */
  loadSample(): Promise<string>
  save(name: string, bytes: ArrayBuffer): void
  /** Milliseconds between two looks at the models while they train. */
  readonly lookEvery: number
}

export interface WorkerHandle {
  post(message: PageMessage): void
  terminate(): void
}

/** Milliseconds from a change of the settings to the runs that follow from it: several changes make one start. */
const settle = 300
/** Milliseconds between two sentences about a run's progress. */
const speakEvery = 10_000

/** What the runs depend on; the rest of the state is how they are looked at. */
const runKeys = [
  'data',
  'taskOptions',
  'text',
  'arms',
  'layers',
  'width',
  'heads',
  'learningRate',
  'steps',
  'seed',
  'batchSize',
  'contextLength',
  'device',
] as const satisfies readonly (keyof LabState)[]

const lookKeys = ['layer', 'passage', 'prompt'] as const satisfies readonly (keyof LabState)[]

function differ(a: LabState, b: LabState, keys: readonly (keyof LabState)[]): boolean {
  return keys.some((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]))
}

const passageOf = ({ prompt, passage }: LabState, passages: number): Passage =>
  prompt === '' ? { from: 'held-out', index: passage % passages } : { from: 'typed', text: prompt }

export class Controller {
  readonly #around: Surroundings
  readonly #show: (view: View) => void
  #view: View
  #worker: WorkerHandle | undefined
  #workerDevice: string | undefined
  /** Messages for a worker that does not listen yet. */
  #waiting: PageMessage[] | undefined
  #experiment = 0
  #files: Both<OpenedRun | undefined> = [undefined, undefined]
  #beginTimer: ReturnType<typeof setTimeout> | undefined
  #lookTimer: ReturnType<typeof setTimeout> | undefined
  #request = 0
  #isLooking = false
  #lookedAt = 0
  #spokenAt = 0

  constructor(around: Surroundings, show: (view: View) => void) {
    this.#around = around
    this.#show = show
    const { state, problems } = readState(around.readHash())
    this.#view = {
      state,
      problems,
      phase: 'opening',
      failure: undefined,
      started: undefined,
      histories: [new History(), new History()],
      look: undefined,
      refusal: undefined,
      stepsPerSecond: 0,
      cell: undefined,
      opened: [undefined, undefined],
      downloaded: undefined,
      spoken: '',
    }
    void this.#begin()
  }

  get view(): View {
    return this.#view
  }

  #update(part: Partial<View>): void {
    this.#view = { ...this.#view, ...part }
    this.#show(this.#view)
  }

  /** Takes what the URL says now. */
  readUrl(): void {
    const { state, problems } = readState(this.#around.readHash())
    if (writeState(state) === writeState(this.#view.state)) return
    this.#update({ problems })
    this.#take(state)
  }

  /**
   * Changes the state.
   *
   * @returns why it cannot be so, or null; nothing is changed then
   */
  change(part: Partial<LabState>): string | null {
    const other = part.data !== undefined && part.data !== this.#view.state.data
    const reset = other ? { taskOptions: initialTaskOptions(part.data!), prompt: '', passage: 0, position: -1 } : {}
    const state = { ...this.#view.state, ...reset, ...part }
    const problem = taskProblem(state.data, state.taskOptions)
    if (problem === null) this.#take(state)
    return problem
  }

  #take(state: LabState): void {
    const before = this.#view.state
    this.#update({ state })
    this.#around.writeHash(writeState(state))
    if (differ(before, state, runKeys)) this.#beginSoon()
    else if (differ(before, state, lookKeys)) this.#look(true)
  }

  play(): void {
    if (this.#view.phase !== 'paused') return
    this.change({ play: true })
    this.#post({ type: 'play' })
    this.#update({ phase: 'training', spoken: 'Training.' })
  }

  pause(): void {
    this.change({ play: false })
    this.#post({ type: 'pause' })
  }

  step(count: number): void {
    this.change({ play: false })
    this.#post({ type: 'step', count })
  }

  restart(): void {
    void this.#begin()
  }

  /** Follows a position; beyond the ends, the end. */
  follow(position: number): void {
    const { look, started } = this.#view
    if (!look || !started) return
    const at = Math.max(0, Math.min(position, look.tokens.length - 1))
    const cell = this.#view.cell && { query: at, key: Math.min(this.#view.cell.key, at) }
    this.#update({ cell, spoken: `Position ${at}: ${started.labels[look.tokens[at]!]}` })
    this.change({ position: at === look.tokens.length - 1 ? -1 : at })
  }

  /** Points at a cell of the maps, or at none. */
  point(cell: Cell | undefined, spoken = this.#view.spoken): void {
    this.#update({ cell, spoken })
  }

  download(arm: Arm): void {
    this.#post({ type: 'download', arm })
  }

  async open(arm: Arm, file: { readonly name: string; arrayBuffer(): Promise<ArrayBuffer> }): Promise<void> {
    const { data } = this.#view.state
    const text = data === 'text' ? await this.#text() : undefined
    const run: OpenedRun = { from: 'file', name: file.name, bytes: await file.arrayBuffer(), text }
    this.#setFile(arm, run)
  }

  /** Goes back to a run of the settings. */
  close(arm: Arm): void {
    this.#setFile(arm, undefined)
  }

  #setFile(arm: Arm, run: OpenedRun | undefined): void {
    this.#files = arm === 0 ? [run, this.#files[1]] : [this.#files[0], run]
    this.#update({ opened: [this.#files[0]?.name, this.#files[1]?.name] })
    void this.#begin()
  }

  async #text(): Promise<string> {
    return this.#view.state.text || (await this.#around.loadSample())
  }

  #beginSoon(): void {
    clearTimeout(this.#beginTimer)
    this.#beginTimer = setTimeout(() => void this.#begin(), settle)
    this.#update({ phase: 'opening' })
  }

  async #begin(): Promise<void> {
    clearTimeout(this.#beginTimer)
    const experiment = ++this.#experiment
    const { state } = this.#view
    this.#update({ phase: 'opening', failure: undefined, refusal: undefined, downloaded: undefined, cell: undefined })
    try {
      const text = state.data === 'text' ? await this.#text() : undefined
      if (experiment !== this.#experiment) return
      const [a, b] = plansOf(state, text)
      const plans: Both<ArmPlan> = [this.#files[0] ?? a, this.#files[1] ?? b]
      // A worker opens its device once, for good.
      if (this.#workerDevice !== state.device) this.#openWorker(state.device)
      this.#post({ type: 'start', experiment, plans, device: state.device })
    } catch (error) {
      this.#fail((error as Error).message)
    }
  }

  #openWorker(device: string): void {
    this.#worker?.terminate()
    this.#waiting = []
    this.#workerDevice = device
    const worker = this.#around.openWorker(
      (message) => {
        if (worker === this.#worker) this.#receive(message)
      },
      (reason) => {
        if (worker === this.#worker) this.#fail(reason)
      },
    )
    this.#worker = worker
  }

  #post(message: PageMessage): void {
    if (this.#waiting) this.#waiting.push(message)
    else this.#worker?.post(message)
  }

  #fail(failure: string): void {
    this.#isLooking = false
    this.#update({ phase: 'failed', failure, spoken: failure })
    // What comes next begins with a worker that nothing has happened to.
    this.#workerDevice = undefined
  }

  #receive(message: WorkerMessage): void {
    if (message.type === 'ready') {
      const waiting = this.#waiting ?? []
      this.#waiting = undefined
      for (const each of waiting) this.#worker?.post(each)
      return
    }
    if (message.type === 'statistics' || message.experiment !== this.#experiment) return
    switch (message.type) {
      case 'started': {
        const [a, b] = message.arms
        this.#update({
          phase: 'paused',
          started: message,
          histories: [new History(a.log), new History(b.log)],
          look: undefined,
          stepsPerSecond: 0,
        })
        this.#look(true)
        if (this.#view.state.play) this.play()
        break
      }
      case 'progress': {
        this.#view.histories.forEach((history, arm) => {
          history.add(message.entries[arm]!)
        })
        const isDone = this.#view.started!.arms.every(
          ({ step, steps }, arm) => (this.#view.histories[arm]!.last?.step ?? step) >= steps,
        )
        const phase = message.playing ? 'training' : isDone ? 'finished' : 'paused'
        const { stepsPerSecond } = message
        this.#update({ phase, stepsPerSecond })
        this.#speakOfProgress(phase)
        this.#look(phase !== 'training')
        break
      }
      case 'look':
        if (message.request !== this.#request) break
        this.#isLooking = false
        this.#update({ look: message, refusal: undefined })
        if (this.#view.phase === 'training') this.#look(false)
        break
      case 'look-refused':
        if (message.request !== this.#request) break
        this.#isLooking = false
        this.#update({ refusal: message.reason, spoken: message.reason })
        break
      case 'file':
        this.#around.save(message.name, message.bytes)
        this.#update({
          downloaded: { name: message.name, command: message.command },
          spoken: `${message.name} is downloaded.`,
        })
        break
      case 'failed':
        this.#fail(message.message)
    }
  }

  /** Asks for a look: at once, or when the one before it is answered and some time has passed. */
  #look(now: boolean): void {
    const { started } = this.#view
    if (!started) return
    clearTimeout(this.#lookTimer)
    if (!now && this.#isLooking) return
    const wait = now ? 0 : Math.max(0, this.#lookedAt + this.#around.lookEvery - Date.now())
    const ask = (): void => {
      this.#isLooking = true
      this.#lookedAt = Date.now()
      const { state } = this.#view
      const passage = passageOf(state, Math.max(1, started.passages))
      this.#post({ type: 'look', request: ++this.#request, layer: state.layer, passage })
    }
    if (wait === 0) ask()
    else this.#lookTimer = setTimeout(ask, wait)
  }

  #speakOfProgress(phase: View['phase']): void {
    const isTold = phase === 'training' && Date.now() - this.#spokenAt < speakEvery
    if (isTold) return
    this.#spokenAt = Date.now()
    const { histories, started } = this.#view
    const [a, b] = histories
    if (!a.last || !b.last || !started) return
    const losses = `Loss of A ${formatFixed(a.loss!, 2)}, of B ${formatFixed(b.loss!, 2)}.`
    const state = { training: '', paused: 'Paused. ', finished: 'Finished. ', opening: '', failed: '' }[phase]
    this.#update({ spoken: `${state}Step ${a.last.step} of ${started.arms[0].steps}. ${losses}` })
  }

  /** The cell that arrow keys begin from. */
  get firstCell(): Cell {
    return { query: followed(this.#view), key: 0 }
  }
}

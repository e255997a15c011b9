/** A worker that keeps what it was told and says what a test wants: for the page's controller, which knows no elements. */
import { Controller, type WorkerHandle } from '../../docs/lab/src/controller.ts'
import type { ArmLook, ArmReport, PageMessage, WorkerMessage } from '../../docs/lab/src/protocol.ts'
import type { View } from '../../docs/lab/src/view.ts'

export class FakeWorker implements WorkerHandle {
  readonly told: PageMessage[] = []
  isTerminated = false
  readonly say: (message: WorkerMessage) => void
  readonly fail: (reason: string) => void

  constructor(say: (message: WorkerMessage) => void, fail: (reason: string) => void) {
    this.say = say
    this.fail = fail
  }

  post(message: PageMessage): void {
    this.told.push(message)
  }

  terminate(): void {
    this.isTerminated = true
  }

  /** The last message of a type. */
  last<Type extends PageMessage['type']>(type: Type): Extract<PageMessage, { type: Type }> {
    const found = this.told.findLast((message) => message.type === type)
    if (!found) throw new Error(`the worker was told no ${type}`)
    return found as Extract<PageMessage, { type: Type }>
  }

  count(type: PageMessage['type']): number {
    return this.told.filter((message) => message.type === type).length
  }

  /** Says that the runs of the last start are there. */
  started(steps = 100): void {
    const arm: ArmReport = {
      name: 'run',
      config: {},
      parameters: 1,
      layerTypes: ['attention'],
      heads: 1,
      gate: undefined,
      step: 0,
      steps,
      log: [],
    }
    this.say({
      type: 'started',
      experiment: this.last('start').experiment,
      device: { name: 'cpu', adapter: undefined, isSoftware: false, threads: 1, isIsolated: false },
      arms: [arm, arm],
      contextLength: 3,
      labels: ['a', 'b', 'c'],
      passages: 4,
    })
  }

  /** Says that both arms have done so many steps. */
  progress(step: number, playing: boolean, experiment = this.last('start').experiment): void {
    const entries = [{ step, loss: 1, learningRate: 1, norm: 1, seconds: 1 }]
    this.say({ type: 'progress', experiment, playing, entries: [entries, entries], stepsPerSecond: 1 })
  }

  /** Answers the last look. */
  look(request = this.last('look').request): void {
    const arm: ArmLook = {
      step: 0,
      layers: [],
      loss: 1,
      losses: new Float32Array(3),
      guesses: new Int32Array(9),
      guessProbabilities: new Float32Array(9),
      layer: 0,
      attention: new Float32Array(9),
      gate: undefined,
      gateHeads: 0,
      histogram: undefined,
      state: undefined,
    }
    const { experiment } = this.last('start')
    this.say({ type: 'look', experiment, request, tokens: Int32Array.of(2, 0, 1), arms: [arm, arm] })
  }
}

/** A controller whose surroundings are a test's. */
export function openLab(hash = '') {
  const workers: FakeWorker[] = []
  const hashes: string[] = [hash]
  const views: View[] = []
  const saved: string[] = []
  const controller = new Controller(
    {
      openWorker(take, fail) {
        const worker = new FakeWorker(take, fail)
        workers.push(worker)
        return worker
      },
      readHash: () => hashes.at(-1)!,
      writeHash: (written) => hashes.push(written),
      loadSample: async () => 'call me ishmael',
      save: (name) => saved.push(name),
      lookEvery: 100,
    },
    (view) => views.push(view),
  )
  return {
    controller,
    workers,
    hashes,
    views,
    saved,
    /** The one that is listened to. */
    get worker(): FakeWorker {
      return workers.at(-1)!
    },
    get view(): View {
      return views.at(-1)!
    },
  }
}

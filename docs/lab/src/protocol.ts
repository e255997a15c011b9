/**
 * What the page and its worker say to each other. The worker holds the engine, the page none of it: this file has types only.
 *
 * The worker holds one experiment at a time: two runs, its arms A and B, from the same seed and the same data. It starts paused. The
 * worker's messages about an experiment carry the number that `start` gave it; those of an earlier one are to be thrown away.
 *
 * T tokens shown, H heads of attention; Hv, K and V heads and sides of a delta layer's state.
 */
import type { LogEntry } from '../../../src/train/run.ts'

/** One value for each arm, A first. */
export type Both<Value> = readonly [Value, Value]

/** 0 is A, 1 is B. */
export type Arm = 0 | 1

export type DeviceChoice = 'auto' | 'cpu' | 'webgpu'

/** A run that begins. */
export interface FreshRun {
  readonly from: 'config'
  /** What differs from the defaults of a training configuration (docs/training.md). */
  readonly config: Readonly<Record<string, unknown>>
  /** The text to learn from; undefined for a generated task. */
  readonly text: string | undefined
}

/**
 * A run that goes on: a `.zip` as `download` gives it, or a checkpoint (`.safetensors`) of `sluice train`. If the other arm is
 * fresh, it takes everything but its gate and what mixes its tokens from this one.
 */
export interface OpenedRun {
  readonly from: 'file'
  readonly name: string
  readonly bytes: ArrayBuffer
  /** For a checkpoint of a text, which does not hold it. */
  readonly text: string | undefined
}

export type ArmPlan = FreshRun | OpenedRun

/** The tokens that both arms are looked at with. */
export type Passage =
  /** Sequence `index` of the held-out data, counted round. */
  | { readonly from: 'held-out'; readonly index: number }
  /** Characters for a text; for a task tokens between spaces, as in `Started.labels`. The last context's length of them is taken. */
  | { readonly from: 'typed'; readonly text: string }

export type PageMessage =
  /** Ends the experiment before it and begins one. Answered by `started`, or by `failed`. The first opens the device, for good. */
  | {
      readonly type: 'start'
      readonly experiment: number
      readonly plans: Both<ArmPlan>
      readonly device: DeviceChoice
      /** Of the cpu device; as many as it takes by itself unless given. */
      readonly threads?: number
    }
  /** Trains until `pause` or the last step. The arm that has done fewer steps goes first. */
  | { readonly type: 'play' }
  /** Takes effect after the step that is being done by each arm. */
  | { readonly type: 'pause' }
  /** Trains both arms `count` steps further, then pauses. */
  | { readonly type: 'step'; readonly count: number }
  /** Asks for one `look`, given within a step of each arm. An earlier one that was not answered is forgotten. */
  | { readonly type: 'look'; readonly request: number; readonly layer: number; readonly passage: Passage }
  /** Asks for `file`, the run of an arm as it is now. */
  | { readonly type: 'download'; readonly arm: Arm }
  /** Asks for `statistics`. */
  | { readonly type: 'statistics' }
  /** Ends the experiment and frees what it held. */
  | { readonly type: 'end' }

/** What the engine runs on. */
export interface DeviceReport {
  readonly name: 'cpu' | 'webgpu'
  /** The GPU, as the browser names it; undefined on the cpu. */
  readonly adapter: string | undefined
  /** Whether that GPU is emulated: slower than the cpu device. */
  readonly isSoftware: boolean
  /** Threads of the cpu device, 1 where the page is not isolated from other origins; undefined on webgpu. */
  readonly threads: number | undefined
  /** Whether the page may share memory between threads. */
  readonly isIsolated: boolean
}

/** A run that is there, as the page shows it. */
export interface ArmReport {
  /** The name of its folder in a download. */
  readonly name: string
  /** The whole configuration, defaults filled in. */
  readonly config: Readonly<Record<string, unknown>>
  readonly parameters: number
  /** 'attention' or 'delta', by layer. */
  readonly layerTypes: readonly ('attention' | 'delta')[]
  /** H */
  readonly heads: number
  /** A gate as in the paper's table 1, 'G1 elementwise sigmoid'; undefined without one. */
  readonly gate: string | undefined
  /** Steps done. */
  readonly step: number
  /** Steps in all. */
  readonly steps: number
  /** Of the steps done before it was opened. */
  readonly log: readonly LogEntry[]
}

/** One layer of one arm, in brief. */
export interface LayerSummary {
  readonly type: 'attention' | 'delta'
  /** Mean attention on the first token, by head; undefined in a delta layer. */
  readonly firstToken: readonly number[] | undefined
  /** Mean score of the gate; undefined without one. */
  readonly gate: number | undefined
  /** Largest and median absolute value of the layer's output. */
  readonly largestActivation: number
  readonly medianActivation: number
}

/** What one arm shows of the passage. Arrays are row-major, and the page's own. */
export interface ArmLook {
  readonly step: number
  readonly layers: readonly LayerSummary[]
  /** Mean cross-entropy of the passage's next tokens, in nats; NaN where nothing is asked. */
  readonly loss: number
  /** Cross-entropy at each position, [T]; NaN where nothing is asked. */
  readonly losses: Float32Array
  /** The most likely tokens after each position, [T, 3], the likeliest first, and their probabilities. */
  readonly guesses: Int32Array
  readonly guessProbabilities: Float32Array
  /** Of the layer that was asked for; the last one if there are fewer. */
  readonly layer: number
  /** [H, T, T], rows are queries and columns keys; undefined in a delta layer. */
  readonly attention: Float32Array | undefined
  /** [heads, T], a head's mean score over its width; undefined without a gate. */
  readonly gate: Float32Array | undefined
  /** Rows of `gate`: H at G1 and G4, the key-value heads at G2 and G3, 1 at G5. */
  readonly gateHeads: number
  /** All scores of the layer's gate in 20 equal bins on [0, 1], those outside in the nearest; undefined without a gate. */
  readonly histogram: readonly number[] | undefined
  /** A delta layer's memory after the last token; undefined in an attention layer. */
  readonly state: DeltaLook | undefined
}

export interface DeltaLook {
  /** [Hv, K, V] */
  readonly values: Float32Array
  readonly shape: readonly [heads: number, keys: number, values: number]
  /** How much of a correction is written, [Hv, T]. */
  readonly beta: Float32Array
  /** What is left of the memory after each step, [Hv, T], a mean over channels where each has its own; undefined with rule 'delta'. */
  readonly decay: Float32Array | undefined
}

export type WorkerMessage =
  /** The first message: the worker takes messages now. */
  | { readonly type: 'ready' }
  | {
      readonly type: 'started'
      readonly experiment: number
      readonly device: DeviceReport
      readonly arms: Both<ArmReport>
      /** T, at most. */
      readonly contextLength: number
      /** How each token is typed, by its id: of a text its characters, spaces and line ends too. */
      readonly labels: readonly string[]
      /** Held-out sequences to look at. */
      readonly passages: number
    }
  /** At most 30 a second while training; one after the last step before a pause. */
  | {
      readonly type: 'progress'
      readonly experiment: number
      readonly playing: boolean
      /**
       * Lines of the log since the last message. Every 25 steps, and at the last one, they have `heldOutLoss`, `heldOutAccuracy`, and in
       * `found` what was measured on held-out data: `firstToken` and `firstTokenUniform` (with attention), `gate` (with a gate),
       * `largestActivation`.
       */
      readonly entries: Both<readonly LogEntry[]>
      /** Steps of both arms a second, over the last seconds; 0 when it is not known yet. */
      readonly stepsPerSecond: number
    }
  | {
      readonly type: 'look'
      readonly experiment: number
      readonly request: number
      /** [T] */
      readonly tokens: Int32Array
      readonly arms: Both<ArmLook>
    }
  /** The passage cannot be read: says which token is unknown. Training goes on. */
  | { readonly type: 'look-refused'; readonly experiment: number; readonly request: number; readonly reason: string }
  /** A run's folder in a zip. `command` opens it on a command line. */
  | {
      readonly type: 'file'
      readonly experiment: number
      readonly arm: Arm
      readonly name: string
      readonly bytes: ArrayBuffer
      readonly command: string
    }
  /** Buffers of the device that are not released, their bytes, and tensors that nobody owns. */
  | { readonly type: 'statistics'; readonly buffers: number; readonly bytes: number; readonly leaks: readonly string[] }
  /** Everything of the experiment was freed. Also after a `start` that ends an earlier one. */
  | { readonly type: 'ended'; readonly experiment: number }
  /** The experiment is at an end: it could not begin, diverged, or the device failed. `message` says what to do. */
  | { readonly type: 'failed'; readonly experiment: number; readonly message: string }

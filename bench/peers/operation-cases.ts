/**
 * The hot operations that are compared, as data: every engine's script makes the same tensors from it, by the hash of
 * `hash-model.ts`, so that all must find the same values.
 *
 * Shape letters: B batch, T time, H heads, D head width, C width, K, V sizes of the delta rule's state.
 */

/** Uniform in [low, high); with `below`, integers in [0, below). */
export interface InputSpecification {
  readonly shape: readonly number[]
  /** -1 unless given. */
  readonly low?: number
  /** 1 unless given. */
  readonly high?: number
  readonly below?: number
}

export type ComparedOperation =
  | 'matmul'
  | 'add'
  | 'gelu'
  | 'softmax'
  | 'crossEntropy'
  | 'rmsNorm'
  | 'attention'
  | 'embedding'
  | 'adamW'
  | 'gatedDeltaRule'

export interface OperationCase {
  /** Its name in tables: one for each case. */
  readonly row: string
  readonly operation: ComparedOperation
  /** Of the gated delta rule. */
  readonly mode?: 'recurrent' | 'chunked'
  /** Without a program or compilation: what a call of a small operation costs. */
  readonly eager?: boolean
  /** Input i comes from seed i + 1. All that are not integers get gradients. */
  readonly inputs: readonly InputSpecification[]
  /** Shape of the result, and of the cotangent that goes back, from seed 100; null for a scalar, where it is 1. */
  readonly result: readonly number[] | null
  /** Of the forward pass, a multiply-add being two; twice as many again go back. */
  readonly flops?: number
  /** B T: to give times a token. */
  readonly tokens?: number
}

/** What a script is asked for, as JSON. */
export interface OperationTask {
  readonly case: OperationCase
  /** Milliseconds for each pass. */
  readonly time: number
}

/** What a script prints. */
export interface OperationLine {
  readonly lib: string
  /** Milliseconds of one call, without recording for gradients. */
  readonly forward: number
  /** Milliseconds of forward and backward; null for what has no gradient. */
  readonly both: number | null
  /** Root mean squares of the result, then of the gradient of each input that gets one. */
  readonly checks: readonly number[]
  /** Largest resident memory of the process, and that before the first tensor was made. */
  readonly rss_mb: number
  readonly rss_start_mb: number
}

const product = (n: number): OperationCase => ({
  row: `matmul ${n}`,
  operation: 'matmul',
  inputs: [{ shape: [n, n] }, { shape: [n, n] }],
  result: [n, n],
  flops: 2 * n ** 3,
})

const [B, T, H, D] = [4, 256, 6, 64]
const heads = [B, T, H, D]

/** Keys of length below 1, so that the state stays bounded; decays as a trained model has them. */
const delta = (mode: 'recurrent' | 'chunked', time: number): OperationCase => {
  const [batch, headCount, width] = [2, 4, 32]
  const vectors = [batch, time, headCount, width]
  const numbers = [batch, time, headCount]
  return {
    row: `gated delta rule ${mode} T ${time}`,
    operation: 'gatedDeltaRule',
    mode,
    inputs: [
      { shape: vectors, low: -0.5, high: 0.5 },
      { shape: vectors, low: -0.3, high: 0.3 },
      { shape: vectors },
      { shape: numbers, low: -0.5, high: 0 },
      { shape: numbers, low: 0, high: 1 },
    ],
    result: vectors,
    tokens: batch * time,
  }
}

const deltaTimes = [256, 512, 1024, 2048, 4096, 8192]

export const operationCases: readonly OperationCase[] = [
  product(256),
  product(512),
  product(1024),
  {
    row: 'add 1024x1024',
    operation: 'add',
    inputs: [{ shape: [1024, 1024] }, { shape: [1024, 1024] }],
    result: [1024, 1024],
  },
  { row: 'add 16 eager', operation: 'add', eager: true, inputs: [{ shape: [16] }, { shape: [16] }], result: [16] },
  {
    row: 'gelu 1024x1024',
    operation: 'gelu',
    inputs: [{ shape: [1024, 1024], low: -3, high: 3 }],
    result: [1024, 1024],
  },
  {
    row: 'softmax 1024x1024',
    operation: 'softmax',
    inputs: [{ shape: [1024, 1024], low: -3, high: 3 }],
    result: [1024, 1024],
  },
  {
    row: 'crossEntropy 512x4096',
    operation: 'crossEntropy',
    inputs: [
      { shape: [512, 4096], low: -3, high: 3 },
      { shape: [512], below: 4096 },
    ],
    result: null,
  },
  {
    row: 'rmsNorm 1024x256',
    operation: 'rmsNorm',
    inputs: [{ shape: [1024, 256] }, { shape: [256], low: 0.5, high: 1.5 }],
    result: [1024, 256],
  },
  {
    row: `attention causal ${heads.join('x')}`,
    operation: 'attention',
    inputs: [{ shape: heads }, { shape: heads }, { shape: heads }],
    result: heads,
    // As if no half were masked, as is usual.
    flops: 4 * B * H * T * T * D,
  },
  {
    row: 'embedding 4096x256 16x128',
    operation: 'embedding',
    inputs: [{ shape: [4096, 256] }, { shape: [16, 128], below: 4096 }],
    result: [16, 128, 256],
  },
  {
    // The parameter and its gradient; a step is measured as the forward pass.
    row: 'AdamW 1024x1024',
    operation: 'adamW',
    inputs: [{ shape: [1024, 1024] }, { shape: [1024, 1024] }],
    result: [1024, 1024],
  },
  ...deltaTimes.flatMap((time) => [delta('recurrent', time), delta('chunked', time)]),
]

/** Those whose row starts with one of these. @throws Error when there is none */
export function chosenCases(starts: readonly string[]): OperationCase[] {
  const chosen = operationCases.filter(({ row }) => starts.some((start) => row.startsWith(start)))
  if (chosen.length > 0) return chosen
  throw new Error(`--only ${starts.join(',')}: there are ${operationCases.map(({ row }) => `'${row}'`).join(', ')}`)
}

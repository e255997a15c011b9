/**
 * Every numbered run of the paper, with what it reports of each: Gated Attention for Large Language Models, NeurIPS 2025,
 * tables 1, 2, 3, 4 and 6.
 *
 * Where the paper contradicts itself, table 1's number stands here: GSM8k of G2 elementwise is 53.97 there and 51.33 in table 4;
 * the parameters that G2 headwise adds are 0.2 M there, as they are counted, and 3 M in table 6. Two more of its counts are not
 * those of the models that it describes: row 4's four experts hold 453 M, where it prints 400, and rows 21 to 24 would add
 * 355, 153, 76 and 178 M with the maps of every head (SwitchHead, arXiv 2312.07987), where it prints 38, 13, 13 and 25.
 */
import type { TransformerConfigInput } from '../nn/index.ts'

/** The three sizes that the paper trains. */
export type PaperModel = '15A2B' | '1.7B-28L' | '1.7B-48L'

/** Benchmark accuracies in per cent, as printed; those that a table has. */
export interface PaperScores {
  /** HellaSwag */
  readonly hellaSwag: number
  /** MMLU */
  readonly mmlu: number
  /** GSM8K */
  readonly gsm8k: number
  /** Null in table 4's runs that are in no other table. */
  readonly cEval: number | null
  /** Dense models only. */
  readonly humanEval: number | null
  /** CMMLU; dense models only. */
  readonly cmmlu: number | null
}

/** One run of the paper, as its tables print it. */
export interface PaperRun {
  /** From 1 on: as the tables come, without repeating a run that stands in several. */
  readonly row: number
  /** The first table that it stands in. */
  readonly table: 1 | 2 | 3 | 4 | 6
  /** The model's size and kind. */
  readonly model: PaperModel
  /** Tokens of training. */
  readonly tokens: number
  /** Sequences a step. */
  readonly batch: number
  /** Name in `variants`. */
  readonly variant: string
  /** The largest of the schedule. */
  readonly maximumLearningRate: number
  /** Null for a run that diverged. */
  readonly perplexity: number | null
  /** Null for a run that diverged. */
  readonly scores: PaperScores | null
  /** Parameters beyond the baseline's, in millions, as printed; null where nothing is printed. */
  readonly addedParameters: number | null
  /** Mean score of the gate, where table 4 has it. */
  readonly gateScore: number | null
  /** M-Act: largest absolute activation of a layer, the mean over layers, where table 4 has it. */
  readonly massiveActivation: number | null
  /** F-Attn: mean attention on the first token, where table 4 has it. */
  readonly firstToken: number | null
}

/**
 * The settings of the paper's baselines, as `transformerConfig` takes them (table 7). The vocabulary is that of the released
 * checkpoints. They are for counting parameters: the largest holds 15 billion.
 */
export const paperModels: Readonly<Record<PaperModel, TransformerConfigInput>> = {
  '15A2B': {
    vocabularySize: 152064,
    contextLength: 4096,
    width: 2048,
    layers: 24,
    heads: 32,
    keyValueHeads: 4,
    headWidth: 128,
    gate: 'none',
    experts: { count: 128, active: 8, width: 768 },
    tied: false,
  },
  '1.7B-28L': {
    vocabularySize: 152064,
    contextLength: 4096,
    width: 2048,
    layers: 28,
    heads: 16,
    keyValueHeads: 8,
    headWidth: 128,
    gate: 'none',
    feedForwardWidth: 6144,
    tied: true,
  },
  '1.7B-48L': {
    vocabularySize: 152064,
    contextLength: 4096,
    width: 1536,
    layers: 48,
    heads: 16,
    keyValueHeads: 8,
    headWidth: 128,
    gate: 'none',
    feedForwardWidth: 4608,
    tied: true,
  },
}

const unmeasured = { gateScore: null, massiveActivation: null, firstToken: null }

/** HellaSwag, MMLU, GSM8k, C-eval: the order of table 1. */
type MixtureScores = readonly [hellaSwag: number, mmlu: number, gsm8k: number, cEval: number | null]

/** A run of the mixture of experts: 400 B tokens, 1024 sequences a step, a rate of 2e-3. */
function mixture(
  row: number,
  table: PaperRun['table'],
  variant: string,
  addedParameters: number | null,
  perplexity: number,
  [hellaSwag, mmlu, gsm8k, cEval]: MixtureScores,
  measured:
    | { gateScore: number | null; massiveActivation: number; firstToken: number }
    | typeof unmeasured = unmeasured,
): PaperRun {
  const scores = { hellaSwag, mmlu, gsm8k, cEval, humanEval: null, cmmlu: null }
  const setUp = { model: '15A2B', tokens: 400e9, batch: 1024, maximumLearningRate: 2e-3 } as const
  return { row, table, ...setUp, variant, perplexity, scores, addedParameters, ...measured }
}

type DenseSetUp = Pick<PaperRun, 'model' | 'tokens' | 'batch'>

/** HumanEval, MMLU, GSM8k, HellaSwag, C-eval, CMMLU: the order of table 2. */
type DenseScores = readonly [
  humanEval: number,
  mmlu: number,
  gsm8k: number,
  hellaSwag: number,
  cEval: number,
  cmmlu: number,
]

/** A run of a dense model; `result` is null where it diverged. */
function dense(
  row: number,
  setUp: DenseSetUp,
  variant: string,
  maximumLearningRate: number,
  result: readonly [perplexity: number, ...DenseScores] | null,
): PaperRun {
  const rest = { row, table: 2, ...setUp, variant, maximumLearningRate, addedParameters: null, ...unmeasured } as const
  if (!result) return { ...rest, perplexity: null, scores: null }
  const [perplexity, humanEval, mmlu, gsm8k, hellaSwag, cEval, cmmlu] = result
  return { ...rest, perplexity, scores: { hellaSwag, mmlu, gsm8k, cEval, humanEval, cmmlu } }
}

const measures = (gateScore: number | null, massiveActivation: number, firstToken: number) => ({
  gateScore,
  massiveActivation,
  firstToken,
})

const shallow: DenseSetUp = { model: '1.7B-28L', tokens: 400e9, batch: 1024 }
const shallowLong: DenseSetUp = { model: '1.7B-28L', tokens: 3.5e12, batch: 2048 }
const deep: DenseSetUp = { model: '1.7B-48L', tokens: 400e9, batch: 1024 }
const deepLong: DenseSetUp = { model: '1.7B-48L', tokens: 1e12, batch: 4096 }

/** The 38 numbered runs, in the order of their rows. */
export const paperRuns: readonly PaperRun[] = [
  mixture(1, 1, 'baseline', 0, 6.026, [73.07, 58.79, 52.92, 60.26], measures(null, 1053, 0.467)),
  mixture(2, 1, 'more-kv-heads', 50, 5.979, [73.51, 59.78, 52.16, 62.26]),
  mixture(3, 1, 'more-query-heads', 201, 5.953, [73.59, 58.45, 53.3, 59.67]),
  mixture(4, 1, 'more-experts', 400, 5.964, [73.19, 58.84, 52.54, 63.19]),
  mixture(5, 1, 'g1-elementwise', 201, 5.761, [74.64, 60.82, 55.27, 62.2], measures(0.116, 94, 0.048)),
  mixture(6, 1, 'g2-elementwise', 25, 5.82, [74.38, 59.17, 53.97, 61.0], measures(0.221, 125, 0.297)),
  mixture(7, 1, 'g3-elementwise', 25, 6.016, [72.88, 59.18, 50.49, 61.74]),
  mixture(8, 1, 'g4-elementwise', 201, 5.981, [73.01, 58.74, 53.97, 62.14]),
  mixture(9, 1, 'g5', 100, 6.017, [73.32, 59.41, 50.87, 59.43]),
  mixture(10, 1, 'g1-headwise', 1.6, 5.792, [74.5, 60.05, 54.44, 62.61], measures(0.172, 98, 0.073)),
  mixture(11, 1, 'g2-headwise', 0.2, 5.808, [74.38, 59.32, 53.53, 62.61]),
  mixture(12, 1, 'g1-shared', 201, 5.801, [74.34, 60.06, 53.15, 61.01], measures(0.271, 286, 0.301)),
  mixture(13, 1, 'g2-shared', 25, 5.867, [74.1, 59.02, 53.03, 60.61]),
  mixture(14, 1, 'g1-additive-silu', 201, 5.821, [74.81, 60.06, 53.3, 60.98]),
  mixture(15, 1, 'g1-silu', 201, 5.822, [74.22, 60.49, 54.59, 62.34]),
  mixture(16, 3, 'sdpa-norm', null, 5.847, [74.1, 60.15, 53.75, 61.14]),
  mixture(17, 3, 'sdpa-silu', null, 5.975, [73.34, 59.55, 53.19, 60.9]),
  mixture(18, 3, 'g1-additive-identity', null, 5.882, [74.17, 59.2, 52.77, 59.86]),
  mixture(19, 4, 'g1-input-independent', null, 5.917, [73.64, 59.02, 52.4, null], measures(0.335, 471, 0.364)),
  mixture(20, 4, 'g1-ns-sigmoid', null, 5.9, [74.05, 60.05, 52.75, null], measures(0.653, 892, 0.451)),
  mixture(21, 6, 'switch-kv-8-8', 38, 5.847, [73.32, 59.17, 52.54, 61.01]),
  mixture(22, 6, 'switch-kv-4-4', 13, 5.935, [73.75, 58.14, 53.27, 59.67]),
  mixture(23, 6, 'switch-v-4-4', 13, 5.82, [73.34, 59.02, 52.77, 61.74]),
  mixture(24, 6, 'switch-v-8-2', 25, 5.87, [74.17, 59.1, 53.53, 62.34]),
  dense(25, shallow, 'baseline', 4e-3, [7.499, 28.66, 50.21, 27.82, 64.94, 49.15, 49.52]),
  dense(26, shallow, 'g1-elementwise', 4e-3, [7.404, 29.27, 51.15, 28.28, 65.48, 50.72, 50.72]),
  dense(27, shallowLong, 'baseline', 4.5e-3, [6.18, 34.15, 59.1, 69.07, 68.02, 68.19, 64.95]),
  dense(28, shallowLong, 'g1-elementwise', 4.5e-3, [6.13, 37.8, 59.61, 70.2, 68.84, 68.52, 65.76]),
  dense(29, deep, 'baseline', 4e-3, [7.421, 28.05, 52.04, 32.98, 65.96, 51.11, 51.86]),
  dense(30, deep, 'baseline', 8e-3, [9.195, 21.34, 44.28, 15.24, 57.0, 43.11, 42.63]),
  dense(31, deep, 'sandwich', 8e-3, [7.407, 30.49, 52.07, 32.9, 66.0, 52.04, 51.72]),
  dense(32, deep, 'g1-elementwise', 4e-3, [7.288, 31.71, 52.44, 32.37, 66.28, 52.06, 52.29]),
  dense(33, deep, 'g1-headwise', 4e-3, [7.37, 31.1, 53.83, 34.12, 65.59, 55.07, 52.38]),
  dense(34, deep, 'g1-elementwise', 8e-3, [7.325, 31.1, 54.47, 36.62, 66.4, 53.91, 53.8]),
  dense(35, deepLong, 'baseline', 5.3e-3, [7.363, 29.88, 54.44, 32.22, 65.43, 53.72, 53.37]),
  dense(36, deepLong, 'baseline', 8e-3, null),
  dense(37, deepLong, 'g1-elementwise', 5.3e-3, [7.101, 34.15, 55.7, 36.69, 67.17, 54.51, 54.68]),
  dense(38, deepLong, 'g1-elementwise', 8e-3, [7.078, 31.71, 56.47, 39.73, 67.38, 55.52, 55.77]),
]

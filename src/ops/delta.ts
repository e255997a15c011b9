/**
 * The delta rule: a memory of keys and values that decays, looks up, corrects and reads.
 *
 *   S_t = (I - beta_t k_t k_t^T) alpha_t S_{t-1} + beta_t k_t v_t^T,   o_t = scale S_t^T q_t       S [K, V] a head
 *
 * with alpha = e^g one number a head (Gated Delta Networks, arXiv 2412.06464, equation 10), 1 (DeltaNet, arXiv 2406.06484), or
 * a diagonal, one number a channel of the key (Kimi Delta Attention, arXiv 2510.26692). In order: decay S, look up r = S^T k,
 * write the correction u = beta (v - r) under k, read. B batch, T time, H heads, K and V the state's sides.
 *
 * The chunked form does C steps at once; the corrections of a chunk solve a triangular system, by forward substitution, never by
 * powers of the matrix, which lose everything when keys repeat. `delta-forms.ts` has both forms.
 */
import { SluiceError, showShape } from '../errors.ts'
import { full } from '../tensor/create.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { composeDelta } from './delta-forms.ts'
import { type DeltaOperands, type DeltaResults, fusedDelta, fusedRule } from './delta-fused.ts'
import { example, needRank, needShape } from './operands.ts'
import { type BadInput, type Draw, defineOp, type Operation, type Tolerance } from './record.ts'

/** How a delta rule is computed, and from which memory on. */
export interface DeltaRuleOptions {
  /** Multiplies q; K^-0.5 unless given. */
  scale?: number
  /** The memory before t = 0, [B, H, K, V]; zeros unless given. */
  state?: Tensor
  /** Steps done at once by the chunked form; 64 unless given, 16 in `channelDeltaRule`. Fused kernels have their own order of sums, whatever it says. */
  chunk?: number
  /** 'recurrent' goes step by step; 'chunked', the default, in whatever form the device is fastest at. */
  mode?: 'recurrent' | 'chunked'
}

/** out [B, T, H, V], and state, the memory after the last step, [B, H, K, V]. */
export type DeltaRuleResult = DeltaResults

const tolerance: Tolerance = {
  absolute: 5e-5,
  relative: 5e-5,
  why: 'at most 6 steps, each of which may double the state (beta k k^T up to 2) and adds about 10 roundings',
}

/** B 1, T 2, H 1, K 2, V 3. */
const examples = (): Tensor[] =>
  [
    [1, 2, 1, 2],
    [1, 2, 1, 2],
    [1, 2, 1, 3],
    [1, 2, 1],
    [1, 2, 1],
  ].map(example)

const errors: readonly BadInput[] = [
  {
    what: 'a decay of another shape',
    arguments: () => examples().with(3, example([1, 2])),
    message: /g must be \[B, T, H\] = \[1, 2, 1\], got \[1, 2\]/,
  },
  {
    what: 'a state of another shape',
    arguments: () => [...examples(), { state: example([1, 1, 3, 2]) }],
    message: /state must be \[B, H, K, V\] = \[1, 1, 2, 3\], got \[1, 1, 3, 2\]/,
  },
  {
    what: 'a chunk of 0',
    arguments: () => [...examples(), { chunk: 0 }],
    message: /chunk must be a positive integer, got 0/,
  },
]

/** What a rule works with, checked, and a function of the same operands by ordinary operations. */
interface CheckedRule {
  operands: DeltaOperands
  scale: number
  mode: 'recurrent' | 'chunked'
  compose: (...operands: DeltaOperands) => DeltaResults
}

function checkRule(
  operation: string,
  [q, k, v, g, beta]: readonly [q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor],
  { scale: given, state: first, chunk, mode = 'chunked' }: DeltaRuleOptions & { chunk: number },
  byChannel: boolean,
): CheckedRule {
  needRank(operation, 'q', q, 4, 'B, T, H, K')
  needRank(operation, 'v', v, 4, 'B, T, H, V')
  const [B, T, H, K] = q.shape
  const V = v.shape[3]
  needShape(operation, 'k', k, [B, T, H, K], 'B, T, H, K')
  needShape(operation, 'v', v, [B, T, H, V], 'B, T, H, V')
  if (byChannel) needShape(operation, 'g', g, [B, T, H, K], 'B, T, H, K')
  else needShape(operation, 'g', g, [B, T, H], 'B, T, H')
  needShape(operation, 'beta', beta, [B, T, H], 'B, T, H')
  if (first) needShape(operation, 'state', first, [B, H, K, V], 'B, H, K, V')
  if (!Number.isInteger(chunk) || chunk < 1) {
    throw new SluiceError(operation, `chunk must be a positive integer, got ${chunk}`)
  }
  if (mode !== 'recurrent' && mode !== 'chunked') {
    throw new SluiceError(operation, `mode must be 'recurrent' or 'chunked', got '${String(mode)}'`)
  }
  if (T === 0) throw new SluiceError(operation, `q ${showShape(q.shape)} has no steps (T = 0)`)
  const scale = given ?? K ** -0.5
  return {
    operands: [q, k, v, g, beta, first ?? full([B, H, K, V], 0, { device: q.device })],
    scale,
    mode,
    compose: (...operands) => composeDelta(operands, scale, mode, Math.min(chunk, T)),
  }
}

/** Keys of length at most 1 and beta in (0, 2), so that the state does not grow; g <= 0. */
function drawDelta(draw: Draw) {
  const [B, T, H, K, V] = [
    draw.integer(1, 2),
    draw.integer(1, 5),
    draw.integer(1, 2),
    draw.integer(1, 3),
    draw.integer(1, 3),
  ]
  const options: DeltaRuleOptions = {
    mode: draw.pick(['recurrent', 'chunked'] as const),
    chunk: draw.pick([1, 2, 3, 64]),
  }
  if (draw.boolean()) options.scale = 1
  if (draw.boolean()) options.state = draw.tensor([B, H, K, V])
  return {
    q: draw.tensor([B, T, H, K]),
    k: draw.tensor([B, T, H, K], { low: -0.5, high: 0.5 }),
    v: draw.tensor([B, T, H, V]),
    g: draw.tensor([B, T, H], { low: -2, high: 0 }),
    beta: draw.tensor([B, T, H], { low: 0, high: 2 }),
    options,
  }
}

export const gatedDeltaRule: Operation<
  [q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, options?: DeltaRuleOptions],
  DeltaRuleResult
> = defineOp({
  name: 'gatedDeltaRule',
  doc: 'S = e^g (I - beta k k^T) S + beta k v^T, out = scale S^T q, for every t; q, k [B, T, H, K], v [B, T, H, V], g (log decay) and beta [B, T, H]. q and k are taken as they are.',
  source: 'Gated Delta Networks, arXiv 2412.06464, equation 10; chunks as in arXiv 2406.06484',
  tolerance,
  compose: (q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, options: DeltaRuleOptions = {}) => {
    const rule = checkRule('gatedDeltaRule', [q, k, v, g, beta], { ...options, chunk: options.chunk ?? 64 }, false)
    const { operands, scale, mode, compose } = rule
    const fused = fusedRule(operands, mode)
    return fused ? fusedDelta(fused, operands, scale, compose) : compose(...operands)
  },
  samples: (draw: Draw) => {
    const { q, k, v, g, beta, options } = drawDelta(draw)
    return [q, k, v, g, beta, options] as [Tensor, Tensor, Tensor, Tensor, Tensor, DeltaRuleOptions]
  },
  errors,
})

export const channelDeltaRule: Operation<
  [q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, options?: DeltaRuleOptions],
  DeltaRuleResult
> = defineOp({
  name: 'channelDeltaRule',
  doc: 'The delta rule with a decay for each channel of the key: S = (I - beta k k^T) Diag(e^g) S + beta k v^T with g [B, T, H, K]; otherwise as gatedDeltaRule. In chunks it holds 16 K numbers a step and head.',
  source: 'Kimi Linear, arXiv 2510.26692, equation 1',
  tolerance,
  compose: (q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, options: DeltaRuleOptions = {}) => {
    const settings = { ...options, chunk: options.chunk ?? 16 }
    const { operands, compose } = checkRule('channelDeltaRule', [q, k, v, g, beta], settings, true)
    return compose(...operands)
  },
  samples: (draw: Draw) => {
    const { q, k, v, beta, options } = drawDelta(draw)
    const g = draw.tensor(k.shape, { low: -2, high: 0 })
    return [q, k, v, g, beta, options] as [Tensor, Tensor, Tensor, Tensor, Tensor, DeltaRuleOptions]
  },
  errors: [
    {
      what: 'a decay a head',
      arguments: examples,
      message: /g must be \[B, T, H, K\] = \[1, 2, 1, 2\], got \[1, 2, 1\]/,
    },
    {
      what: 'a mode that is not there',
      arguments: () => [...examples().with(3, example([1, 2, 1, 2])), { mode: 'parallel' }],
      message: /mode must be 'recurrent' or 'chunked', got 'parallel'/,
    },
  ],
})

export const deltaRule: Operation<
  [q: Tensor, k: Tensor, v: Tensor, beta: Tensor, options?: DeltaRuleOptions],
  DeltaRuleResult
> = defineOp({
  name: 'deltaRule',
  doc: 'The delta rule without decay: S = (I - beta k k^T) S + beta k v^T; otherwise as gatedDeltaRule.',
  source: 'Schlag, Irie and Schmidhuber 2021; DeltaNet, arXiv 2406.06484',
  tolerance,
  compose: (q: Tensor, k: Tensor, v: Tensor, beta: Tensor, options: DeltaRuleOptions = {}) => {
    needRank('deltaRule', 'q', q, 4, 'B, T, H, K')
    const [B, T, H] = q.shape
    return gatedDeltaRule(q, k, v, full([B, T, H], 0, { device: q.device }), beta, options)
  },
  samples: (draw: Draw) => {
    const { q, k, v, beta, options } = drawDelta(draw)
    return [q, k, v, beta, options] as [Tensor, Tensor, Tensor, Tensor, DeltaRuleOptions]
  },
  errors: [
    {
      what: 'a wrong rank',
      arguments: () => [example([2, 2]), example([2, 2]), example([2, 2]), example([2])],
      message: /q must be \[B, T, H, K\], got \[2, 2\] of rank 2/,
    },
  ],
})

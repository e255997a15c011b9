/** A mixture of experts written out in loops over plain float64 numbers, one token and expert at a time. */
import type { MixtureOfExpertsConfig } from '../../src/nn/index.ts'
import type { Values } from './attention-oracle.ts'

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

const times = (weight: ArrayLike<number>, x: readonly number[], start = 0, rows = weight.length / x.length) =>
  Array.from({ length: rows }, (_, r) => x.reduce((sum, v, c) => sum + weight[start + r * x.length + c] * v, 0))

/** D (silu(G x) ⊙ U x) for the matrices that begin at these places. */
function swiglu(
  x: readonly number[],
  [gate, up, down]: readonly ArrayLike<number>[],
  hidden: number,
  expert = 0,
): number[] {
  const at = expert * hidden * x.length
  const g = times(gate, x, at, hidden)
  const u = times(up, x, at, hidden)
  return times(
    down,
    g.map((value, i) => value * sigmoid(value) * u[i]),
    at,
    x.length,
  )
}

export interface RoutedToken {
  readonly logits: number[]
  readonly probabilities: number[]
  /** Experts of its k places, the likeliest first. */
  readonly places: number[]
}

export function route(x: readonly number[], p: Values, { active }: MixtureOfExpertsConfig): RoutedToken {
  const logits = times(p['router.weight'], x)
  const powers = logits.map((logit) => Math.exp(logit - Math.max(...logits)))
  const total = powers.reduce((a, b) => a + b)
  const probabilities = powers.map((power) => power / total)
  const places = probabilities.map((_, e) => e).sort((a, b) => probabilities[b] - probabilities[a] || a - b)
  return { logits, probabilities, places: places.slice(0, active) }
}

/** The layer's output for one token x [C]. */
export function expertsOracle(x: readonly number[], p: Values, config: MixtureOfExpertsConfig): number[] {
  const { probabilities, places } = route(x, p, config)
  const sum = places.reduce((total, e) => total + probabilities[e], 0)
  const y = new Array<number>(x.length).fill(0)
  for (const e of places) {
    const weight = probabilities[e] / (config.normalise ? sum : 1)
    const projections = [p.gateProjections, p.upProjections, p.downProjections]
    swiglu(x, projections, config.width, e).forEach((value, c) => {
      y[c] += weight * value
    })
  }
  if (config.sharedWidth > 0) {
    const gate = sigmoid(times(p['sharedGate.weight'], x)[0])
    const projections = ['gate', 'up', 'down'].map((of) => p[`shared.${of}Projection.weight`])
    swiglu(x, projections, config.sharedWidth).forEach((value, c) => {
      y[c] += gate * value
    })
  }
  return y
}

/** E sum_s sum_e f_se P_e over the tokens of all layers together, as Hugging Face's `load_balancing_loss_func` counts. */
export function loadBalanceOracle(tokens: readonly RoutedToken[]): number {
  const E = tokens[0].probabilities.length
  let sum = 0
  for (let e = 0; e < E; e++) {
    const P = tokens.reduce((total, { probabilities }) => total + probabilities[e], 0) / tokens.length
    for (let s = 0; s < tokens[0].places.length; s++) {
      sum += (P * tokens.filter(({ places }) => places[s] === e).length) / tokens.length
    }
  }
  return E * sum
}

/** mean logsumexp(logits)^2. */
export function zLossOracle(tokens: readonly RoutedToken[]): number {
  const squares = tokens.map(({ logits }) => Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) ** 2)
  return squares.reduce((a, b) => a + b) / tokens.length
}

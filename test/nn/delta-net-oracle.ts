/** The delta layer written out in loops over plain float64 numbers, one step, head and channel at a time. */
import type { GatedDeltaNetConfig } from '../../src/nn/index.ts'
import type { Values } from './attention-oracle.ts'

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const silu = (x: number) => x * sigmoid(x)
const softplus = (x: number) => Math.log1p(Math.exp(x))

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0)

/** W x for W [rows, x.length], row-major. */
function times(weight: ArrayLike<number>, x: readonly number[]): number[] {
  return Array.from({ length: weight.length / x.length }, (_, r) =>
    x.reduce((sum, v, c) => sum + weight[r * x.length + c] * v, 0),
  )
}

export interface DeltaOracle {
  /** [T][C] */
  readonly out: number[][]
  /** [T][Hv] */
  readonly beta: number[][]
  /** e^g, [T][Hv], with rule 'kda' [T][Hv][K]; 1 with rule 'delta'. */
  readonly decay: (number | number[])[][]
  /** After the last step, [Hv][K][V]. */
  readonly state: number[][][]
}

/** The layer's output for one sequence x [T][C]. */
export function deltaNetOracle(x: readonly (readonly number[])[], p: Values, config: GatedDeltaNetConfig): DeltaOracle {
  const { rule, keyHeads: Hk, valueHeads: Hv, keyWidth: K, valueWidth: V, convolutionWidth: W, outputGate } = config
  const project = (name: string, row: readonly number[]) =>
    p[`${name}.weight`]
      ? times(p[`${name}.weight`], row)
      : times(p[`${name}.up.weight`], times(p[`${name}.down.weight`], row))
  const mixed = x.map((row) =>
    ['queryProjection', 'keyProjection', 'valueProjection'].flatMap((of) => project(of, row)),
  )
  const convolved = mixed.map((row, t) =>
    row.map((_, channel) => {
      let sum = 0
      for (let w = 0; w < W; w++) sum += p.convolution[channel * W + w] * (mixed[t - (W - 1) + w]?.[channel] ?? 0)
      return silu(sum)
    }),
  )
  const unit = (vector: readonly number[]) => vector.map((v) => v / Math.sqrt(dot(vector, vector) + 1e-6))
  let state = Array.from({ length: Hv }, () => Array.from({ length: K }, () => new Array<number>(V).fill(0)))
  const [betas, decays]: [number[][], (number | number[])[][]] = [[], []]
  const out = x.map((row, t) => {
    const b = project('betaProjection', row)
    const a = rule === 'delta' ? [] : project('decayProjection', row)
    const z = outputGate === 'none' ? [] : project('outputGateProjection', row)
    const beta = b.map((value) => (config.negativeEigenvalues ? 2 : 1) * sigmoid(value))
    const rateOf = (head: number, i: number) => Math.exp(-Math.exp(p.decayRate[head]) * softplus(a[i] + p.decayBias[i]))
    const alpha = Array.from({ length: Hv }, (_, head) =>
      Array.from({ length: K }, (_, d) => {
        if (rule === 'delta') return 1
        return rateOf(head, rule === 'kda' ? head * K + d : head)
      }),
    )
    betas.push(beta)
    decays.push(rule === 'kda' ? alpha : alpha.map(([first]) => first))
    const read = Array.from({ length: Hv }, (_, head) => {
      const keyHead = Math.floor(head / (Hv / Hk))
      const part = (start: number, size: number) => convolved[t].slice(start, start + size)
      const q = unit(part(keyHead * K, K)).map((value) => value / Math.sqrt(K))
      const k = unit(part(Hk * K + keyHead * K, K))
      const v = part(2 * Hk * K + head * V, V)
      const decayed = state[head].map((line, d) => line.map((value) => value * alpha[head][d]))
      const found = v.map((_, j) => k.reduce((sum, key, d) => sum + key * decayed[d][j], 0))
      const correction = v.map((value, j) => beta[head] * (value - found[j]))
      const next = decayed.map((line, d) => line.map((value, j) => value + k[d] * correction[j]))
      state = state.with(head, next)
      const o = v.map((_, j) => q.reduce((sum, query, d) => sum + query * next[d][j], 0))
      const scale = 1 / Math.sqrt(dot(o, o) / V + config.eps)
      return o.map((value, j) => {
        const normed = value * scale * p['outputNorm.weight'][j]
        if (outputGate === 'none') return normed
        return normed * (outputGate === 'silu' ? silu : sigmoid)(z[head * V + j])
      })
    })
    return times(p['outputProjection.weight'], read.flat())
  })
  return { out, beta: betas, decay: decays, state }
}

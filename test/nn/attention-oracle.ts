/** Gated attention written out in loops over plain float64 numbers, one position and head at a time. */
import type { AttentionConfig, GatePosition } from '../../src/nn/index.ts'

/** Parameter values by name. */
export type Values = Readonly<Record<string, ArrayLike<number>>>

/** One position's heads: [heads][width]. */
type Heads = number[][]

const activations = {
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  silu: (x: number) => x / (1 + Math.exp(-x)),
  identity: (x: number) => x,
  nsSigmoid: (x: number) => 0.5 + 0.5 / (1 + Math.exp(-x)),
}

/** W x + b for W [rows, x.length], row-major, and b [rows], if the parameters have it. */
function project(p: Values, name: string, x: readonly number[], rows: number): number[] {
  const [weight, bias] = [p[`${name}.weight`], p[`${name}.bias`]]
  return Array.from({ length: rows }, (_, r) =>
    x.reduce((sum, v, c) => sum + weight[r * x.length + c] * v, bias ? bias[r] : 0),
  )
}

const split = (flat: readonly number[], heads: number): Heads =>
  Array.from({ length: heads }, (_, h) => flat.slice((h * flat.length) / heads, ((h + 1) * flat.length) / heads))

function norm(x: readonly number[], weight: ArrayLike<number>, config: AttentionConfig): number[] {
  const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + config.eps)
  return x.map((v, i) => v * scale * (config.zeroCentredNorm ? 1 + weight[i] : weight[i]))
}

function turn(x: readonly number[], position: number, { rope }: AttentionConfig): number[] {
  const y = [...x]
  const half = (rope?.dims ?? 0) / 2
  for (let i = 0; i < half; i++) {
    const angle = position * rope!.base ** (-i / half)
    y[i] = x[i] * Math.cos(angle) - x[i + half] * Math.sin(angle)
    y[i + half] = x[i] * Math.sin(angle) + x[i + half] * Math.cos(angle)
  }
  return y
}

/** `y` with the gate of this position, if the settings put it here. */
function gated(at: GatePosition, y: Heads, x: readonly number[], p: Values, { gate }: AttentionConfig): Heads {
  if (gate === 'none' || gate.position !== at) return y
  const each = gate.grain === 'headwise' ? 1 : y[0].length
  const flat = gate.input === 'none' ? Array.from(p.gateLogits) : project(p, 'gateProjection', x, y.length * each)
  const scores = split(flat.map(activations[gate.act]), y.length)
  const mean = scores[0].map((_, d) => scores.reduce((sum, head) => sum + head[d], 0) / scores.length)
  return y.map((head, h) =>
    head.map((value, d) => {
      const score = (gate.shared ? mean : scores[h])[each === 1 ? 0 : d]
      return gate.op === 'add' ? value + score : value * score
    }),
  )
}

/** W x + b, or with `switchHead` a head's k best maps of x, each times the sigmoid of its score. [heads][width] */
function projected(p: Values, name: string, x: readonly number[], heads: number, config: AttentionConfig): Heads {
  const { headWidth: D, switchHead } = config
  if (!(`${name}.maps.weight` in p)) return split(project(p, name, x, heads * D), heads)
  const { count: n, active } = switchHead!
  const maps = split(project(p, `${name}.maps`, x, heads * n * D), heads * n)
  const scores = split(project(p, `${name}.router`, x, heads * n).map(activations.sigmoid), heads)
  return scores.map((ofHead, h) => {
    const best = ofHead.map((_, e) => e).sort((a, b) => ofHead[b] - ofHead[a])
    const chosen = best.slice(0, active)
    return Array.from({ length: D }, (_, d) => chosen.reduce((sum, e) => sum + ofHead[e] * maps[h * n + e][d], 0))
  })
}

/** The layer's output for one sequence x [T][C]. */
export function attentionOracle(x: readonly (readonly number[])[], p: Values, config: AttentionConfig): number[][] {
  const { heads: H, keyValueHeads: KV, headWidth: D, width: C } = config
  const ready = (heads: Heads, name: string, t: number) =>
    heads.map((head) => turn(config.queryKeyNorm ? norm(head, p[name], config) : head, t, config))
  const rows = x.map((row, t) => {
    const of = (name: string, heads: number, at: GatePosition) =>
      gated(at, projected(p, `${name}Projection`, row, heads, config), row, p, config)
    return {
      q: ready(of('query', H, 'G4'), 'queryNorm.weight', t),
      k: ready(of('key', KV, 'G3'), 'keyNorm.weight', t),
      v: of('value', KV, 'G2'),
    }
  })
  return x.map((row, t) => {
    const seen = config.causal ? rows.slice(0, t + 1) : rows
    const attended = rows[t].q.map((q, h) => {
      const m = Math.floor((h * KV) / H)
      const scores = seen.map(({ k }) => q.reduce((sum, v, d) => sum + v * k[m][d], 0) / Math.sqrt(D))
      const weights = scores.map((s) => Math.exp(s - Math.max(...scores)))
      const total = weights.reduce((a, b) => a + b)
      const y = q.map((_, d) => seen.reduce((sum, { v }, s) => sum + (weights[s] / total) * v[m][d], 0))
      if (config.sdpaPost === 'silu') return y.map(activations.silu)
      return config.sdpaPost === 'headRmsNorm' ? norm(y, p['headNorm.weight'], config) : y
    })
    const flat = gated('G1', attended, row, p, config).flat()
    return gated('G5', [project(p, 'outputProjection', flat, C)], row, p, config)[0]
  })
}

/** Verdicts against studies whose answer is known by hand. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { judgeLower, judgeNear, judgeSide } from '../../src/lab/claim-rules.ts'
import { claims } from '../../src/lab/claims.ts'
import type { StudyRun } from '../../src/lab/study-report/data.ts'
import { type Made, made, seeds, study } from './study-report/small-study.ts'

const spread = (mean: number, half: number) => ({ mean, low: mean - half, high: mean + half, values: [mean, mean] })
const arm = (variant: string, values: number[], of: (value: number) => Made): StudyRun[] =>
  seeds(values, (value) => ({ ...of(value), job: { variant } }))
const verdict = (runs: StudyRun[], id: string) => claims(study(runs)).find((claim) => claim.id === id)!

const sinks = (variant: string, values: number[]) => arm(variant, values, (sink) => ({ sink }))
const losses = (variant: string, values: number[]) => arm(variant, values, (loss) => ({ loss }))

describe('judgeLower', () => {
  const half = fc.double({ min: 1e-3, max: 1, noNaN: true })
  const value = fc.double({ min: -2, max: 2, noNaN: true })
  const margin = fc.double({ min: 1e-3, max: 0.5, noNaN: true })

  it('never says that both an order and its reverse show, and is sure of neither for want of data', () => {
    fc.assert(
      fc.property(value, value, half, half, margin, fc.boolean(), (a, b, ownHalf, pairedHalf, m, apart) => {
        const options = { margin: m, format: String, apart }
        const there = judgeLower(
          { lower: spread(a, ownHalf), higher: spread(b, ownHalf), difference: spread(a - b, pairedHalf) },
          options,
        )
        const back = judgeLower(
          { lower: spread(b, ownHalf), higher: spread(a, ownHalf), difference: spread(b - a, pairedHalf) },
          options,
        )
        if (there.verdict === 'shows') expect(back.verdict).toBe('does not show')
        // An interval that holds the margin itself rules it neither in nor out.
        if (a - b - pairedHalf < -m && a - b + pairedHalf > 0) expect(there.verdict).toBe('cannot be told')
      }),
      { numRuns: 200 },
    )
  })

  it('is by hand', () => {
    const judge = (difference: number, half: number, apart = false, own = 0) =>
      judgeLower(
        { lower: spread(1 + difference, own), higher: spread(1, own), difference: spread(difference, half) },
        { margin: 0.1, format: String, apart },
      ).verdict
    expect(judge(-0.5, 0.2)).toBe('shows')
    // The interval reaches over nothing.
    expect(judge(-0.2, 0.3)).toBe('cannot be told')
    // Surely below, but an effect of the margin is ruled out.
    expect(judge(-0.05, 0.01)).toBe('does not show')
    // Surely below, the margin neither reached nor ruled out.
    expect(judge(-0.08, 0.05)).toBe('cannot be told')
    expect(judge(0.5, 0.2)).toBe('does not show')
    // The arms' own intervals overlap, though the paired difference is sure.
    expect(judge(-0.5, 0.2, true, 0.3)).toBe('cannot be told')
    expect(judge(-0.5, 0.2, true, 0.2)).toBe('shows')
  })

  it('tells nothing from one seed', () => {
    const one = { mean: 1, low: Number.NaN, high: Number.NaN, values: [1] }
    const judged = judgeLower(
      { lower: one, higher: one, difference: { ...one, mean: -5 } },
      { margin: 0.1, format: String, apart: false },
    )
    expect(judged).toEqual({
      verdict: 'cannot be told',
      here: '1 (one seed) against 1 (one seed), difference -5 (one seed)',
    })
  })
})

it('judgeNear asks for the whole interval within the margin', () => {
  const judge = (mean: number, half: number) => judgeNear(spread(mean, half), { margin: 0.1, format: String }).verdict
  expect([judge(0.02, 0.05), judge(0.08, 0.05), judge(0.3, 0.05), judge(-0.3, 0.05), judge(0, 1)]).toEqual([
    'shows',
    'cannot be told',
    'does not show',
    'does not show',
    'cannot be told',
  ])
})

it('judgeSide asks for the whole interval on the side', () => {
  const judge = (mean: number, half: number, side: 'above' | 'below') =>
    judgeSide(spread(mean, half), { threshold: 0.5, side, format: String }).verdict
  expect([judge(0.7, 0.1, 'above'), judge(0.55, 0.1, 'above'), judge(0.3, 0.1, 'above')]).toEqual([
    'shows',
    'cannot be told',
    'does not show',
  ])
  expect([judge(0.3, 0.1, 'below'), judge(0.45, 0.1, 'below'), judge(0.7, 0.1, 'below')]).toEqual([
    'shows',
    'cannot be told',
    'does not show',
  ])
})

describe('claims', () => {
  const formed = sinks('baseline', [0.3, 0.31, 0.32])

  it('that a gate removes the sink, with the numbers that decide', () => {
    const removed = verdict(
      [...formed, ...sinks('g1-elementwise', [0.02, 0.03, 0.01]), ...sinks('g1-headwise', [0.05, 0.06, 0.04])],
      'gate-removes-sink',
    )
    expect(removed.verdict).toBe('shows')
    // Student's t at 2 degrees of freedom is 4.303: 4.303 x 0.01 / sqrt 3 = 0.025.
    expect(removed.here).toContain(
      'g1-elementwise against baseline: 0.020 [\u22120.005, 0.045] against 0.310 [0.285, 0.335]',
    )
  })

  it('need every part to show', () => {
    const half = verdict(
      [...formed, ...sinks('g1-elementwise', [0.02, 0.03, 0.01]), ...sinks('g1-headwise', [0.3, 0.31, 0.33])],
      'gate-removes-sink',
    )
    expect(half.verdict).toBe('does not show')
    expect(half.here).toMatch(/g1-elementwise against baseline: .* \(shows\); g1-headwise .* \(does not show\)/)
  })

  it('judge what was run and name what was not', () => {
    const one = verdict([...formed, ...sinks('g1-headwise', [0.02, 0.03, 0.01])], 'gate-removes-sink')
    expect(one.verdict).toBe('shows')
    expect(one.here).toContain('g1-elementwise against baseline: not measured')
    const none = verdict(formed, 'gate-removes-sink')
    expect(none.verdict).toBe('cannot be told')
  })

  it('of a sink tell nothing where none formed', () => {
    const flat = [...sinks('baseline', [0.01, 0.02, 0.015]), ...sinks('g1-elementwise', [0.01, 0.011, 0.012])]
    expect(verdict(flat, 'sink-forms').verdict).toBe('does not show')
    const removed = verdict(flat, 'gate-removes-sink')
    expect(removed.verdict).toBe('cannot be told')
    expect(removed.here).toContain('no sink formed in the baseline')
  })

  it('take differences of the loss seed by seed', () => {
    // Seeds differ by far more than the arms: only the paired difference sees the gain.
    const base = [2, 2.5, 3]
    const gain = [-0.021, -0.019, -0.02]
    const gated = base.map((loss, index) => loss + gain[index]!)
    const claim = verdict([...losses('baseline', base), ...losses('g1-elementwise', gated)], 'gate-lowers-loss')
    expect(claim.verdict).toBe('shows')
    expect(claim.here).toContain('difference \u22120.020 [\u22120.022, \u22120.018]')
    // The same losses in another order of seeds: nothing to be told.
    const shuffled = [gated[1]!, gated[2]!, gated[0]!]
    expect(
      verdict([...losses('baseline', base), ...losses('g1-elementwise', shuffled)], 'gate-lowers-loss').verdict,
    ).toBe('cannot be told')
  })

  it('that a place is neutral', () => {
    const near = [...losses('baseline', [2, 2.1, 2.2]), ...losses('g5', [2.001, 2.1, 2.199])]
    expect(verdict(near, 'other-places-are-neutral').verdict).toBe('shows')
    const far = [...losses('baseline', [2, 2.1, 2.2]), ...losses('g5', [1.95, 2.05, 2.151])]
    expect(verdict(far, 'other-places-are-neutral').verdict).toBe('does not show')
  })

  it('of massive activations', () => {
    const tall = arm('baseline', [100, 110, 105], (activation) => ({ activation }))
    const low = arm('g2-elementwise', [20, 21, 22], (activation) => ({ activation }))
    expect(verdict([...tall, ...low], 'value-gate-lowers-activations').verdict).toBe('shows')
  })

  const rated = (variant: string, losses: Record<string, (number | null)[]>): StudyRun[] =>
    Object.entries(losses).flatMap(([rate, values]) =>
      values.map((loss, index) =>
        made({ job: { group: 'rates', variant, learningRate: Number(rate), seed: index + 1 }, loss }),
      ),
    )

  it('of the largest stable learning rate', () => {
    const baseline = rated('baseline', { 0.001: [2, 2], 0.002: [1.9, 1.9], 0.004: [2.4, null] })
    const longer = rated('g1-elementwise', { 0.001: [2, 2], 0.002: [1.9, 1.9], 0.004: [1.9, 1.8] })
    const claim = verdict([...baseline, ...longer], 'gate-trains-at-larger-rates')
    expect([claim.verdict, claim.here]).toEqual(['shows', 'g1-elementwise: 0.004 against 0.002'])
    const same = rated('g1-elementwise', { 0.001: [2, 2], 0.002: [1.9, 1.9], 0.004: [null, null] })
    expect(verdict([...baseline, ...same], 'gate-trains-at-larger-rates').verdict).toBe('does not show')
    const calm = rated('baseline', { 0.001: [2, 2], 0.002: [1.9, 1.9], 0.004: [1.9, 1.95] })
    const short = verdict([...calm, ...longer], 'gate-trains-at-larger-rates')
    expect([short.verdict, short.here]).toEqual([
      'cannot be told',
      'g1-elementwise: 0.004 against 0.004, where the sweep ends',
    ])
  })

  it('of spikes, at the largest rate that both ran', () => {
    const spiky = (variant: string, learningRate: number, rates: number[]): StudyRun[] =>
      rates.map((rate, index) => {
        const spikes = { rate: { '0.1': rate }, count: { '0.1': 1 }, maximum: 1 }
        return made({ job: { group: 'rates', variant, learningRate, seed: index + 1 }, changes: { spikes } })
      })
    const low = [...spiky('baseline', 0.001, [0, 0, 0]), ...spiky('g1-elementwise', 0.001, [0.01, 0.01, 0.01])]
    const high = [...spiky('baseline', 0.004, [0.02, 0.021, 0.022]), ...spiky('g1-elementwise', 0.004, [0, 0, 0.001])]
    const beyond = spiky('baseline', 0.008, [0.5, 0.5, 0.5])
    const claim = verdict([...low, ...high, ...beyond], 'spikes-go')
    expect(claim.verdict).toBe('shows')
    expect(claim.here).toContain('g1-elementwise at 0.004: 0.03 % ')
    expect(verdict(low, 'spikes-go').here).toContain('the baseline has no spikes to remove')
  })

  it('of every size, at the largest budget', () => {
    const cell = (variant: string, size: string, parameters: number, steps: number, losses: number[]): StudyRun[] =>
      losses.map((loss, index) =>
        made({ job: { group: 'scaling', variant, size, steps, seed: index + 1 }, loss, changes: { parameters } }),
      )
    const grid = (large: number[]) => [
      ...cell('baseline', 'small', 1000, 200, [2, 2.1, 2.2]),
      ...cell('baseline', 'large', 9000, 200, [1.8, 1.9, 2]),
      ...cell('g1-elementwise', 'small', 1000, 100, [9, 9, 9]),
      ...cell('g1-elementwise', 'small', 1000, 200, [1.97, 2.071, 2.17]),
      ...cell('g1-elementwise', 'large', 9000, 200, large),
    ]
    expect(verdict(grid([1.77, 1.87, 1.971]), 'gain-holds-with-size').verdict).toBe('shows')
    const lost = verdict(grid([1.8, 1.9, 2.001]), 'gain-holds-with-size')
    expect(lost.verdict).toBe('does not show')
    expect(lost.here).toMatch(/^g1-elementwise, small: .*; g1-elementwise, large: /)
  })

  it('of the clamp, of length and of sparsity', () => {
    const gated = seeds([0.5, 0.55, 0.6], (harm) => ({
      job: { variant: 'g1-headwise' },
      gate: 0.2,
      measures: {
        clamp: { none: 2, one: 4, mean: 2 + harm, zero: 5 },
        attentionOutput: {
          before: 0.5,
          after: 0.1,
          layers: [],
          sparsityBefore: { '0.01': 0.1 },
          sparsityAfter: { '0.01': 0.3 + harm / 100 },
          sparsityMeanGate: { '0.01': 0.2 },
        },
      },
      changes: {
        length: [
          { length: 64, loss: 2, rescaled: 2 },
          { length: 128, loss: 3, rescaled: 2 + harm / 10 },
        ],
      },
    }))
    const baseline = seeds([1, 1.1, 1.2], (drop) => ({
      changes: {
        length: [
          { length: 64, loss: 2, rescaled: 2 },
          { length: 128, loss: 3, rescaled: 2 + drop },
        ],
      },
    }))
    const runs = [...baseline, ...gated]
    for (const id of ['gate-depends-on-input', 'length-holds', 'output-is-sparse', 'gate-is-sparse']) {
      expect([id, verdict(runs, id).verdict]).toEqual([id, 'shows'])
    }
  })
})

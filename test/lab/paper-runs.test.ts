/** The paper's numbered runs: all there, each with a variant that the settings express, and the parameters that it adds. */
import { describe, expect, it } from 'vitest'
import { type PaperRun, paperModels, paperRuns } from '../../src/lab/paper-runs.ts'
import { variantNamed, variants } from '../../src/lab/variants.ts'
import { parameterCount, transformerConfig } from '../../src/nn/index.ts'

const row = (n: number): PaperRun => paperRuns[n - 1]

/** The run's settings at its size: of 15 billion parameters, but no weights are made. */
function configured({ model, variant }: PaperRun) {
  const { vocabularySize, contextLength, ...base } = paperModels[model]
  return { ...variantNamed(variant).configure(base), vocabularySize, contextLength }
}

describe('the paper’s runs', () => {
  it('are 38, in order, and every row belongs to one variant', () => {
    const numbers = Array.from({ length: 38 }, (_, i) => i + 1)
    expect(paperRuns.map((run) => run.row)).toEqual(numbers)
    expect(variants.flatMap(({ rows }) => [...rows]).sort((a, b) => a - b)).toEqual(numbers)
    for (const { name, rows } of variants) for (const n of rows) expect(row(n).variant).toBe(name)
  })

  it('are 24 mixtures of experts and 14 dense models, of which one diverged', () => {
    expect(paperRuns.filter(({ model }) => model === '15A2B').map((run) => run.row)).toEqual(
      Array.from({ length: 24 }, (_, i) => i + 1),
    )
    expect(paperRuns.filter(({ perplexity }) => perplexity === null).map((run) => run.row)).toEqual([36])
    for (const { perplexity, scores } of paperRuns) expect(scores === null).toBe(perplexity === null)
  })

  it('have settings, each different from the others of its size but for the learning rate', () => {
    for (const run of paperRuns) expect(() => transformerConfig(configured(run))).not.toThrow()
    const mixtures = paperRuns.slice(0, 24).map((run) => JSON.stringify(transformerConfig(configured(run))))
    expect(new Set(mixtures).size).toBe(24)
  })

  it('are of the sizes that they are named after', () => {
    const billions = (model: PaperRun['model']) => parameterCount(paperModels[model]) / 1e9
    expect(billions('15A2B')).toBeCloseTo(15.3, 0)
    expect(billions('1.7B-28L')).toBeCloseTo(1.72, 2)
    expect(billions('1.7B-48L')).toBeCloseTo(1.7, 1)
    // What a token goes through: 8 experts of 128, and the rest.
    const { experts, ...rest } = paperModels['15A2B']
    const active = parameterCount({ ...rest, experts: { ...experts, count: 8, active: 8 } })
    expect(active / 1e9).toBeGreaterThan(1.5)
    expect(active / 1e9).toBeLessThan(2.5)
  })

  /** Of table 1, a layer: the formula, and what is printed for 24 layers, in millions. */
  const [d, q, k, D] = [2048, 32, 4, 128]
  it.each([
    [1, 0, 0],
    [2, 2 * 4 * D * d, 50],
    [3, 2 * 16 * D * d, 201],
    [5, d * q * D, 201],
    [6, d * k * D, 25],
    [7, d * k * D, 25],
    [8, d * q * D, 201],
    [9, d * d, 100],
    [10, d * q, 1.6],
    [11, d * k, 0.2],
    [12, d * q * D, 201],
    [13, d * k * D, 25],
    [14, d * q * D, 201],
    [15, d * q * D, 201],
  ])('row %i adds the parameters that the table says', (n, formula, printed) => {
    const added = parameterCount(configured(row(n))) - parameterCount(paperModels['15A2B'])
    expect(added).toBe(24 * formula)
    expect(row(n).addedParameters).toBe(printed)
    // The table rounds some and cuts others (100.7 is printed as 100): within one of the last digit.
    expect(Math.abs(added / 1e6 - printed)).toBeLessThan(printed < 10 ? 0.1 : 1)
  })

  it('add 453 million in row 4, where the table prints 400', () => {
    const added = parameterCount(configured(row(4))) - parameterCount(paperModels['15A2B'])
    expect(transformerConfig(configured(row(4))).experts).toMatchObject({ count: 132, active: 12, width: 768 })
    // Four experts of three matrices, and four rows of the router.
    expect(added).toBe(24 * 4 * (3 * d * 768 + d))
    expect(added / 1e6).toBeCloseTo(453.2, 1)
    expect(row(4).addedParameters).toBe(400)
  })

  it('add more in rows 21 to 24 than table 6 prints, which does not say how it counts', () => {
    const map = 24 * k * D * d
    const router = 24 * k * d
    const expected: [row: number, added: number, printed: number][] = [
      [21, 2 * (7 * map + 8 * router), 38],
      [22, 2 * (3 * map + 4 * router), 13],
      [23, 3 * map + 4 * router, 13],
      [24, 7 * map + 8 * router, 25],
    ]
    for (const [n, added, printed] of expected) {
      expect(parameterCount(configured(row(n))) - parameterCount(paperModels['15A2B'])).toBe(added)
      expect(row(n).addedParameters).toBe(printed)
    }
    expect(expected.map(([, added]) => Math.round(added / 1e6))).toEqual([355, 153, 76, 178])
  })

  it('repeat the differences that the tables give', () => {
    // Perplexities and ln(6.026 / perplexity), of tables 1 and 3.
    const differences: [number, number, number][] = [
      [2, 5.979, 0.0078],
      [3, 5.953, 0.0122],
      [4, 5.964, 0.0103],
      [5, 5.761, 0.045],
      [6, 5.82, 0.0348],
      [7, 6.016, 0.0017],
      [8, 5.981, 0.0075],
      [9, 6.017, 0.0015],
      [10, 5.792, 0.0396],
      [11, 5.808, 0.0369],
      [12, 5.801, 0.0381],
      [13, 5.867, 0.0267],
      [14, 5.821, 0.0346],
      [15, 5.822, 0.0344],
      [16, 5.847, 0.0302],
      [17, 5.975, 0.0085],
      [18, 5.882, 0.0242],
    ]
    for (const [n, perplexity, difference] of differences) {
      const { paper } = variantNamed(row(n).variant)
      expect(row(n).perplexity).toBe(perplexity)
      expect(paper?.row).toBe(n)
      // Four digits are given.
      expect(Math.abs(-paper!.lossDifference - difference)).toBeLessThan(1e-4)
    }
  })

  it('hold the measures of table 4', () => {
    const measured = paperRuns.filter(({ firstToken }) => firstToken !== null)
    expect(measured.map((run) => [run.row, run.gateScore, run.massiveActivation, run.firstToken])).toEqual([
      [1, null, 1053, 0.467],
      [5, 0.116, 94, 0.048],
      [6, 0.221, 125, 0.297],
      [10, 0.172, 98, 0.073],
      [12, 0.271, 286, 0.301],
      [19, 0.335, 471, 0.364],
      [20, 0.653, 892, 0.451],
    ])
  })

  it('hold the learning rates of table 2, and which run has which baseline', () => {
    const dense = paperRuns.slice(24)
    expect(dense.map((run) => [run.row, run.variant, run.maximumLearningRate, run.perplexity])).toEqual([
      [25, 'baseline', 0.004, 7.499],
      [26, 'g1-elementwise', 0.004, 7.404],
      [27, 'baseline', 0.0045, 6.18],
      [28, 'g1-elementwise', 0.0045, 6.13],
      [29, 'baseline', 0.004, 7.421],
      [30, 'baseline', 0.008, 9.195],
      [31, 'sandwich', 0.008, 7.407],
      [32, 'g1-elementwise', 0.004, 7.288],
      [33, 'g1-headwise', 0.004, 7.37],
      [34, 'g1-elementwise', 0.008, 7.325],
      [35, 'baseline', 0.0053, 7.363],
      [36, 'baseline', 0.008, null],
      [37, 'g1-elementwise', 0.0053, 7.101],
      [38, 'g1-elementwise', 0.008, 7.078],
    ])
  })
})

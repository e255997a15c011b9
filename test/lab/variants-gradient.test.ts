/** Each variant's gradient: as finite differences measure it, and never 0 for a whole parameter. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scope } from '../../src/index.ts'
import { variants } from '../../src/lab/variants.ts'
import { RUNS, SEED } from '../check/runs.ts'
import { gradcheckModule, largestGap } from '../nn/module-check.ts'
import { drawn, layersOf, modelOf, tokensOf } from './variant-models.ts'

const titled = variants.map((variant) => [variant.name, variant] as const)

describe.each(titled)('%s', (_name, variant) => {
  it('has the gradient that finite differences measure, for every parameter', async () => {
    await fc.assert(
      fc.asyncProperty(drawn(layersOf(variant)), async ({ base, ...sizes }) => {
        const model = modelOf(variant.configure(base), sizes.seed)
        using x = tokensOf(sizes)
        using y = tokensOf({ ...sizes, seed: sizes.seed + 1 })
        await gradcheckModule(model, [x, y], (a, b) => model.loss(a, b), { mode: 'direction' })
        model.dispose()
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })

  it('gives every parameter a gradient that is not 0', async () => {
    const base = { width: 8, layers: 2, heads: 4, keyValueHeads: 2, feedForwardWidth: 6 }
    const model = modelOf(variant.configure(base), 1)
    using x = tokensOf({ B: 2, T: 5, seed: 1 })
    using y = tokensOf({ B: 2, T: 5, seed: 2 })
    scope(() => model.loss(x, y).backward())
    for (const [name, { grad }] of model.namedParameters()) {
      const largest = grad ? largestGap(await grad.data(), new Float64Array(grad.size)) : 0
      if (!(largest > 0)) expect.fail(`${name} has no gradient`)
    }
    model.dispose()
  })
})

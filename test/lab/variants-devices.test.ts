/** Each variant on the cpu and on the reference device, blind to the future, and back from JSON. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noGrad, scope, tensor } from '../../src/index.ts'
import { variants } from '../../src/lab/variants.ts'
import { transformerConfig } from '../../src/nn/index.ts'
import { RUNS, SEED } from '../check/runs.ts'
import { largestGap } from '../nn/module-check.ts'
import { drawn, layersOf, modelOf, tokensOf, V } from './variant-models.ts'

const titled = variants.map((variant) => [variant.name, variant] as const)

describe.each(titled)('%s', (_name, variant) => {
  it('is the same on the cpu and the reference device, sees only the past, and comes back from JSON', async () => {
    await fc.assert(
      fc.asyncProperty(drawn(layersOf(variant)), async ({ base, ...sizes }) => {
        const settings = variant.configure(base)
        const logits = async (device: string, change: boolean) => {
          const model = modelOf(settings, sizes.seed, device)
          using x = tokensOf(sizes, device)
          const { B, T } = sizes
          const values = Int32Array.from(await x.data())
          if (change) for (let b = 0; b < B; b++) values[b * T + T - 1] = (values[b * T + T - 1] + 1) % V
          using moved = tensor(values, { shape: [B, T], device })
          using y = noGrad(() => scope(() => model.forward(moved)))
          const result = Array.from(await y.data())
          model.dispose()
          return result
        }
        const plain = await logits('reference', false)
        // A hundred float32 roundings of 6e-8, of values up to 10, that a norm of a short vector may multiply by 10.
        expect(largestGap(await logits('cpu', false), plain)).toBeLessThan(1e-3)
        const changed = await logits('reference', true)
        const past = (_: number, i: number) => Math.floor(i / V) % sizes.T < sizes.T - 1
        expect(changed.filter(past)).toEqual(plain.filter(past))
        expect(changed).not.toEqual(plain)
        const again = JSON.parse(JSON.stringify(settings))
        expect(transformerConfig({ ...again, vocabularySize: V })).toEqual(
          transformerConfig({ ...settings, vocabularySize: V }),
        )
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })
})

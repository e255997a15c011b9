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
        const { B, T } = sizes
        /** With the last token of each sequence as drawn, and with another. */
        const logits = async (device: string, lastTokens: readonly number[]) => {
          const model = modelOf(settings, sizes.seed, device)
          using x = tokensOf(sizes, device)
          const results: number[][] = []
          for (const more of lastTokens) {
            const values = Int32Array.from(await x.data(), (token, i) => (i % T === T - 1 ? (token + more) % V : token))
            using moved = tensor(values, { shape: [B, T], device })
            using y = noGrad(() => scope(() => model.forward(moved)))
            results.push(Array.from(await y.data()))
          }
          model.dispose()
          return results
        }
        const [plain, changed] = await logits('reference', [0, 1])
        const [single] = await logits('cpu', [0])
        // A hundred float32 roundings of 6e-8, of values of size about 1.
        expect(largestGap(single, plain)).toBeLessThan(1e-5)
        const past = (_: number, i: number) => Math.floor(i / V) % T < T - 1
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

/** What holds of every language model, whatever mixes its tokens; and small texts to show it on. */
import { expect, it } from 'vitest'
import { noGrad, scope, type Tensor, tensor } from '../../src/index.ts'
import type { Transformer } from '../../src/nn/index.ts'
import { largestGap } from './module-check.ts'

export const ints = (rows: readonly (readonly number[])[], device = 'reference'): Tensor =>
  tensor(Int32Array.from(rows.flat()), { shape: [rows.length, rows[0].length], device })

/** Two texts of six ids below 7: the inputs are all but the last of each, the targets all but the first. */
export const texts = [
  [1, 2, 3, 4, 5, 6],
  [6, 0, 6, 1, 1, 0],
]

export const tokens = (device?: string): Tensor =>
  ints(
    texts.map((row) => row.slice(0, -1)),
    device,
  )

export const targets = (device?: string): Tensor =>
  ints(
    texts.map((row) => row.slice(1)),
    device,
  )

/** @param modelOf makes the model in question, with weights that leave nothing trivial, on a device */
export function holdsOfLanguageModels(modelOf: (device: string) => Transformer): void {
  it('gives every parameter a gradient of the training loss that is not 0', async () => {
    const model = modelOf('reference')
    scope(() => model.loss(tokens(), targets(), { training: true }).backward())
    for (const [name, { grad }] of model.namedParameters()) {
      const largest = grad ? largestGap(await grad.data(), new Float64Array(grad.size)) : 0
      if (!(largest > 0)) expect.fail(`${name} has no gradient`)
    }
    model.dispose()
  })

  it('sees only the past', async () => {
    const model = modelOf('reference')
    const logits = (rows: number[][]) => noGrad(() => scope(() => model.forward(ints(rows)).slice([null, [0, 3]])))
    using a = logits([[1, 2, 3, 4, 5]])
    using b = logits([[1, 2, 3, 0, 6]])
    expect(await a.data()).toEqual(await b.data())
    model.dispose()
  })

  it('generates with a cache what it computes at once', async () => {
    for (const [device, bound] of [
      // The same sums in another order: roundings of 1e-16 through layers of norms, which divide by at least 1e-3.
      ['reference', 1e-9],
      // In float32, 6e-8 each, on logits of size up to 10.
      ['cpu', 2e-4],
    ] as const) {
      const model = modelOf(device)
      const rows = texts.map((row) => row.slice(0, 5))
      using whole = noGrad(() => scope(() => model.forward(ints(rows, device))))
      const cache = model.createCache()
      const parts: [number, number][] = [
        [0, 2],
        [2, 3],
        [3, 4],
        [4, 5],
      ]
      for (const [start, end] of parts) {
        const part = rows.map((row) => row.slice(start, end))
        using got = scope(() => model.forward(ints(part, device), { cache }))
        using expected = whole.slice([null, [start, end]])
        expect([got.isTracked, cache.length]).toEqual([false, end])
        expect(largestGap(await got.data(), await expected.data())).toBeLessThan(bound)
      }
      cache.dispose()
      model.dispose()
    }
  })
}

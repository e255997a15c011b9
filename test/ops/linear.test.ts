/** A linear layer where nothing is fused: the composition, bit for bit. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { linearActivations } from '../../kernels/fused-linear.ts'
import { gradients } from '../../src/autograd/tape.ts'
import { add, gelu, matmul, randn, relu, scope, sigmoid, silu, sum, type Tensor } from '../../src/index.ts'
import { linear } from '../../src/ops/linear.ts'

const functions = { identity: (x: Tensor) => x, relu, sigmoid, silu, gelu }

test('on the reference device it is matmul, add and the activation, with their gradients, in every bit', async () => {
  const size = fc.integer({ min: 1, max: 9 })
  await fc.assert(
    fc.asyncProperty(
      fc.tuple(size, size, size),
      fc.boolean(),
      fc.constantFrom(...linearActivations),
      async ([m, k, n], hasBias, activation) => {
        const [once, again] = scope(() => {
          const options = { device: 'reference', requiresGrad: true }
          const [x, w, b] = [randn([m, k], options), randn([n, k], options), randn([n], options)]
          const inputs = hasBias ? [x, w, b] : [x, w]
          const product = matmul(x, w, { transposeB: true })
          const composed = functions[activation](hasBias ? add(product, b) : product)
          const one = linear(x, w, { bias: hasBias ? b : null, activation })
          return [one, composed].map((y) => [y, ...gradients(sum(y), inputs)])
        })
        for (let i = 0; i < once.length; i++) {
          const [got, expected] = [await once[i].data(), await again[i].data()]
          expect([...got]).toEqual([...expected])
        }
        for (const t of [...once, ...again]) t.dispose()
      },
    ),
    { numRuns: 200 },
  )
})

/** Random programs: gradients of every order, on every device, through every way of asking for them, agree. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arb, gradcheck, gradgradcheck, type Program } from '../../src/check/index.ts'
import { checkpoint, grad, type Tensor } from '../../src/index.ts'
import { expectClose, gradientsOf, holds, leaf } from '../ops/values.ts'
import { RUNS, SEED } from './runs.ts'

const programs = arb.program()

const always = (property: (program: Program) => Promise<unknown>) =>
  fc.assert(
    fc.asyncProperty(programs, async (program) => {
      await property(program)
    }),
    { numRuns: RUNS, seed: SEED },
  )

describe('random programs', () => {
  it('have the gradient that finite differences measure', () =>
    // Chains of eight operations with values up to 32 may have third derivatives near 10^5: 1e-12 10^5 = 1e-7.
    always(({ run, inputs }) => gradcheck((...given) => run(given), [...inputs], { atol: 1e-5, rtol: 1e-4 })))

  it('have the second-order gradient that they measure', () =>
    always(({ run, inputs }) =>
      gradgradcheck((...given) => run(given), [...inputs], { atol: 1e-4, rtol: 1e-3, mode: 'direction' }),
    ))

  it('are as long as they should be, and say what they do', () => {
    const drawn = fc.sample(programs, { numRuns: RUNS, seed: SEED })
    const lengths = drawn.map(({ description }) => description.split('\n').length)
    expect(Math.max(...lengths)).toBeGreaterThan(8)
    const text = drawn.map(({ description }) => description).join('\n')
    for (const op of ['mul', 'sum', 'softmax', 'permute', 'concat', 'expand', 'tanh', 'cumsum', 'logsumexp']) {
      expect(text).toContain(` = ${op}(`)
    }
    expect(drawn[0].description).toMatch(/^x0 \[[\d, ]*\]\n(.*\n)*return sum\(/)
  })

  it('give the same gradient through backward, grad and checkpoint, exactly', () => {
    holds(programs, ({ run, inputs }) => {
      const leaves = inputs.map(leaf)
      const expected = gradientsOf(run(leaves), leaves)
      const functional = grad((...given: Tensor[]) => run(given))(...inputs)
      const list = (Array.isArray(functional) ? functional : [functional]) as Tensor[]
      const saved = inputs.map(leaf)
      const again = gradientsOf(
        checkpoint((...given: Tensor[]) => run(given), ...saved),
        saved,
      )
      expected.forEach((gradient, i) => {
        expectClose(list[i], gradient, 0)
        expectClose(again[i], gradient, 0)
      })
    })
  })

  it('have gradients that add up: twice backward is twice the gradient', () => {
    holds(programs, ({ run, inputs }) => {
      const leaves = inputs.map(leaf)
      const y = run(leaves)
      const once = gradientsOf(y, leaves)
      for (const t of leaves) t.grad = null
      y.backward()
      y.backward()
      leaves.forEach((t, i) => {
        expectClose(t.grad ?? t.mul(0), once[i].mul(2), 0)
      })
    })
  })
})

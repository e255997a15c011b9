/** No function, sum or product is less exact than docs/accuracy.md says; and how exactness is measured. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DeviceAccuracy } from '../../bench/accuracy/page.ts'
import { measureSums } from '../../bench/accuracy/sums.ts'
import * as maps from '../../kernels/elementwise.ts'
import { unitInLastPlace } from '../../src/check/accuracy.ts'
import { accuracy, float32Inputs, oneArgument, twoArguments } from '../../src/check/index.ts'
import { CpuDevice } from '../../src/device/cpu/cpu.ts'
import { registerDevice } from '../../src/device/registry.ts'
import { defineOp, removeOp } from '../../src/ops/record.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'

const measured = JSON.parse(
  readFileSync(new URL('../../bench/results/accuracy.json', import.meta.url), 'utf8'),
) as DeviceAccuracy[]

/** A multiple of every stride of the page, so that these numbers are among those it is about: 17 * 47 * 61. */
const stride = 48_739

for (const simd of ['plain', 'relaxed'] as const) {
  registerDevice(`cpu ${simd}`, async () => new CpuDevice({ simd, threads: 1 }))
}

describe.each(['cpu plain', 'cpu relaxed'])('%s', (name) => {
  const page = measured.find((device) => device.name === name)!

  test('the page looked at these numbers too', () => {
    expect(stride % page.stride).toBe(0)
    // The page itself is of a finer look than this one.
    expect(page.stride).toBeLessThan(stride)
  })

  test.each([...oneArgument, ...twoArguments])('%s', async (operation) => {
    const found = await accuracy(operation, name, float32Inputs(operation, stride))
    const said = page.functions.find((row) => row.operation === operation)!
    expect(found.cases).toBe(Math.ceil(2 ** 32 / stride))
    expect(found.worst, `at ${found.at}: ${found.got}, exactly ${found.exact}`).toBeLessThanOrEqual(said.worst)
    expect(found.subnormal).toBeLessThanOrEqual(said.subnormal)
    expect(found.misplaced).toBe(0)
  })

  test('sums and products', async () => {
    const found = await measureSums(name)
    expect(found.map(({ operation, of, terms }) => [operation, of, terms])).toEqual(
      page.sums.map(({ operation, of, terms }) => [operation, of, terms]),
    )
    found.forEach(({ operation, of, terms, worst }, i) => {
      expect(worst, `${operation} of ${terms}, ${of}`).toBeLessThanOrEqual(page.sums[i].worst)
      // The bound of any order of summation (Higham, section 4.2).
      if (operation !== 'softmax' && operation !== 'logsumexp') expect(worst).toBeLessThanOrEqual(terms)
    })
  })
})

describe('the measure', () => {
  test('a unit in the last place is the distance to the next float32', () => {
    const bits = new Uint32Array(1)
    const number = new Float32Array(bits.buffer)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x7f7ffffe }), (pattern) => {
        bits[0] = pattern
        const [here] = number
        bits[0] = pattern + 1
        expect(unitInLastPlace(here)).toBe(number[0] - here)
        expect(unitInLastPlace(-here)).toBe(number[0] - here)
      }),
      { numRuns: 1000 },
    )
    // Just below a power of two, where float32 would round it up.
    expect(unitInLastPlace(2 - 2 ** -52)).toBe(2 ** -23)
  })

  test('finds what is wrong, where it is', async () => {
    const wrong = defineOp({
      name: 'almostExp',
      doc: 'e^x on the reference device; elsewhere 2^-21 too much beyond 3, and 0 for infinity.',
      shape: (x: Tensor) => x.shape,
      forward: (_shape, x) =>
        x.device === 'reference'
          ? x.exp()
          : x
              .exp()
              .mul(x.mul(0).add(1))
              .mul(
                x
                  .sub(3)
                  .relu()
                  .sign()
                  .mul(2 ** -21)
                  .add(1),
              ),
      vjp: null,
      samples: (draw) => [draw.tensor(draw.shape())] as [Tensor],
    })
    try {
      const found = await accuracy(wrong.record.name, 'cpu', [[Float32Array.of(1, 2, 3, 5, Infinity)]])
      expect(found.at).toEqual([5])
      // e^5 = 148.4 = 1.16 * 2^7: 2^-21 of it is 1.16 * 4 units.
      expect(found.worst).toBeGreaterThan(4)
      expect(found.worst).toBeLessThan(6)
      // Infinity times 0 is no number.
      expect(found.misplaced).toBe(1)
      expect(found.cases).toBe(5)
    } finally {
      removeOp('almostExp')
    }
  })

  test('every map kernel of one or two operands is among the functions', () => {
    const kernels = Object.values(maps).filter((kernel) => kernel.constants === 0 && !kernel.name.endsWith('Gradient'))
    const comparisons = ['equal', 'notEqual', 'less', 'lessEqual', 'greater', 'greaterEqual']
    const names = (operands: number) => kernels.filter((kernel) => kernel.operands === operands).map(({ name }) => name)
    expect([...oneArgument].sort()).toEqual(names(1).sort())
    // pow takes a constant, the NaN that WGSL cannot write.
    expect([...twoArguments, ...comparisons].sort()).toEqual([...names(2), 'pow'].sort())
  })

  test('an operation that is none', async () => {
    await expect(accuracy('exq', 'cpu', [])).rejects.toThrow(/^accuracy: there is no operation 'exq'/)
  })
})

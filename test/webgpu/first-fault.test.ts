/** Which of several faults is told, whatever the order in which a GPU reports them. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Faults } from '../../src/device/webgpu/faults.ts'
import type { SluiceError } from '../../src/errors.ts'

describe('faults', () => {
  test('the call made first is the one to tell, in whatever order the outcomes are known', async () => {
    const outcome = fc.record({ delay: fc.nat(5), what: fc.constantFrom('sound', 'fault', 'rejected') })
    await fc.assert(
      fc.asyncProperty(fc.array(outcome, { maxLength: 8 }), fc.boolean(), async (outcomes, isReported) => {
        const faults = new Faults()
        if (isReported) faults.report('a consequence')
        outcomes.forEach(({ delay, what }, i) => {
          let checking = Promise.resolve()
          for (let k = 0; k < delay; k++) checking = checking.then(() => {})
          faults.watch(
            checking.then(() => {
              if (what === 'rejected') throw new Error('the device is lost')
              return what === 'fault' ? `fault ${i}` : undefined
            }),
          )
        })
        const first = outcomes.findIndex(({ what }) => what === 'fault')
        const expected = first >= 0 ? `fault ${first}` : isReported ? 'a consequence' : undefined
        const found = await faults.settled().then(
          () => undefined,
          (error: SluiceError) => error,
        )
        expect(faults.reason).toBe(expected)
        expect(found?.message.replace(/ \(at .*\)$/, '')).toBe(expected && `webgpu device: ${expected}`)
      }),
      { numRuns: 300 },
    )
  })

  test('what follows the loss of a device is not told in its place; what came before is', () => {
    const lost = new Faults()
    lost.lose('the GPU is lost')
    lost.report('a buffer is not valid')
    expect(lost.reason).toBe('the GPU is lost')
    const spoiled = new Faults()
    spoiled.report('out of memory')
    spoiled.lose('the GPU is lost')
    expect(spoiled.reason).toBe('out of memory')
  })
})

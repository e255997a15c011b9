/** Which vector instructions the cpu device takes, and what it refuses. */
import { describe, expect, test } from 'vitest'
import { CpuDevice } from '../../../src/device/cpu/cpu.ts'
import { chooseSimd, featuresOf, simdNames } from '../../../src/device/cpu/simd.ts'
import { nodeMajor } from '../../../src/device/cpu/v8-flags.ts'
import { judge } from '../../../src/device/cpu/wide-trial.ts'
import { SluiceError } from '../../../src/errors.ts'

describe('the variants', () => {
  test('plain always works, and is taken when it is asked for', () => {
    expect(chooseSimd('plain')).toEqual({ simd: 'plain', reason: 'it was asked for' })
    expect(new CpuDevice({ threads: 1, simd: 'plain' }).settings.features).toEqual({ relaxed: false, wide: false })
  })

  test('auto takes the fastest that works, and says why not a faster one', () => {
    const { simd, reason } = chooseSimd(undefined)
    expect(simdNames).toContain(simd)
    expect(reason === undefined).toBe(simd === 'wide')
    expect(chooseSimd('auto')).toEqual({ simd, reason })
    // What auto takes can be asked for too.
    expect(new CpuDevice({ threads: 1, simd }).settings.features).toEqual(featuresOf[simd])
  })

  test('what does not work here is refused with the reason, and so is a name that is none', () => {
    if (nodeMajor < 24) expect(() => chooseSimd('wide')).toThrow('vectors of 256 bits need Node 24 or later')
    else if (chooseSimd(undefined).simd !== 'wide') expect(() => chooseSimd('wide')).toThrow(SluiceError)
    // @ts-expect-error: from JavaScript
    expect(() => new CpuDevice({ simd: 'fast' })).toThrow(
      "there is no SIMD variant 'fast'; there are auto, plain, relaxed, wide",
    )
  })
})

describe('the trial of wide vectors', () => {
  test('takes them when the results agree and they are faster, and says why not', () => {
    expect(judge({ difference: 0, times: [1, 0.6] })).toBeUndefined()
    expect(judge({ difference: 0, times: [1, 0.95] })).toContain('not faster')
    expect(judge({ difference: 1, times: [1, 0.6] })).toContain('differ by 1')
    expect(judge({ difference: Number.NaN, times: [1, 0.6] })).toContain('differ by NaN')
  })
})

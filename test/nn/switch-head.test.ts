/** SwitchHead: several maps a head, against loops and finite differences, and the gate that it is with one map. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manualSeed, noGrad, randn, scope, type Tensor, tensor } from '../../src/index.ts'
import {
  type AttentionConfigInput,
  GatedAttention,
  KeyValueCache,
  SwitchHead,
  type SwitchHeadConfig,
} from '../../src/nn/index.ts'
import { RUNS, SEED } from '../check/runs.ts'
import { attentionOracle, type Values } from './attention-oracle.ts'
import { gradcheckModule, input, largestGap, randomise } from './module-check.ts'

/** Both sides compute in float64: sums of at most 8 products of values up to 10, some hundred roundings of 1.1e-16. */
const ROUNDINGS = 1e-11

/** The same in float32, where a rounding is 6e-8. Scores that are closer than that may be chosen otherwise: seeds are fixed. */
const SINGLE_ROUNDINGS = 1e-4

async function valuesOf(layer: GatedAttention): Promise<Values> {
  return Object.fromEntries([...(await layer.stateDict())].map(([name, { data }]) => [name, data]))
}

function layerOf(settings: AttentionConfigInput, seed: number, device = 'reference'): GatedAttention {
  const layer = new GatedAttention(settings, { device })
  randomise(layer, seed)
  return layer
}

const switchHeads: fc.Arbitrary<SwitchHeadConfig> = fc
  .record({
    maps: fc.constantFrom('value' as const, 'keyValue' as const),
    count: fc.integer({ min: 1, max: 5 }),
    spare: fc.nat({ max: 4 }),
  })
  .map(({ maps, count, spare }) => ({ maps, count, active: count - (spare % count) }))

const settings: fc.Arbitrary<AttentionConfigInput> = fc
  .record({
    width: fc.integer({ min: 1, max: 4 }),
    group: fc.integer({ min: 1, max: 2 }),
    keyValueHeads: fc.integer({ min: 1, max: 2 }),
    headWidth: fc.integer({ min: 1, max: 3 }),
    switchHead: switchHeads,
    bias: fc.boolean(),
    queryKeyNorm: fc.boolean(),
    gate: fc.constantFrom('none' as const, { position: 'G2' as const }, { position: 'G3' as const }),
  })
  .map(({ group, ...rest }) => ({ ...rest, heads: group * rest.keyValueHeads }))

const seeds = fc.integer({ min: 0, max: 1000 })

describe('attention with SwitchHead, for every number of maps', () => {
  it('computes what the loops compute, on reference and cpu', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(settings, fc.integer({ min: 1, max: 4 }), seeds, async (given, T, seed) => {
        using x = input([2, T, given.width], seed + 1)
        const rows = (await x.array()) as number[][][]
        for (const [device, bound] of [
          ['reference', ROUNDINGS],
          ['cpu', SINGLE_ROUNDINGS],
        ] as const) {
          const layer = layerOf(given, seed, device)
          const values = await valuesOf(layer)
          const expected = rows.flatMap((sequence) => attentionOracle(sequence, values, layer.config)).flat()
          using on = tensor(device === 'cpu' ? Float32Array.from(await x.data()) : await x.data(), {
            shape: x.shape,
            device,
          })
          using y = noGrad(() => scope(() => layer.forward(on)))
          expect(largestGap(await y.data(), expected)).toBeLessThan(bound)
          layer.dispose()
        }
        const { maps, count, active } = given.switchHead!
        seen.add(`${maps} ${active === count} ${active === 1} ${given.bias}`)
      }),
      { numRuns: RUNS, seed: SEED },
    )
    // All, one, some of several, one of one, for each kind of maps, with and without biases.
    expect(seen.size).toBe(16)
  })

  it('has the gradient that finite differences measure, for x and every parameter', async () => {
    await fc.assert(
      fc.asyncProperty(settings, fc.integer({ min: 1, max: 3 }), seeds, async (given, T, seed) => {
        const layer = layerOf({ ...given, queryKeyNorm: false }, seed)
        using x = input([1, T, given.width], seed + 1)
        await gradcheckModule(layer, [x], (moved) => layer.forward(moved), { mode: 'direction' })
        layer.dispose()
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })

  it('gives step by step what it gives at once', async () => {
    await fc.assert(
      fc.asyncProperty(settings, seeds, async (given, seed) => {
        const layer = layerOf(given, seed)
        using x = input([2, 3, given.width], seed + 1)
        using full = noGrad(() => scope(() => layer.forward(x)))
        const cache = new KeyValueCache('reference')
        for (const [start, end] of [
          [0, 2],
          [2, 3],
        ]) {
          using part = scope(() => layer.forward(x.slice([null, [start, end]]), { cache }))
          using expected = full.slice([null, [start, end]])
          expect(largestGap(await part.data(), await expected.data())).toBeLessThan(ROUNDINGS)
        }
        cache.dispose()
        layer.dispose()
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })
})

describe('SwitchHead', () => {
  it.each([false, true])('of one map is a headwise gate on the values, bit for bit, with bias %s', async (bias) => {
    const sizes = { width: 8, heads: 4, keyValueHeads: 2, bias } as const
    const made = (more: Partial<AttentionConfigInput>) => {
      manualSeed(3)
      return new GatedAttention({ ...sizes, ...more })
    }
    const gate = made({ gate: { position: 'G2', grain: 'headwise' } })
    const one = made({ gate: 'none', switchHead: { count: 1, active: 1 } })
    const renamed = [...(await gate.stateDict())].map(
      ([name, values]) =>
        [
          name.replace('valueProjection', 'valueProjection.maps').replace('gateProjection', 'valueProjection.router'),
          values,
        ] as const,
    )
    // The same random numbers in the same order, so the start is the same too.
    expect(new Map(renamed)).toEqual(await one.stateDict())
    using x = randn([2, 5, 8])
    using a = noGrad(() => scope(() => gate.forward(x)))
    using b = noGrad(() => scope(() => one.forward(x)))
    expect(await b.data()).toEqual(await a.data())
    expect((await a.data()).some((value) => value !== 0)).toBe(true)
    gate.dispose()
    one.dispose()
  })

  it('moves the maps that were chosen, and no other', async () => {
    const projection = new SwitchHead(
      { width: 3, heads: 2, headWidth: 2, count: 3, active: 1 },
      { device: 'reference' },
    )
    randomise(projection, 5)
    using x = input([1, 3], 6)
    scope(() => projection.forward(x).sum().backward())
    const grad = (await projection.maps.weight.grad!.array()) as number[][]
    using scores = noGrad(() => projection.router.forward(x))
    const flat = [...(await scores.data())]
    for (let h = 0; h < 2; h++) {
      const ofHead = flat.slice(3 * h, 3 * h + 3)
      const best = ofHead.indexOf(Math.max(...ofHead))
      for (let e = 0; e < 3; e++) {
        const rows = grad.slice((3 * h + e) * 2, (3 * h + e) * 2 + 2).flat()
        expect(rows.every((g) => (e === best ? g !== 0 : g === 0))).toBe(true)
      }
    }
    projection.dispose()
  })

  it('starts its routers as wide as a gate, and its maps as a projection', async () => {
    const width = 256
    const layer = new GatedAttention({
      width,
      heads: 4,
      gate: 'none',
      switchHead: { maps: 'keyValue', count: 16, active: 4 },
    })
    const deviation = async (t: Tensor) => Math.sqrt((await t.square().mean().item()) as number)
    for (const projection of [layer.keyProjection, layer.valueProjection] as SwitchHead[]) {
      expect(projection.maps.weight.shape).toEqual([4 * 16 * 64, width])
      expect(projection.router.weight.shape).toEqual([4 * 16, width])
      // 16384 normals and more: 1 / sqrt(32768) = 0.55 %; five times that.
      expect(Math.abs((await deviation(projection.router.weight)) / (0.905 / 16) - 1)).toBeLessThan(0.028)
      expect(Math.abs((await deviation(projection.maps.weight)) / 0.02 - 1)).toBeLessThan(0.028)
    }
    layer.dispose()
  })

  it('takes any number of leading axes, and refuses another width', () => {
    const projection = new SwitchHead({ width: 3, heads: 2, headWidth: 2, count: 3, active: 2 })
    using x = randn([2, 1, 4, 3])
    using y = scope(() => projection.forward(x))
    expect(y.shape).toEqual([2, 1, 4, 4])
    using wrong = randn([2, 4])
    expect(() => projection.forward(wrong)).toThrow(/^SwitchHead: x must be \[\.\.\., C\] = \[2, 3\], got \[2, 4\]/)
    projection.dispose()
  })
})

/** The delta layer: every rule against loops and finite differences, in chunks, step by step and one token at a time. */
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { checkLeaks, manualSeed, noGrad, scope, type Tensor, tensor } from '../../src/index.ts'
import {
  DeltaCache,
  type DeltaObservation,
  GatedDeltaNet,
  type GatedDeltaNetConfigInput,
  gatedDeltaNetConfig,
} from '../../src/nn/index.ts'
import { defaultGenerator } from '../../src/tensor/random.ts'
import { RUNS, SEED } from '../check/runs.ts'
import type { Values } from './attention-oracle.ts'
import { deltaNetOracle } from './delta-net-oracle.ts'
import { gradcheckModule, input, largestGap, randomise } from './module-check.ts'

/**
 * Both sides compute in float64. Outputs are of size up to 10; the memory is a contraction but for what is written, so errors
 * do not grow with time; the output norm divides by at least sqrt(eps) = 1e-3. A thousand roundings of 1.1e-16 through it.
 */
const ROUNDINGS = 1e-9

const rules = ['gatedDelta', 'delta', 'kda'] as const

function layerOf(settings: GatedDeltaNetConfigInput, seed = 1, device = 'reference'): GatedDeltaNet {
  const layer = new GatedDeltaNet(settings, { device })
  randomise(layer, seed)
  return layer
}

async function valuesOf(layer: GatedDeltaNet): Promise<Values> {
  return Object.fromEntries([...(await layer.stateDict())].map(([name, { data }]) => [name, data]))
}

async function oracleOf(layer: GatedDeltaNet, x: Tensor) {
  const values = await valuesOf(layer)
  const rows = (await x.array()) as number[][][]
  return rows.map((sequence) => deltaNetOracle(sequence, values, layer.config))
}

/** Numbers of nested lists in order. */
const flat = (list: unknown): number[] => (list as unknown[]).flat(Infinity) as number[]

const settings: fc.Arbitrary<GatedDeltaNetConfigInput> = fc
  .record({
    rule: fc.constantFrom(...rules),
    width: fc.integer({ min: 1, max: 4 }),
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 3 }),
    keyWidth: fc.integer({ min: 1, max: 3 }),
    valueWidth: fc.integer({ min: 1, max: 3 }),
    convolutionWidth: fc.integer({ min: 1, max: 5 }),
    negativeEigenvalues: fc.boolean(),
    outputGate: fc.constantFrom('silu', 'sigmoid', 'none' as const),
  })
  .map(({ group, ...rest }) => ({ ...rest, valueHeads: group * rest.keyHeads }))

const seeds = fc.integer({ min: 0, max: 1000 })

describe('the layer, for every rule, grouping of heads and length', () => {
  it('computes what the loops compute, in chunks and step by step', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(settings, fc.integer({ min: 1, max: 20 }), seeds, async (given, T, seed) => {
        const layer = layerOf(given, seed)
        using x = input([2, T, given.width], seed + 1)
        const expected = flat((await oracleOf(layer, x)).map(({ out }) => out))
        for (const mode of ['chunked', 'recurrent'] as const) {
          using y = noGrad(() => scope(() => layer.forward(x, { mode })))
          expect(largestGap(await y.data(), expected), mode).toBeLessThan(ROUNDINGS)
        }
        seen.add(`${given.rule} ${given.valueHeads! > given.keyHeads}`)
        layer.dispose()
      }),
      { numRuns: RUNS, seed: SEED },
    )
    // Each rule, with and without key heads that several value heads read.
    expect(seen.size).toBe(6)
  })

  it.each(rules)('computes it over several chunks: 70 steps of %s', async (rule) => {
    const layer = layerOf({ rule, width: 3, keyHeads: 1, valueHeads: 2, keyWidth: 4, valueWidth: 2 }, 2)
    using x = input([1, 70, 3], 3)
    const [{ out }] = await oracleOf(layer, x)
    using y = noGrad(() => scope(() => layer.forward(x)))
    expect(largestGap(await y.data(), flat(out))).toBeLessThan(ROUNDINGS)
    layer.dispose()
  })

  it('gives token by token, and in any parts, what it gives at once', async () => {
    await fc.assert(
      fc.asyncProperty(
        settings,
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }),
        seeds,
        async (given, T, sizes, seed) => {
          const layer = layerOf(given, seed)
          using x = input([2, T, given.width], seed + 1)
          using whole = noGrad(() => scope(() => layer.forward(x)))
          for (const steps of [sizes, []]) {
            const cache = new DeltaCache('reference')
            // The parts as drawn, then one token at a time.
            for (let start = 0, part = 0; start < T; part++) {
              const end = Math.min(T, start + (steps[part] ?? 1))
              using y = scope(() => layer.forward(x.slice([null, [start, end]]), { cache }))
              using expected = whole.slice([null, [start, end]])
              expect(largestGap(await y.data(), await expected.data())).toBeLessThan(ROUNDINGS)
              expect([cache.length, y.isTracked]).toEqual([end, false])
              start = end
            }
            expect(cache.state!.shape).toEqual([2, given.valueHeads, given.keyWidth, given.valueWidth])
            cache.dispose()
          }
          layer.dispose()
        },
      ),
      { numRuns: RUNS, seed: SEED },
    )
  })

  it('sees only the past', async () => {
    for (const rule of rules) {
      const layer = layerOf({ rule, width: 3, keyHeads: 2, keyWidth: 2 }, 4)
      using x = input([1, 6, 3], 5)
      const changed = Float64Array.from(await x.data(), (v, i) => (i < 4 * 3 ? v : v + 1))
      using other = tensor(changed, { shape: [1, 6, 3], device: 'reference' })
      const first = (t: Tensor) => noGrad(() => scope(() => layer.forward(t).slice([null, [0, 4]])))
      using a = first(x)
      using b = first(other)
      expect(await a.data()).toEqual(await b.data())
      layer.dispose()
    }
  })

  it('gives on cpu what it gives on the reference device', async () => {
    await fc.assert(
      fc.asyncProperty(settings, fc.integer({ min: 1, max: 40 }), seeds, async (given, T, seed) => {
        // The norm of what is read divides by at least 0.3, so that it does not blow roundings up.
        const layers = ['reference', 'cpu'].map((device) => layerOf({ ...given, eps: 0.1 }, seed, device))
        using x = input([2, T, given.width], seed + 1)
        using onCpu = tensor(Float32Array.from(await x.data()), { shape: x.shape, device: 'cpu' })
        using y = noGrad(() => scope(() => layers[0].forward(x)))
        using z = noGrad(() => scope(() => layers[1].forward(onCpu)))
        // Some 50 float32 roundings of values up to 10, 6e-8 relative each, and keys near 0 whose length is scaled up.
        expect(largestGap(await z.data(), await y.data())).toBeLessThan(2e-4)
        for (const layer of layers) layer.dispose()
      }),
      { numRuns: RUNS, seed: SEED },
    )
  })
})

describe.each(rules)('the gradient with rule %s', (rule) => {
  it.each<[string, Partial<GatedDeltaNetConfigInput>]>([
    ['the defaults', {}],
    ['shared key heads and negative eigenvalues', { keyHeads: 1, valueHeads: 2, negativeEigenvalues: true }],
    ['a sigmoid gate and two taps', { outputGate: 'sigmoid', convolutionWidth: 2 }],
    ['no gate', { outputGate: 'none' }],
  ])('is what finite differences measure, for x and every parameter: %s', async (_what, given) => {
    const layer = layerOf({ rule, width: 3, keyHeads: 2, keyWidth: 2, valueWidth: 2, ...given }, 6)
    using x = input([1, 5, 3], 7)
    const { elements } = await gradcheckModule(layer, [x], (moved) => layer.forward(moved))
    expect(elements).toBe(x.size + layer.parameterCount)
    layer.dispose()
  })

  it('is 0 for no parameter', async () => {
    const layer = layerOf({ rule, width: 3, keyHeads: 2, keyWidth: 2 }, 8)
    using x = input([2, 5, 3], 9)
    scope(() => layer.forward(x).square().sum().backward())
    for (const [name, { grad }] of layer.namedParameters()) {
      const largest = grad ? largestGap(await grad.data(), new Float64Array(grad.size)) : 0
      if (!(largest > 0)) expect.fail(`${name} has no gradient`)
    }
    layer.dispose()
  })
})

describe('GatedDeltaNet', () => {
  it('names its parameters, by rule', () => {
    const names = (rule: 'gatedDelta' | 'delta' | 'kda') => {
      const layer = new GatedDeltaNet({ rule, width: 6, keyHeads: 1, valueHeads: 2, keyWidth: 4, valueWidth: 3 })
      const list = [...layer.namedTensors()].map(([name, { shape }]) => `${name} [${shape.join(', ')}]`)
      layer.dispose()
      return list
    }
    const gatedDelta = [
      'queryProjection.weight [4, 6]',
      'keyProjection.weight [4, 6]',
      'valueProjection.weight [6, 6]',
      'outputGateProjection.weight [6, 6]',
      'betaProjection.weight [2, 6]',
      'decayProjection.weight [2, 6]',
      'convolution [14, 4]',
      'decayBias [2]',
      'decayRate [2]',
      'outputNorm.weight [3]',
      'outputProjection.weight [6, 6]',
    ]
    expect(names('gatedDelta')).toEqual(gatedDelta)
    expect(names('delta')).toEqual(gatedDelta.filter((name) => !name.startsWith('decay')))
    expect(names('kda')).toEqual(
      gatedDelta.flatMap((name) => {
        if (name.startsWith('outputGate')) {
          return ['outputGateProjection.down.weight [3, 6]', 'outputGateProjection.up.weight [6, 3]']
        }
        if (name.startsWith('decayProjection')) {
          return ['decayProjection.down.weight [3, 6]', 'decayProjection.up.weight [8, 3]']
        }
        return name.replace('decayBias [2]', 'decayBias [8]')
      }),
    )
  })

  it('starts with decays that keep a memory, the same bits on every device', async () => {
    for (const [rule, low] of [
      ['gatedDelta', 0],
      ['kda', 1],
    ] as const) {
      const of = async (device: string) => {
        manualSeed(7)
        const layer = new GatedDeltaNet({ rule, width: 8, keyHeads: 500, keyWidth: 2 }, { device })
        const state = await layer.stateDict()
        layer.dispose()
        return state
      }
      const [reference, cpu] = [await of('reference'), await of('cpu')]
      for (const [name, { data }] of reference) expect(Array.from(cpu.get(name)!.data), name).toEqual(Array.from(data))
      const rates = Array.from(reference.get('decayRate')!.data, Math.exp)
      const steps = Array.from(reference.get('decayBias')!.data, (bias) => Math.log1p(Math.exp(bias)))
      // float32 rounds the logarithm: 2^-24 of up to 10.
      expect(Math.min(...rates)).toBeGreaterThan(low)
      expect(Math.max(...rates)).toBeLessThan(16 + 1e-4)
      // Means of 500 uniform values, whose own deviation is 16 / sqrt(12 x 500) = 0.2; five times that.
      expect(Math.abs(rates.reduce((a, b) => a + b) / rates.length - (16 + low) / 2)).toBeLessThan(1)
      expect(Math.min(...steps)).toBeGreaterThan(1e-3 * (1 - 1e-4))
      expect(Math.max(...steps)).toBeLessThan(1e-1 * (1 + 1e-4))
      // log-uniform: the mean logarithm is that of 0.01; its own deviation is log(100) / sqrt(12 x 500) = 0.06.
      const meanLog = steps.reduce((sum, dt) => sum + Math.log(dt), 0) / steps.length
      expect(Math.abs(meanLog - Math.log(0.01))).toBeLessThan(0.3)
      expect([...reference.get('outputNorm.weight')!.data].every((w) => w === 1)).toBe(true)
      const taps = [...reference.get('convolution')!.data]
      expect(Math.max(...taps.map(Math.abs))).toBeLessThanOrEqual(0.5)
      expect(Math.max(...taps)).toBeGreaterThan(0.49)
      expect(Math.min(...taps)).toBeLessThan(-0.49)
    }
  })

  it('starts with decays that are finite, whatever is drawn', async () => {
    // 0 and 1 - 2^-24 are the ends of what the generator gives.
    for (const drawn of [0, 1 - 2 ** -24]) {
      defaultGenerator.uniform = (n) => new Float32Array(n).fill(drawn)
      onTestFinished(() => void Reflect.deleteProperty(defaultGenerator, 'uniform'))
      const layer = new GatedDeltaNet({ width: 4, keyHeads: 2 })
      for (const { data } of (await layer.stateDict()).values()) expect([...data].every(Number.isFinite)).toBe(true)
      layer.dispose()
    }
  })

  it('shows an observer what it writes, what it keeps and the memory at the end', async () => {
    for (const rule of rules) {
      const layer = layerOf({ rule, width: 3, keyHeads: 1, valueHeads: 2, keyWidth: 2, negativeEigenvalues: true }, 10)
      using x = input([2, 4, 3], 11)
      const [seen] = scope(() => {
        const list: DeltaObservation[] = []
        layer.forward(x, { observe: (observation) => list.push(observation) })
        return list
      })
      const expected = await oracleOf(layer, x)
      expect(largestGap(await seen.beta.data(), flat(expected.map(({ beta }) => beta)))).toBeLessThan(ROUNDINGS)
      expect(largestGap(await seen.state.data(), flat(expected.map(({ state }) => state)))).toBeLessThan(ROUNDINGS)
      expect(Math.max(...(await seen.beta.data()))).toBeGreaterThan(1)
      expect(seen.state.shape).toEqual([2, 2, 2, 2])
      if (rule === 'delta') expect(seen.decay).toBeNull()
      else {
        expect(seen.decay!.shape).toEqual(rule === 'kda' ? [2, 4, 2, 2] : [2, 4, 2])
        expect(largestGap(await seen.decay!.data(), flat(expected.map(({ decay }) => decay)))).toBeLessThan(ROUNDINGS)
      }
      for (const t of [seen.beta, seen.decay, seen.state]) {
        expect(t?.isTracked ?? false).toBe(false)
        t?.dispose()
      }
      layer.dispose()
    }
  })

  it('frees its cache, and keeps no more of it with time', () => {
    const device = findDevice('cpu')
    expect(
      checkLeaks(() => {
        const layer = new GatedDeltaNet({ width: 4, keyHeads: 2 })
        const before = device.statistics()
        const cache = new DeltaCache('cpu')
        const step = (T: number) =>
          scope(() => {
            layer.forward(tensor(new Float32Array(T * 4).fill(0.5), { shape: [1, T, 4] }), { cache })
          })
        step(5)
        const after = device.statistics()
        for (let i = 0; i < 4; i++) step(1)
        expect(device.statistics()).toEqual(after)
        expect(cache.length).toBe(9)
        cache.dispose()
        expect(device.statistics()).toEqual(before)
        layer.dispose()
      }),
    ).toEqual([])
  })

  it('fills in defaults', () => {
    const base = { width: 8, keyHeads: 2 }
    const defaults = {
      ...base,
      rule: 'gatedDelta',
      valueHeads: 2,
      keyWidth: 4,
      valueWidth: 4,
      convolutionWidth: 4,
      negativeEigenvalues: false,
      outputGate: 'silu',
      eps: 1e-6,
      initStd: 0.02,
      outputStd: 0.02,
    }
    expect(gatedDeltaNetConfig(base)).toEqual(defaults)
    expect(gatedDeltaNetConfig({ ...base, rule: 'kda' })).toEqual({ ...defaults, rule: 'kda', outputGate: 'sigmoid' })
    expect(gatedDeltaNetConfig({ ...base, keyWidth: 3, initStd: 0.1 })).toMatchObject({ valueWidth: 3, outputStd: 0.1 })
  })

  it.each<[object, RegExp]>([
    [{ rule: 'gated' }, /^GatedDeltaNet: rule must be one of 'gatedDelta', 'delta', 'kda', got "gated"/],
    [{ valueHeads: 3 }, /valueHeads must be a multiple of keyHeads, got 3 and 2/],
    [{ width: 9 }, /width 9 does not divide into 2 key heads; change one of width and keyHeads, or set keyWidth/],
    [{ keyHeads: undefined }, /keyHeads must be given/],
    [{ convolutionWidth: 0 }, /convolutionWidth must be a positive integer, got 0/],
    [{ outputGate: 'tanh' }, /outputGate must be one of 'silu', 'sigmoid', 'none', got "tanh"/],
    [{ negativeEigenvalue: true }, /there is no setting 'negativeEigenvalue'; did you mean 'negativeEigenvalues'\?/],
  ])('refuses %j', (given, message) => {
    expect(() => new GatedDeltaNet({ width: 8, keyHeads: 2, ...given } as GatedDeltaNetConfigInput)).toThrow(message)
  })

  it('refuses an input of another width', () => {
    const layer = layerOf({ width: 4, keyHeads: 1 })
    using x = input([2, 3, 5], 12)
    expect(() => layer.forward(x)).toThrow(/^GatedDeltaNet: x must be \[B, T, C\] = \[2, 3, 4\], got \[2, 3, 5\]/)
    layer.dispose()
  })
})

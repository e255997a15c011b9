/** Optimizers against float64 oracles, and what they all share: groups, errors, resume, lifetimes. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { checkLeaks, manualSeed, noGrad, randn, scope, type Tensor, tensor, zeros } from '../../src/index.ts'
import { GatedDeltaNet, Linear, Module, RMSNorm, Transformer } from '../../src/nn/index.ts'
import { AdamW, decayGroups, Muon, muonGroups, type Optimizer, orthogonalise, SGD } from '../../src/optim/index.ts'
import {
  adamWOracle,
  distance,
  muonOracle,
  orthogonalOracle,
  parameterOf,
  problem,
  setGradient,
  sgdOracle,
  trained,
} from './oracle.ts'

/**
 * Both sides compute in float64 in nearly the same order: about 20 roundings of 1.1e-16 a step over 5 steps. AdamW divides
 * by sqrt(v) + eps with eps from 1e-8, where m and sqrt(v) carry the same relative error, so nothing is magnified.
 */
const ROUNDINGS = 1e-12

const rates = fc.double({ min: 1e-3, max: 0.5, noNaN: true })
const decays = fc.constantFrom(0, 0.1, 0.5)
const factors = fc.constantFrom(0, 0.5, 0.9, 0.95)

describe('SGD', () => {
  it('follows its oracle', async () => {
    await fc.assert(
      fc.asyncProperty(
        problem,
        rates,
        factors,
        fc.boolean(),
        decays,
        async (given, lr, momentum, look, weightDecay) => {
          const settings = { lr, momentum, nesterov: look && momentum > 0, weightDecay }
          const parameter = parameterOf(given)
          const actual = await trained(parameter, new SGD([parameter], settings), given.gradients)
          expect(distance(actual, sgdOracle(given, settings))).toBeLessThan(ROUNDINGS)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('refuses settings that make no sense', () => {
    using p = tensor([1], { requiresGrad: true })
    expect(() => new SGD([p], { lr: -1 })).toThrow(/^SGD: lr must be a finite number from 0 up, got -1/)
    expect(() => new SGD([p], { lr: 1, momentum: 1 })).toThrow(/momentum must be in \[0, 1\), got 1/)
    expect(() => new SGD([p], { lr: 1, nesterov: true })).toThrow(/nesterov needs a momentum above 0/)
  })
})

describe('AdamW', () => {
  it('follows its oracle', async () => {
    const betas = fc.tuple(factors, fc.constantFrom(0.5, 0.95, 0.999))
    await fc.assert(
      fc.asyncProperty(problem, rates, betas, fc.constantFrom(1e-8, 1e-3), decays, async (given, lr, b, eps, decay) => {
        const settings = { lr, betas: b, eps, weightDecay: decay }
        const parameter = parameterOf(given)
        const actual = await trained(parameter, new AdamW([parameter], settings), given.gradients)
        expect(distance(actual, adamWOracle(given, settings))).toBeLessThan(ROUNDINGS)
      }),
      { numRuns: 200 },
    )
  })

  it('counts steps per parameter, so that a late gradient is corrected as a first one', async () => {
    const [a, b] = [tensor([1], { requiresGrad: true }), tensor([1], { requiresGrad: true })]
    const optimizer = new AdamW([a, b], { lr: 0.1, weightDecay: 0 })
    for (let step = 0; step < 3; step++) {
      setGradient(a, [1])
      optimizer.step()
    }
    expect(await b.item()).toBe(1)
    setGradient(b, [1])
    optimizer.step()
    // A first step moves by lr sign(g), whatever the betas: 0.9, rounded to float32.
    expect(await b.item()).toBeCloseTo(0.9, 6)
    expect(optimizer.steps).toBe(4)
    for (const t of [a, b]) t.dispose()
    optimizer.dispose()
  })

  it('keeps the ratio of a group rate when the rate is set', async () => {
    const [a, b] = [tensor([0], { requiresGrad: true }), tensor([0], { requiresGrad: true })]
    const optimizer = new AdamW([{ params: [a] }, { params: [b], lr: 0.05 }], { lr: 0.1, weightDecay: 0 })
    optimizer.lr = 0.2
    setGradient(a, [1])
    setGradient(b, [1])
    optimizer.step()
    expect(await a.item()).toBeCloseTo(-0.2, 6)
    expect(await b.item()).toBeCloseTo(-0.1, 6)
    for (const t of [a, b]) t.dispose()
    optimizer.dispose()
  })

  it('refuses parameters that it cannot train', () => {
    using p = tensor([1], { requiresGrad: true })
    using frozen = tensor([1])
    frozen.label = 'head.weight'
    expect(() => new AdamW([])).toThrow(/^AdamW: there are no parameters to train/)
    expect(() => new AdamW([frozen])).toThrow(/head\.weight has requiresGrad off/)
    expect(() => new AdamW([p, p])).toThrow(/parameter 1 is given twice/)
    expect(() => new AdamW([p], { betas: [0.9, 1] })).toThrow(/betas\[1\] must be in \[0, 1\), got 1/)
    expect(() => new AdamW([{ params: [p], lr: 1 }], { lr: 0 })).toThrow(/a group has lr 1 but the optimizer's is 0/)
  })
})

describe('Muon', () => {
  it('follows its oracle', async () => {
    const steps = fc.integer({ min: 1, max: 5 })
    await fc.assert(
      fc.asyncProperty(problem, rates, fc.constantFrom(0, 0.5), fc.boolean(), steps, async (given, lr, mu, look, n) => {
        const settings = { lr, momentum: mu, nesterov: look, weightDecay: 0.1, steps: n }
        const parameter = parameterOf(given)
        const optimizer = new Muon({ hidden: [parameter], rest: [] }, settings)
        const actual = await trained(parameter, optimizer, given.gradients)
        // Momenta of multiples of 1/64 by factors of 1/2 are exact, so both sides normalise the same matrix; each of five
        // quintic steps magnifies rounding by at most 3.4445: 3.4445^5 = 485, times tens of roundings of 1.1e-16.
        expect(distance(actual, muonOracle(given, settings))).toBeLessThan(1e-11)
      }),
      { numRuns: 200 },
    )
  })

  it('orthogonalises: singular values of any shape come near 1', async () => {
    manualSeed(3)
    for (const shape of [
      [8, 8],
      [4, 12],
      [12, 4],
    ]) {
      using x = randn(shape, { device: 'reference' })
      using y = orthogonalise(x)
      const values = [...(await y.data())]
      expect(distance(values, orthogonalOracle([...(await x.data())], shape[0], shape[1], 5))).toBeLessThan(1e-10)
      // The sum of squared singular values is the squared norm; each lies within the map's [0.68, 1.21].
      const mean = values.reduce((sum, v) => sum + v * v, 0) / Math.min(...shape)
      expect(mean).toBeGreaterThan(0.68 ** 2)
      expect(mean).toBeLessThan(1.21 ** 2)
    }
  })

  it('takes hidden matrices and leaves tables, head and vectors to AdamW', () => {
    const model = new Transformer({
      vocabularySize: 7,
      width: 8,
      layers: 1,
      heads: 2,
      tied: false,
      position: 'learned',
    })
    const { hidden, rest } = muonGroups(model, 0.1)
    const names = (list: readonly Tensor[]) => list.map(({ label }) => label)
    expect(names(hidden)).toEqual([
      'layers.0.attention.queryProjection.weight',
      'layers.0.attention.keyProjection.weight',
      'layers.0.attention.valueProjection.weight',
      'layers.0.attention.gateProjection.weight',
      'layers.0.attention.outputProjection.weight',
      'layers.0.feedForward.gateProjection.weight',
      'layers.0.feedForward.upProjection.weight',
      'layers.0.feedForward.downProjection.weight',
    ])
    expect(names(rest[0].params)).toEqual(['tokenEmbedding.weight', 'positionEmbedding.weight', 'head.weight'])
    expect(rest.map(({ weightDecay }) => weightDecay)).toEqual([0.1, 0])
    expect(rest[1].params.every(({ rank }) => rank === 1)).toBe(true)
    const trainedOnes = hidden.length + rest.reduce((sum, { params }) => sum + params.length, 0)
    expect(trainedOnes).toBe(model.parameters().length)
    model.dispose()
  })

  it('leaves the convolutions of delta layers to AdamW', () => {
    const model = new Transformer({ vocabularySize: 7, width: 8, layers: 1, heads: 2, fullAttentionInterval: 0 })
    const { hidden, rest } = muonGroups(model, 0.1)
    const names = (list: readonly Tensor[]) => list.map(({ label }) => label).filter((name) => /\.delta\./.test(name))
    expect(names(hidden)).toEqual([
      'layers.0.delta.queryProjection.weight',
      'layers.0.delta.keyProjection.weight',
      'layers.0.delta.valueProjection.weight',
      'layers.0.delta.outputGateProjection.weight',
      'layers.0.delta.betaProjection.weight',
      'layers.0.delta.decayProjection.weight',
      'layers.0.delta.outputProjection.weight',
    ])
    expect(names(rest[0].params)).toEqual([])
    expect(names(rest[1].params)).toEqual([
      'layers.0.delta.convolution',
      'layers.0.delta.decayBias',
      'layers.0.delta.decayRate',
      'layers.0.delta.outputNorm.weight',
    ])
    model.dispose()
  })

  it('refuses vectors among the hidden matrices', () => {
    using p = tensor([1, 2], { requiresGrad: true })
    expect(() => new Muon({ hidden: [p], rest: [] })).toThrow(/hidden parameters are matrices, got one of shape \[2\]/)
  })
})

describe('groups', () => {
  it('decay matrices and spare vectors', () => {
    class Small extends Module {
      readonly norm = new RMSNorm(3)
      readonly linear = new Linear(3, 2, { bias: true })
    }
    const module = new Small()
    const [matrices, vectors] = decayGroups(module, 0.1)
    expect(matrices).toEqual({ params: [module.linear.weight], weightDecay: 0.1 })
    expect(vectors).toEqual({ params: [module.norm.weight, module.linear.bias], weightDecay: 0 })
    module.dispose()
  })

  it('spare the convolution, the decays and the norm of a delta layer', () => {
    for (const rule of ['gatedDelta', 'kda'] as const) {
      const layer = new GatedDeltaNet({ width: 4, keyHeads: 2, rule })
      const [decaying, spared] = decayGroups(layer, 0.1)
      const { convolution, decayBias, decayRate, outputNorm } = layer
      expect(spared).toEqual({ params: [convolution, decayBias, decayRate, outputNorm.weight], weightDecay: 0 })
      expect(decaying.params.length).toBe(layer.parameters().length - 4)
      layer.dispose()
    }
  })
})

/** A small network and its loss on data of its own. */
class Network extends Module {
  readonly first = new Linear(3, 5, { std: 0.5 })
  readonly norm = new RMSNorm(5)
  readonly second = new Linear(5, 2, { std: 0.5, bias: true })

  loss(x: Tensor): Tensor {
    return this.second
      .forward(this.norm.forward(this.first.forward(x)).tanh())
      .square()
      .mean()
  }
}

const makers: Record<string, (network: Network) => Optimizer> = {
  SGD: (network) => new SGD(network.parameters(), { lr: 0.1, momentum: 0.9, nesterov: true }),
  AdamW: (network) => new AdamW(decayGroups(network, 0.1), { lr: 0.01 }),
  Muon: (network) => new Muon(muonGroups(network, 0.1), { lr: 0.02 }),
}

describe.each(Object.entries(makers))('%s', (_name, make) => {
  const trainStep = (network: Network, optimizer: Optimizer, x: Tensor) =>
    scope(() => {
      const loss = network.loss(x)
      loss.backward()
      optimizer.step()
      optimizer.zeroGrad()
      return loss
    })

  it('lowers a loss', async () => {
    manualSeed(5)
    const network = new Network()
    const optimizer = make(network)
    using x = randn([6, 3])
    using before = noGrad(() => network.loss(x))
    for (let step = 0; step < 20; step++) trainStep(network, optimizer, x).dispose()
    using after = noGrad(() => network.loss(x))
    expect(await after.item()).toBeLessThan(0.5 * (await before.item()))
    network.dispose()
    optimizer.dispose()
  })

  it('goes on bit for bit from a saved state', async () => {
    manualSeed(7)
    const network = new Network()
    const optimizer = make(network)
    using x = randn([6, 3])
    for (let step = 0; step < 3; step++) trainStep(network, optimizer, x).dispose()
    const [weights, state] = [await network.stateDict(), await optimizer.state()]
    const again = new Network()
    again.loadStateDict(weights)
    const resumed = make(again)
    resumed.loadState(state)
    for (let step = 0; step < 3; step++) {
      trainStep(network, optimizer, x).dispose()
      trainStep(again, resumed, x).dispose()
    }
    expect(await again.stateDict()).toEqual(await network.stateDict())
    expect(await resumed.state()).toEqual(await optimizer.state())
    expect(resumed.steps).toBe(6)
    for (const t of [network, again, optimizer, resumed]) t.dispose()
  })

  it('holds the number of buffers constant over 50 steps, and leaves nothing', () => {
    const device = findDevice('cpu')
    const leaks = checkLeaks(() => {
      const network = new Network()
      const optimizer = make(network)
      const x = randn([6, 3])
      const step = () => trainStep(network, optimizer, x).dispose()
      step()
      const before = device.statistics()
      for (let i = 0; i < 50; i++) step()
      expect(device.statistics()).toEqual(before)
      // Without an outer scope around the step the optimizer's own work is freed all the same.
      const gradients = network.parameters().map((parameter) => [parameter, zeros(parameter.shape)] as const)
      for (const [parameter, gradient] of gradients) parameter.grad = gradient
      const held = device.statistics()
      optimizer.step()
      expect(device.statistics()).toEqual(held)
      optimizer.zeroGrad()
      network.dispose()
      optimizer.dispose()
      x.dispose()
    })
    expect(leaks).toEqual([])
  })

  it('makes moments that outlive the scope of the first step, when the parameters do', () => {
    const network = new Network()
    const optimizer = scope(() => {
      const made = make(network)
      return { made }
    }).made
    using x = randn([6, 3])
    trainStep(network, optimizer, x).dispose()
    expect(optimizer.steps).toBe(1)
    network.dispose()
    optimizer.dispose()
  })

  it('names what a state lacks, and changes nothing then', async () => {
    const network = new Network()
    const optimizer = make(network)
    const state = await optimizer.state()
    const name = [...state.keys()].find((key) => key.startsWith('first.weight'))!
    state.delete(name)
    state.set('other', { dtype: 'float32', shape: [1], data: new Float32Array(1) })
    state.set('steps', { ...state.get('steps')!, data: Int32Array.from(network.parameters(), () => 9) })
    expect(() => optimizer.loadState(state)).toThrow(new RegExp(`missing: ${name}; unexpected: other`))
    expect(optimizer.steps).toBe(0)
    state.delete('steps')
    expect(() => optimizer.loadState(state)).toThrow(/expected an entry 'steps' of 4 counts, got none/)
    network.dispose()
    optimizer.dispose()
  })
})

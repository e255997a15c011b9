/** Modules: how parameters are found, named, saved and loaded; and the small layers. */
import { describe, expect, it } from 'vitest'
import { checkLeaks, manualSeed, scope, type Tensor, tensor, zeros } from '../../src/index.ts'
import { Embedding, FeedForward, type HostTensor, Linear, Module, RMSNorm } from '../../src/nn/index.ts'
import { gradcheckModule, input, largestGap, randomise } from './module-check.ts'

class Pair extends Module {
  readonly first = new Linear(2, 3)
  readonly second: Linear | null = null
}

class Whole extends Module {
  readonly list = [new Pair(), new RMSNorm(3)] as const
  readonly byName = { b: new Linear(3, 1, { bias: true }), a: new RMSNorm(1) }
  readonly width = 3
  readonly own: Tensor = zeros([2], { requiresGrad: true })
  readonly again = this.list[0]
  readonly constant: Tensor = tensor([7])
  readonly back: { whole?: Whole } = {}
}

const names = ['list.0.first.weight', 'list.1.weight', 'byName.b.weight', 'byName.b.bias', 'byName.a.weight', 'own']

describe('Module', () => {
  it('finds parameters through lists and records, in the order of declaration, each once', () => {
    const whole = new Whole()
    whole.back.whole = whole
    expect([...whole.namedParameters().keys()]).toEqual(names)
    expect([...whole.namedTensors().keys()]).toEqual([...names, 'constant'])
    expect(whole.parameters()).toEqual([...whole.namedParameters().values()])
    expect(whole.parameterCount).toBe(6 + 3 + 3 + 1 + 1 + 2 + 1)
    whole.dispose()
  })

  it('labels parameters with their full names, which a part does not cut', () => {
    const whole = new Whole()
    whole.parameters()
    whole.list[0].parameters()
    expect(whole.list[0].first.weight.label).toBe('list.0.first.weight')
    whole.dispose()
    expect(() => whole.list[0].first.weight.neg()).toThrow(/^list\.0\.first\.weight: \[3, 2\] was used after it was/)
  })

  it('saves and loads all tensors, frozen ones too', async () => {
    manualSeed(1)
    const [one, two] = [new Whole(), new Whole()]
    one.own.requiresGrad = false
    const state = await one.stateDict()
    expect([...state.keys()]).toEqual([...names, 'constant'])
    expect(state.get('list.0.first.weight')).toMatchObject({ dtype: 'float32', shape: [3, 2] })
    expect(await two.stateDict()).not.toEqual(state)
    two.loadStateDict(state)
    expect(await two.stateDict()).toEqual(state)
    expect(two.own.requiresGrad).toBe(true)
    one.dispose()
    two.dispose()
  })

  it('rounds float64 entries to the device, and takes no others', () => {
    const linear = new Linear(1, 1)
    const entry = (dtype: HostTensor['dtype'], data: HostTensor['data']) =>
      linear.loadStateDict(new Map([['weight', { dtype, shape: [1, 1], data }]]))
    entry('float64', Float64Array.of(0.1))
    expect([...linear.weight.dataNow()]).toEqual([Math.fround(0.1)])
    expect(() => entry('int32', Int32Array.of(1))).toThrow(
      /misshapen: weight is \[1, 1\] int32, expected \[1, 1\] float32/,
    )
    linear.dispose()
  })

  it('names every entry that does not fit, and changes nothing then', async () => {
    const pair = new Pair()
    const linear = new Linear(2, 3, { bias: true })
    const before = await linear.stateDict()
    const state = new Map(before)
    state.delete('bias')
    state.set('weight', { dtype: 'float32', shape: [2, 3], data: new Float32Array(6) })
    state.set('wieght', state.get('weight')!)
    expect(() => linear.loadStateDict(state)).toThrow(
      /^loadStateDict: .*missing: bias; unexpected: wieght; misshapen: weight is \[2, 3\] float32, expected \[3, 2\] float32/,
    )
    const fitting = new Map<string, HostTensor>([
      ['weight', { dtype: 'float32', shape: [3, 2], data: new Float32Array(6) }],
    ])
    expect(() => linear.loadStateDict(fitting)).toThrow(/missing: bias/)
    expect(await linear.stateDict()).toEqual(before)
    expect(() => pair.loadStateDict(new Map())).toThrow(/missing: first\.weight\)/)
    pair.dispose()
    linear.dispose()
  })

  it('frees all it has', () => {
    expect(
      checkLeaks(() => {
        const whole = new Whole()
        scope(() =>
          whole.byName.b
            .forward(zeros([1, 3]))
            .sum()
            .backward(),
        )
        whole.dispose()
      }),
    ).toEqual([])
  })
})

describe('layers', () => {
  it('start with the same bits on every device', () => {
    const bits = (device: string) => {
      manualSeed(11)
      const layer = new Linear(5, 3, { device, std: 0.3 })
      const values = [...layer.weight.dataNow()]
      layer.dispose()
      return values
    }
    expect(bits('reference')).toEqual(bits('cpu'))
  })

  it('start with the deviation that is asked for', () => {
    manualSeed(12)
    const layer = new Linear(100, 100, { std: 0.3 })
    const deviation = Math.sqrt([...layer.weight.dataNow()].reduce((sum, w) => sum + w * w, 0) / 10_000)
    // The deviation of 10^4 normals is known to 1 / sqrt(2 x 10^4) = 0.7 %; five times that.
    expect(Math.abs(deviation / 0.3 - 1)).toBeLessThan(0.035)
    layer.dispose()
  })

  it('Linear multiplies by the transposed weight and adds the bias', async () => {
    const layer = new Linear(3, 2, { bias: true })
    layer.loadStateDict(
      new Map<string, HostTensor>([
        ['weight', { dtype: 'float32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
        ['bias', { dtype: 'float32', shape: [2], data: Float32Array.of(10, 20) }],
      ]),
    )
    using y = layer.forward(tensor([[1, 0, -1]]))
    expect(await y.array()).toEqual([[8, 18]])
    layer.dispose()
  })

  it('RMSNorm starts as the bare normalisation, zero-centred or not', async () => {
    const [plain, centred] = [new RMSNorm(2, { eps: 1e-12 }), new RMSNorm(2, { eps: 1e-12, zeroCentred: true })]
    using x = tensor([[3, 4]])
    const expected = [3, 4].map((v) => v / Math.sqrt(12.5))
    for (const norm of [plain, centred]) {
      using y = norm.forward(x)
      // A handful of float32 roundings of values near 1.
      expect(largestGap(await y.data(), expected)).toBeLessThan(1e-6)
      norm.dispose()
    }
  })

  const x = () => input([2, 3, 4], 1)
  it.each<[string, () => Module & { forward(x: Tensor): Tensor }]>([
    ['Linear', () => new Linear(4, 3, { bias: true, device: 'reference' })],
    ['RMSNorm', () => new RMSNorm(4, { device: 'reference' })],
    ['RMSNorm, zero-centred', () => new RMSNorm(4, { zeroCentred: true, device: 'reference' })],
    ['FeedForward, SwiGLU', () => new FeedForward(4, 5, { device: 'reference' })],
    ['FeedForward, GELU', () => new FeedForward(4, 5, { kind: 'gelu', device: 'reference' })],
  ])('%s has the gradient that finite differences measure', async (_name, make) => {
    const layer = make()
    randomise(layer, 2)
    using given = x()
    const { elements } = await gradcheckModule(layer, [given], (moved) => layer.forward(moved))
    expect(elements).toBe(given.size + layer.parameterCount)
    layer.dispose()
  })

  it('Embedding has the gradient that finite differences measure', async () => {
    const layer = new Embedding(5, 3, { device: 'reference' })
    using tokens = tensor(Int32Array.of(4, 0, 4), { device: 'reference' })
    await gradcheckModule(layer, [tokens], (moved) => layer.forward(moved))
    layer.dispose()
  })

  it('FeedForward computes its formula', async () => {
    const layer = new FeedForward(2, 1, { device: 'reference' })
    const value = (shape: number[], ...data: number[]): HostTensor => ({
      dtype: 'float64',
      shape,
      data: Float64Array.from(data),
    })
    layer.loadStateDict(
      new Map([
        ['gateProjection.weight', value([1, 2], 1, 0)],
        ['upProjection.weight', value([1, 2], 0, 1)],
        ['downProjection.weight', value([2, 1], 1, -2)],
      ]),
    )
    using y = layer.forward(tensor([[2, 3]], { device: 'reference' }))
    const hidden = (2 / (1 + Math.exp(-2))) * 3
    expect(largestGap(await y.data(), [hidden, -2 * hidden])).toBeLessThan(1e-14)
    layer.dispose()
  })
})

/** Settings: defaults, shorthands, and messages that name what is wrong. */
import { describe, expect, it } from 'vitest'
import { SluiceError } from '../../src/index.ts'
import { hasExperts } from '../../src/nn/config.ts'
import { attentionConfig, Transformer, transformerConfig } from '../../src/nn/index.ts'

/** Settings as they come from a file, where no type has been checked. */
const parsed = (settings: object) => transformerConfig({ vocabularySize: 5, ...settings })

describe('transformerConfig', () => {
  it('fills in every default', () => {
    expect(transformerConfig({ vocabularySize: 65 })).toEqual({
      vocabularySize: 65,
      width: 128,
      layers: 4,
      layerTypes: ['attention', 'attention', 'attention', 'attention'],
      delta: {
        rule: 'gatedDelta',
        keyHeads: 4,
        valueHeads: 4,
        keyWidth: 32,
        valueWidth: 32,
        convolutionWidth: 4,
        negativeEigenvalues: false,
        outputGate: 'silu',
      },
      experts: null,
      multiTokenPrediction: null,
      bias: false,
      heads: 4,
      keyValueHeads: 4,
      headWidth: 32,
      gate: { position: 'G1', grain: 'elementwise', shared: false, op: 'mul', act: 'sigmoid', input: 'x' },
      gateStd: 0.905 / Math.sqrt(128),
      switchHead: null,
      sdpaPost: 'none',
      queryKeyNorm: true,
      zeroCentredNorm: false,
      eps: 1e-6,
      initStd: 0.02,
      feedForwardWidth: 344,
      feedForward: 'swiglu',
      norm: 'pre',
      clip: null,
      position: 'rope',
      rope: { base: 10000, dims: 32 },
      contextLength: 256,
      tied: true,
      dropout: 0,
    })
  })

  it('derives sizes from those that are given', () => {
    const config = parsed({ width: 60, heads: 6, keyValueHeads: 2, feedForward: 'gelu', rope: { dims: 4 } })
    expect(config).toMatchObject({ headWidth: 10, feedForwardWidth: 240, rope: { base: 10000, dims: 4 } })
    expect(parsed({ width: 10, heads: 3, headWidth: 7 }).rope.dims).toBe(6)
  })

  it('takes its own result unchanged', () => {
    const config = parsed({ gate: 'none', clip: 100, dropout: 0.1, switchHead: { count: 4, active: 2 } })
    expect(config.switchHead).toEqual({ maps: 'value', count: 4, active: 2 })
    expect(transformerConfig(config)).toEqual(config)
    expect(parsed({ layers: undefined, gate: { act: undefined } })).toEqual(parsed({}))
  })

  it('counts attention layers by an interval, or takes a list', () => {
    const types = (settings: object) =>
      parsed(settings)
        .layerTypes.map((type) => type[0])
        .join('')
    expect(types({ layers: 8, fullAttentionInterval: 4 })).toBe('dddaddda')
    expect(types({ layers: 3, fullAttentionInterval: 1 })).toBe('aaa')
    expect(types({ layers: 3, fullAttentionInterval: 0 })).toBe('ddd')
    const listed = parsed({ layerTypes: ['delta', 'attention', 'delta'] })
    expect([listed.layers, listed.layerTypes]).toEqual([3, ['delta', 'attention', 'delta']])
    const [layerTypes, both] = [['delta', 'attention'], { fullAttentionInterval: 2 }]
    expect(parsed({ layers: 2, layerTypes, ...both })).toEqual(parsed({ layers: 2, ...both }))
  })

  it('derives the delta layers from the heads, and the gate from the rule', () => {
    expect(parsed({ heads: 8, delta: { valueHeads: 16, valueWidth: 5 } }).delta).toMatchObject({
      keyHeads: 8,
      valueHeads: 16,
      keyWidth: 16,
      valueWidth: 5,
    })
    expect(parsed({ delta: { rule: 'kda' } }).delta.outputGate).toBe('sigmoid')
    expect(parsed({ delta: { rule: 'kda', outputGate: 'silu' } }).delta.outputGate).toBe('silu')
  })

  it('puts experts where `every` and `dense` say', () => {
    const settings = { layers: 6, feedForwardWidth: 24, experts: { count: 8, active: 2 } }
    expect(parsed(settings).experts).toEqual({
      count: 8,
      active: 2,
      width: 24,
      sharedWidth: 0,
      normalise: true,
      every: 1,
      dense: [],
      loadBalance: 0.001,
      zLoss: 0,
    })
    const places = (more: object) => {
      const config = parsed({ ...settings, experts: { ...settings.experts, ...more } })
      return [0, 1, 2, 3, 4, 5].filter((layer) => hasExperts(config, layer))
    }
    expect(places({})).toEqual([0, 1, 2, 3, 4, 5])
    expect(places({ every: 2 })).toEqual([1, 3, 5])
    expect(places({ every: 2, dense: [0, 3] })).toEqual([1, 5])
    expect(hasExperts(parsed({}), 0)).toBe(false)
    expect(parsed({ multiTokenPrediction: {} }).multiTokenPrediction).toEqual({ weight: 0.3 })
  })

  it.each([
    ['none', 'none'],
    ['elementwise', { position: 'G1', grain: 'elementwise', shared: false, op: 'mul', act: 'sigmoid', input: 'x' }],
    ['headwise', { position: 'G1', grain: 'headwise', shared: false, op: 'mul', act: 'sigmoid', input: 'x' }],
    [
      { position: 'G2', act: 'silu' },
      { position: 'G2', grain: 'elementwise', shared: false, op: 'mul', act: 'silu', input: 'x' },
    ],
  ])('reads the gate %j', (gate, expected) => {
    expect(parsed({ gate }).gate).toEqual(expected)
  })

  it.each<[object, RegExp]>([
    [{ keyvalueheads: 2 }, /there is no setting 'keyvalueheads'; did you mean 'keyValueHeads'\?/],
    [{ n_layer: 2 }, /there is no setting 'n_layer'; did you mean 'layers'\?/],
    [{ learningRate: 2 }, /there is no setting 'learningRate'; there are width, heads, .*dropout/],
    [{ gate: { pos: 'G1' } }, /there is no setting 'gate\.pos'; did you mean 'position'\?/],
    [{ gate: { positoin: 'G1' } }, /there is no setting 'gate\.positoin'; did you mean 'position'\?/],
    [{ rope: { theta: 1 } }, /there is no setting 'rope\.theta'/],
    [{ layers: '4' }, /layers must be an integer from 1 to 10000, got "4"/],
    [{ layers: 0 }, /layers must be an integer from 1 to 10000, got 0/],
    [{ width: 12.5 }, /width must be a positive integer, got 12\.5/],
    [{ dropout: 1 }, /dropout must be a probability in \[0, 1\), got 1/],
    [{ tied: 'yes' }, /tied must be true or false, got "yes"/],
    [{ clip: 0 }, /clip must be a number above 0, or null, got 0/],
    [{ eps: null }, /eps must be a number above 0, got null/],
    [{ norm: 'post' }, /norm must be one of 'pre', 'sandwich', got "post"/],
    [{ gate: 'G1' }, /gate must be one of 'none', 'elementwise', 'headwise', or an object, got "G1"/],
    [{ gate: { act: 'relu' } }, /gate\.act must be one of 'sigmoid', 'silu', 'identity', 'nsSigmoid', got "relu"/],
    [{ rope: { dims: 3 } }, /rope\.dims must be an even integer from 0 up, got 3/],
    [{ rope: { dims: 64 } }, /rope\.dims must be at most the head width 32, got 64/],
    [{ heads: 3 }, /width 128 does not divide into 3 heads; change one, or set headWidth/],
    [{ fullAttentionInterval: -1 }, /fullAttentionInterval must be an integer from 0 up, got -1/],
    [
      { layerTypes: ['linear'] },
      /layerTypes must be a list with one of 'attention', 'delta' for each layer, got \["linear"\]/,
    ],
    [
      { layers: 3, layerTypes: ['delta', 'attention'] },
      /layerTypes must name one type a layer, got 2 for layers 3; change layerTypes or layers/,
    ],
    [{ layerTypes: [] }, /layerTypes must name one type a layer, got 0 for layers 0/],
    [
      { layerTypes: ['delta', 'attention'], fullAttentionInterval: 1 },
      /layerTypes says that layer 0 is 'delta', fullAttentionInterval 1 that it is 'attention'; give one of them/,
    ],
    [{ delta: { heads: 2 } }, /there is no setting 'delta\.heads'/],
    [{ delta: { keyHeads: 2, valueHeads: 3 } }, /delta\.valueHeads must be a multiple of delta\.keyHeads, got 3 and 2/],
    [{ delta: 'kda' }, /delta must be an object, got "kda"/],
    [{ switchHead: { count: 4 } }, /switchHead\.active must be given/],
    [{ switchHead: { count: 2, active: 3 } }, /switchHead\.active must be at most switchHead\.count, got 3 of 2 maps/],
    [
      { switchHead: { count: 2, active: 1, maps: 'key' } },
      /switchHead\.maps must be one of 'value', 'keyValue', got "key"/,
    ],
    [{ switchHead: { count: 2, topK: 1 } }, /there is no setting 'switchHead\.topK'/],
    [{ switchHead: { count: 0, active: 0 } }, /switchHead\.count must be a positive integer, got 0/],
    [{ switchHead: 'value' }, /switchHead must be an object, or null, got "value"/],
    [{ experts: { count: 4 } }, /experts\.active must be given/],
    [{ experts: { count: 2, active: 3 } }, /experts\.active must be at most experts\.count, got 3 of 2 experts/],
    [{ experts: { count: 2, active: 1, topK: 1 } }, /there is no setting 'experts\.topK'/],
    [{ experts: { count: 2, active: 1, dense: [4] } }, /experts\.dense names layer 4; there are layers 0 to 3/],
    [
      { experts: { count: 2, active: 1, dense: 0 } },
      /experts\.dense must be a list of layers, integers from 0 up, got 0/,
    ],
    [{ experts: { count: 2, active: 1, zLoss: -1 } }, /experts\.zLoss must be a number from 0 up, got -1/],
    [{ experts: 8 }, /experts must be an object, or null, got 8/],
    [{ multiTokenPrediction: true }, /multiTokenPrediction must be an object, or null, got true/],
    [{ multiTokenPrediction: { depth: 1 } }, /there is no setting 'multiTokenPrediction\.depth'/],
    [{ bias: 1 }, /bias must be true or false, got 1/],
    [{ keyValueHeads: 3 }, /heads must be a multiple of keyValueHeads, got 4 and 3/],
  ])('refuses %j', (settings, message) => {
    expect(() => parsed(settings)).toThrow(SluiceError)
    expect(() => parsed(settings)).toThrow(message)
  })

  it('refuses what is no object, and a missing vocabulary', () => {
    expect(() => transformerConfig(JSON.parse('[]'))).toThrow(
      /^transformerConfig: expected an object of settings, got \[\]/,
    )
    expect(() => transformerConfig(JSON.parse('{}'))).toThrow(/vocabularySize must be given/)
    expect(() => new Transformer(JSON.parse('{"vocabularySize": 5, "heads": 3}'))).toThrow(
      /does not divide into 3 heads/,
    )
  })
})

describe('attentionConfig', () => {
  it('fills in defaults, and takes null for no rotary positions', () => {
    expect(attentionConfig({ width: 8, heads: 2 })).toMatchObject({
      keyValueHeads: 2,
      headWidth: 4,
      rope: { base: 10000, dims: 4 },
      causal: true,
      outputStd: 0.02,
    })
    expect(attentionConfig({ width: 8, heads: 2, rope: null, initStd: 0.1 })).toMatchObject({
      rope: null,
      outputStd: 0.1,
    })
  })

  it('names what is missing or unknown', () => {
    expect(() => attentionConfig(JSON.parse('{"width": 8}'))).toThrow(/^GatedAttention: heads must be given/)
    expect(() => attentionConfig(JSON.parse('{"width": 8, "heads": 2, "casual": true}'))).toThrow(
      /there is no setting 'casual'; did you mean 'causal'\?/,
    )
  })
})

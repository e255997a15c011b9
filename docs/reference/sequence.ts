/** Pages of operations along time: attention and its gate, the delta rules, positions, convolution, dropout. */
import type { OperationPage } from './page.ts'

const attentionOptions = {
  'options.causal': 'query i sees keys up to i + S - T; false unless given',
  'options.scale': 'multiplies q k^T; D^-0.5 unless given',
  'options.mask': 'added to the scaled scores; broadcasts to [B, H, T, S]',
}

const gateOptions = {
  'options.gateAct': "'sigmoid' unless given, 'silu', 'identity', or 'nsSigmoid', 0.5 + 0.5 sigmoid",
  'options.gateOp': "'mul' unless given, or 'add'",
  'options.gateShared': 'one score for all heads, the mean over them; false unless given',
}

const keysAndValues = {
  q: '[B, T, H, K]',
  k: '[B, T, H, K]: rows of length 1, as l2Norm makes them',
  v: '[B, T, H, V]',
}

const deltaOptions = {
  'options.scale': 'multiplies q; K^-0.5 unless given',
  'options.state': '[B, H, K, V]: the memory before the first step; zeros unless given',
  'options.mode': "'recurrent', step by step, or 'chunked', the default",
}

const deltaResult = { out: '[B, T, H, V]', state: '[B, H, K, V]: the memory after the last step' }

export const sequencePages = {
  attentionWeights: {
    arguments: { q: '[B, T, H, D]', k: '[B, S, KV, D]: KV divides H', ...attentionOptions },
    result: '[B, H, T, S]: rows sum to 1',
    gradient: 'that of softmax and matmul, of which it is made',
    example: `
const q = zeros([1, 3, 1, 4])
const weights = attentionWeights(q, q, { causal: true }).reshape([3, 3])
console.log(String(weights)) // [[1.         0.         0.        ]
//                               [0.5        0.5        0.        ]
//                               [0.33333334 0.33333334 0.33333334]]
`,
  },
  attention: {
    arguments: {
      q: '[B, T, H, D]',
      k: '[B, S, KV, D]: KV divides H; head h reads key-value head floor(h KV / H)',
      v: '[B, S, KV, D]',
      ...attentionOptions,
      'options.gate': '[B, T, H, D] or [B, T, H], before its activation; none unless given',
      ...gateOptions,
    },
    result: '[B, T, H, D]',
    gradient:
      'dv = a^T dy, da = dy v^T, ds = a (da - sum(da a)), dq = scale ds k, dk = scale ds^T q, a the weights and s the scores',
    example: `
const [q, k] = [zeros([1, 2, 1, 2]), zeros([1, 2, 1, 2])]
const v = tensor([[1, 2], [3, 4]]).reshape([1, 2, 1, 2])
const y = attention(q, k, v, { causal: true })
console.log(String(y.reshape([2, 2]))) // [[1. 2.]
//                                         [2. 3.]]
`,
  },
  gatedAttention: {
    arguments: {
      q: '[B, T, H, D]',
      k: '[B, S, KV, D]: KV divides H',
      v: '[B, S, KV, D]',
      gate: '[B, T, H, D] or [B, T, H], before its activation',
      ...attentionOptions,
      ...gateOptions,
    },
    result: '[B, T, H, D]',
    gradient:
      'that of attention, with dy sigmoid(gate) for dy; dgate = dy attention(q, k, v) s (1 - s), s = sigmoid(gate)',
    example: `
const q = zeros([1, 2, 1, 2])
const v = tensor([[1, 2], [3, 4]]).reshape([1, 2, 1, 2])
const gate = zeros([1, 2, 1]) // one score a head; sigmoid(0) = 1/2
const y = gatedAttention(q, q, v, gate, { causal: true })
console.log(String(y.reshape([2, 2]))) // [[0.5 1. ]
//                                         [1.  1.5]]
`,
  },
  applyGate: {
    arguments: {
      y: '[B, T, H, D]',
      gate: '[B, T, H, D], [B, T, H], or [H, D], which is the same everywhere; before its activation',
      'options.act': gateOptions['options.gateAct'],
      'options.op': gateOptions['options.gateOp'],
      'options.shared': gateOptions['options.gateShared'],
    },
    result: '[B, T, H, D]',
    gradient: 'that of the activation and the product, of which it is made',
    example: `
const y = ones([1, 1, 2, 3])
const gate = tensor([0, 100]).reshape([1, 1, 2]) // a head half open, a head open
console.log(String(applyGate(y, gate).reshape([2, 3]))) // [[0.5 0.5 0.5]
//                                                          [1.  1.  1. ]]
`,
  },
  deltaRule: {
    arguments: {
      ...keysAndValues,
      beta: '[B, T, H]: in [0, 1], or up to 2 for negative eigenvalues',
      ...deltaOptions,
      'options.chunk': 'steps at once; 64 unless given',
    },
    result: deltaResult,
    gradient: 'that of the recurrence, backwards through time',
    example: `
const keys = tensor([[1, 0], [1, 0]]).reshape([1, 2, 1, 2]) // the same key twice
const values = tensor([5, 7]).reshape([1, 2, 1, 1])
const { out, state } = deltaRule(keys, keys, values, ones([1, 2, 1]), { scale: 1 })
console.log(String(out.reshape([2]))) // [5. 7.]
console.log(String(state.reshape([2]))) // [7. 0.]
`,
  },
  gatedDeltaRule: {
    arguments: {
      ...keysAndValues,
      g: '[B, T, H]: logarithm of the decay, 0 or less',
      beta: '[B, T, H]: in [0, 1], or up to 2 for negative eigenvalues',
      ...deltaOptions,
      'options.chunk': 'steps at once; 64 unless given',
    },
    result: deltaResult,
    gradient: 'that of the recurrence, backwards through time',
    example: `
const keys = tensor([[1, 0], [0, 1]]).reshape([1, 2, 1, 2])
const values = tensor([8, 6]).reshape([1, 2, 1, 1])
const g = tensor([0, Math.log(0.5)]).reshape([1, 2, 1]) // the second step halves what is remembered
const { state } = gatedDeltaRule(keys, keys, values, g, ones([1, 2, 1]), { scale: 1 })
console.log(String(state.reshape([2]))) // [4. 6.]
`,
  },
  channelDeltaRule: {
    arguments: {
      ...keysAndValues,
      g: '[B, T, H, K]: logarithm of the decay of each channel of the key, 0 or less',
      beta: '[B, T, H]: in [0, 1], or up to 2 for negative eigenvalues',
      ...deltaOptions,
      'options.chunk': 'steps at once; 16 unless given',
    },
    result: deltaResult,
    gradient: 'that of the recurrence, backwards through time',
    example: `
const keys = tensor([[1, 0], [0, 1]]).reshape([1, 2, 1, 2])
const values = tensor([8, 6]).reshape([1, 2, 1, 1])
const g = tensor([[0, 0], [Math.log(0.25), 0]]).reshape([1, 2, 1, 2]) // the first channel alone decays
const { state } = channelDeltaRule(keys, keys, values, g, ones([1, 2, 1]), { scale: 1 })
console.log(String(state.reshape([2]))) // [2. 6.]
`,
  },
  rope: {
    arguments: {
      x: '[B, T, H, D]',
      'options.base': 'number; 10000 unless given',
      'options.dims': 'how many leading dimensions turn, an even number; D unless given',
      'options.offset': 'position of the first row; 0 unless given',
    },
    result: '[B, T, H, D]',
    gradient: 'dx = dy turned back',
    example: `
const x = tensor([[1, 0], [1, 0]], { device: 'reference' }).reshape([1, 2, 1, 2])
console.log(String(rope(x).reshape([2, 2]))) // [[1.         0.        ]
//                                               [0.54030231 0.84147098]]
`,
  },
  causalConv1d: {
    arguments: {
      x: '[B, T, C]',
      weight: '[C, W]: the last tap meets the present',
      'options.bias': '[C]: none unless given',
      'options.state': '[B, W - 1, C]: the inputs before the first; zeros unless given',
    },
    result: '[B, T, C]',
    gradient:
      'dx = dy convolved with the taps in reverse, dweight[c, w] = sum over b, t of dy[b, t, c] x[b, t - W + 1 + w, c]',
    example: `
const x = tensor([1, 2, 3]).reshape([1, 3, 1])
const weight = tensor([[10, 1]]) // ten times the previous one, and the present
console.log(String(causalConv1d(x, weight).reshape([3]))) // [ 1. 12. 23.]
`,
  },
  dropout: {
    arguments: { x: '[...]', p: 'probability, in [0, 1)', 'options.training': 'false gives x; true unless given' },
    result: '[...]',
    gradient: 'dx = dy / (1 - p) where x was kept, else 0',
    example: `
manualSeed(1)
console.log(String(ones([6]).dropout(0.5))) // [0. 0. 2. 2. 2. 0.]
console.log(String(ones([6]).dropout(0.5, { training: false }))) // [1. 1. 1. 1. 1. 1.]
`,
  },
} satisfies Record<string, OperationPage>

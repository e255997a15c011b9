/**
 * What the compiler refuses before anything runs, and, beside each, what it takes. `npm run types` checks this file: an error that
 * is expected and does not come is an error. Nothing here is run.
 */

import { savePretrained } from '../../src/hub/index.ts'
import type { Draw, Shape, Tensor } from '../../src/index.ts'
import * as sluice from '../../src/index.ts'
import { GatedAttention, Linear, Transformer } from '../../src/nn/index.ts'
import { AdamW, cosineSchedule, SGD } from '../../src/optim/index.ts'
import { train } from '../../src/train/index.ts'

declare const x: Tensor

export function dtypes(): void {
  sluice.tensor([1], { dtype: 'int32' })
  // @ts-expect-error: there is no int64
  sluice.tensor([1], { dtype: 'int64' })
  // @ts-expect-error: nor a float16 in memory
  sluice.zeros([2], { dtype: 'float16' })
  // @ts-expect-error: files know float16, not int8
  savePretrained(new Transformer({ vocabularySize: 2 }), 'folder', { dtype: 'int8' })
}

export function values(): void {
  sluice.tensor([
    [1, 2],
    [3, 4],
  ])
  // @ts-expect-error: text is no number
  sluice.tensor(['1', '2'])
  // @ts-expect-error: a shape is a list
  sluice.zeros(2, 3)
  // @ts-expect-error: no elements at once without asking for them
  const first: number = x[0]
  // @ts-expect-error: values are read by a promise
  const one: number = x.item()
  // @ts-expect-error: a shape is not written to
  x.shape[0] = first + one
}

export function options(): void {
  x.sum({ axis: -1, keepdim: true })
  // @ts-expect-error: keepdim, not keepDims
  x.sum({ axis: -1, keepDims: true })
  // @ts-expect-error: the axis is an option here, and a number is none
  x.mean(0)
  // @ts-expect-error: an axis is a number
  x.sum({ axis: '0' })
  // @ts-expect-error: transposeB, not transpose_b
  x.matmul(x, { transpose_b: true })
  // @ts-expect-error: one axis of an argmax
  x.argmax({ axis: [0, 1] })
  sluice.attention(x, x, x, { causal: true, scale: 1 })
  // @ts-expect-error: causal, not isCausal
  sluice.attention(x, x, x, { isCausal: true })
  // @ts-expect-error: there is no such activation
  sluice.attention(x, x, x, { gate: x, gateAct: 'tanh' })
  // @ts-expect-error: an operand is missing
  sluice.gatedDeltaRule(x, x, x, x)
  // @ts-expect-error: there is no such mode
  sluice.gatedDeltaRule(x, x, x, x, x, { mode: 'parallel' })
  // @ts-expect-error: lists of tensors are concatenated
  sluice.concat(x, x)
}

export function devices(): void {
  sluice.device('cpu', { threads: 2, simd: 'plain' })
  // Names of devices are any text: `registerDevice` adds some, and what is none is refused by name when it is asked for.
  // @ts-expect-error: there are no such instructions
  sluice.device('cpu', { simd: 'avx2' })
  // @ts-expect-error: threads are a number
  sluice.device('cpu', { threads: 'all' })
  // @ts-expect-error: there is no such option
  sluice.device('webgpu', { powerPreference: 'high' })
  // @ts-expect-error: a device has a name, and is none itself
  sluice.zeros([1], { device: sluice.defaultDevice() })
}

const record = {
  name: 'twice',
  doc: '2 x, elementwise.',
  shape: (t: Tensor): Shape => t.shape,
  forward: (_shape: Shape, t: Tensor): Tensor => t.mul(2),
  samples: (draw: Draw): [Tensor] => [draw.tensor([2])],
}

export function records(): void {
  sluice.defineOp({ ...record, vjp: (dy: Tensor) => [dy.mul(2)] })
  // @ts-expect-error: an operation says what its gradient is, or that it has none
  sluice.defineOp(record)
  // @ts-expect-error: a gradient is a function, or null
  sluice.defineOp({ ...record, vjp: true })
  // @ts-expect-error: samples are drawn
  sluice.defineOp({ name: 'a', doc: '', shape: record.shape, forward: record.forward, vjp: null })
  // @ts-expect-error: a kernel of two numbers gives one
  sluice.elementwise((a: number, b: number) => [a, b])
  // @ts-expect-error: a kernel's parameters are numbers
  sluice.elementwise((a: string) => a.length)
}

export function gradients(): void {
  sluice.grad((t: Tensor) => t.sum())(x)
  // @ts-expect-error: a function of tensors
  sluice.grad((a: number) => a)
  // @ts-expect-error: a captured function is called as it was written
  sluice.capture((t: Tensor) => t.mul(2))(1)
}

export function layers(): void {
  new Transformer({ vocabularySize: 16, width: 32, heads: 4, gate: { position: 'G1', grain: 'headwise' } })
  // @ts-expect-error: a vocabulary has a size
  new Transformer({ width: 32 })
  // @ts-expect-error: vocabularySize, not vocabSize
  new Transformer({ vocabularySize: 16, vocabSize: 16 })
  // @ts-expect-error: there is no such gate
  new Transformer({ vocabularySize: 16, gate: 'sigmoid' })
  // @ts-expect-error: nor such a position
  new Transformer({ vocabularySize: 16, gate: { position: 'G6' } })
  // @ts-expect-error: heads are missing
  new GatedAttention({ width: 64 })
  // @ts-expect-error: how many features go out
  new Linear(4)
  // @ts-expect-error: the layer's type is not a word of its own
  new Transformer({ vocabularySize: 16, layerTypes: ['mamba'] })
}

export function training(): void {
  new AdamW([x], { lr: 1e-3, betas: [0.9, 0.95] })
  // @ts-expect-error: lr, not learningRate
  new AdamW([x], { learningRate: 1e-3 })
  // @ts-expect-error: two betas
  new AdamW([x], { betas: [0.9] })
  // @ts-expect-error: SGD has no rate of its own
  new SGD([x])
  // @ts-expect-error: a schedule has a peak
  cosineSchedule({ total: 100 })
  // @ts-expect-error: a folder is a path
  train({ folder: 1 })
  // @ts-expect-error: there is no such option of a run
  train({ epochs: 3 })
}

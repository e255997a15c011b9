/** Attention of the cpu device: kernels/fused-attention.ts as tasks. */
import {
  attentionActivations,
  attentionBackward,
  attentionForward,
  gatedAttentionBackward,
  gatedAttentionForward,
} from '../../fused-attention.ts'
import type { FusedKernel } from '../../kernel.ts'
import type { Features } from './assembler.ts'
import { type backwardRoom, defineBackward, defineSumChunks } from './attention-backward.ts'
import { defineForward, type forwardRoom } from './attention-forward.ts'
import type { Gating } from './attention-gate.ts'
import { elementBytes, layOut, roundUp, rowBlock, rowSteps } from './attention-parts.ts'
import { productFunctions } from './product.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task } from './task.ts'
import { vectorsIn } from './vectors.ts'

/** Items that keep the threads of a machine busy. */
const enoughItems = 8
/** A chunk of keys has no fewer: each goes over all queries. */
const fewestChunkKeys = 64

interface Sizes {
  readonly B: number
  readonly T: number
  readonly S: number
  readonly H: number
  readonly KV: number
  readonly D: number
  readonly causal: number
  readonly scale: TaskArgument
}

function sizesOf(parameters: readonly (Place | TaskArgument)[]): Sizes {
  const [B, T, S, H, KV, D, causal] = parameters as number[]
  return { B, T, S, H, KV, D, causal, scale: parameters[7] as TaskArgument }
}

function gatingOf(parameters: readonly (Place | TaskArgument)[]): Gating {
  const [headwise, activation, additive] = parameters as number[]
  return { headwise: headwise === 1, activation: attentionActivations[activation], additive: additive === 1 }
}

/** Made when first asked for, one for each kind of gate, since a kernel has its activation built in. */
function byGating<T>(make: (gating: Gating | undefined) => T): (gating: Gating | undefined) => T {
  const made = new Map<string, T>()
  return (gating) => {
    const key = JSON.stringify(gating ?? null)
    if (!made.has(key)) made.set(key, make(gating))
    return made.get(key)!
  }
}

const start = (place: Place | undefined): number => place?.offset ?? 0

/** Pairs of a query and a key it sees, times D: a product of the pass has twice as many operations. */
function seenPairs({ B, T, S, H, D, causal }: Sizes): number {
  const keys = causal ? S - (T - 1) / 2 : S
  return B * H * T * keys * D
}

export function attentionKernels(features: Features): [FusedKernel, Launcher][] {
  const forward = byGating((gating) => defineForward(features, gating))
  const backward = byGating((gating) => defineBackward(features, gating))
  const sumChunks = lazily(() => defineSumChunks(features))

  const stepsOf = ({ D }: Sizes, keys: number) => {
    const { tile, edgeBytes } = productFunctions(features)
    const tileColumns = 4 * tile.vectors
    const columns = elementBytes * D * roundUp(keys, tileColumns)
    return { ...rowSteps(tileColumns, D, keys), columns, edgeBytes }
  }

  const forwardTasks = (
    outputs: readonly Place[],
    operands: readonly Place[],
    sizes: Sizes,
    gating: Gating | undefined,
  ) => {
    const { B, T, S, H, KV, D, causal, scale } = sizes
    const { width, scoreStep, columns, edgeBytes } = stepsOf(sizes, S)
    const { places, scratch } = layOut<(typeof forwardRoom)[number]>({
      keys: columns,
      values: S * width,
      queries: rowBlock * width,
      scores: rowBlock * scoreStep,
      mixed: rowBlock * width,
      most: rowBlock * elementBytes,
      sums: rowBlock * elementBytes,
      edge: edgeBytes,
    })
    const [q, k, v, gate] = operands.map(start)
    const [out, logSum, ungated] = outputs.map(start)
    return [
      task(
        forward(gating),
        {
          ...{ q, k, v, gate: gate ?? 0, out, logSum, ungated: ungated ?? 0 },
          ...{ T, S, H, KV, D, causal, scale, width, scoreStep, ...places },
        },
        { items: B * H * Math.ceil(T / rowBlock), cost: 4 * seenPairs(sizes), scratch },
      ),
    ]
  }

  const backwardTasks = (
    outputs: readonly Place[],
    operands: readonly Place[],
    sizes: Sizes,
    gating: Gating | undefined,
    workspace: Parameters<Launcher>[3],
  ) => {
    const { B, T, S, H, KV, D, causal, scale } = sizes
    const wanted = Math.ceil(enoughItems / (B * KV))
    const chunkKeys = Math.min(S, Math.max(fewestChunkKeys, roundUp(Math.ceil(S / wanted), 16)))
    const chunks = Math.ceil(S / chunkKeys)
    const { width, scoreStep, columns, edgeBytes } = stepsOf(sizes, chunkKeys)
    const { places, scratch } = layOut<(typeof backwardRoom)[number]>({
      keys: columns,
      values: columns,
      keyRows: chunkKeys * width,
      keySums: chunkKeys * width,
      valueSums: chunkKeys * width,
      queries: rowBlock * width,
      dy: rowBlock * width,
      scores: rowBlock * scoreStep,
      gradients: rowBlock * scoreStep,
      mixed: rowBlock * width,
      delta: rowBlock * elementBytes,
      edge: edgeBytes,
    })
    const [dout, out, logSum, q, k, v, gate] = operands.map(start)
    const [dq, dk, dv, dgate] = outputs.map(start)
    const chunkStep = elementBytes * B * T * H * D
    const parts = chunks === 1 ? dq : workspace.floats((chunks * chunkStep) / elementBytes)
    const gradients = task(
      backward(gating),
      {
        ...{ dout, out, logSum, q, k, v, gate: gate ?? 0, dq: parts, dk, dv, dgate: dgate ?? 0 },
        ...{ T, S, H, KV, D, causal, scale, width, scoreStep, chunks, chunkKeys, chunkStep, ...places },
      },
      { items: B * KV * chunks, cost: 10 * seenPairs(sizes), scratch },
    )
    if (chunks === 1) return [gradients]
    const size = B * T * H * D
    const sum = { parts, chunks, chunkStep, out: dq }
    return [gradients, task(sumChunks(), sum, { items: vectorsIn(size), cost: chunks * size })]
  }

  return [
    [
      attentionForward,
      (outputs, _, p) => forwardTasks(outputs, p.slice(0, 3) as Place[], sizesOf(p.slice(3)), undefined),
    ],
    [
      gatedAttentionForward,
      (outputs, _, p) => forwardTasks(outputs, p.slice(0, 4) as Place[], sizesOf(p.slice(4)), gatingOf(p.slice(12))),
    ],
    [
      attentionBackward,
      (outputs, _, p, workspace) =>
        backwardTasks(outputs, p.slice(0, 6) as Place[], sizesOf(p.slice(6)), undefined, workspace),
    ],
    [
      gatedAttentionBackward,
      (outputs, _, p, workspace) =>
        backwardTasks(outputs, p.slice(0, 7) as Place[], sizesOf(p.slice(7)), gatingOf(p.slice(15)), workspace),
    ],
  ]
}

/** fast-check arbitraries of shapes, axes, tensors, arguments and programs, for properties of one's own. */
import fc from 'fast-check'
import { type AttentionOptions, attention } from '../ops/attention.ts'
import { type DeltaRuleOptions, gatedDeltaRule } from '../ops/delta.ts'
import type { Operation, OpRecord, TensorDraw } from '../ops/record.ts'
import { type Shape, sizeOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import {
  broadcastableArbitrary,
  drawFrom,
  referenceTensor,
  type ShapeOptions,
  shapeArbitrary,
  valuesArbitrary,
} from './draw.ts'
import { recordOf } from './parity.ts'
import { programArbitrary } from './program.ts'

/** Arguments of `attention` that fit each other; float64 on the reference device. */
export interface AttentionInputs {
  /** [B, T, H, D] */
  readonly q: Tensor
  /** [B, S, KV, D] */
  readonly k: Tensor
  /** [B, S, KV, D] */
  readonly v: Tensor
  /** Causal or not. */
  readonly options: AttentionOptions
}

/** Arguments of `gatedDeltaRule` that fit each other; float64 on the reference device. */
export interface DeltaRuleInputs {
  /** [B, T, H, K] */
  readonly q: Tensor
  /** [B, T, H, K], rows of length 1. */
  readonly k: Tensor
  /** [B, T, H, V] */
  readonly v: Tensor
  /** [B, T, H], at most 0. */
  readonly g: Tensor
  /** [B, T, H] */
  readonly beta: Tensor
  /** Chunks and mode. */
  readonly options: DeltaRuleOptions
}

/** The arguments that a record's own samples draw; they shrink to small shapes and simple values. */
function argumentsOf(op: Operation<never[], unknown> | OpRecord | string): fc.Arbitrary<unknown[]> {
  const record = recordOf('arb.arguments', op)
  return fc.gen().map((g) => record.samples(drawFrom(g)))
}

/**
 * Arbitraries. Tensors are float64 on the reference device, with values on a dyadic grid that float32 holds exactly, so
 * that moving them to another device loses nothing.
 *
 * @example
 * fc.assert(fc.property(arb.tensor([2, 3]), (x) => String(x.transpose().transpose()) === String(x)))
 */
export const arb = {
  /** Sizes from 1 to maxSize (4), rank from minRank (0) to maxRank (3). */
  shape: (options: ShapeOptions = {}): fc.Arbitrary<number[]> => shapeArbitrary(options),

  /** Two shapes that broadcast with each other. */
  broadcastable: (options: ShapeOptions = {}): fc.Arbitrary<[a: number[], b: number[]]> =>
    shapeArbitrary(options).chain((a) => broadcastableArbitrary(a).map((b): [number[], number[]] => [a, b])),

  /** Some of the axes of a tensor of that rank, distinct and ascending, perhaps none. */
  axes: (rank: number): fc.Arbitrary<number[]> => fc.subarray(Array.from({ length: rank }, (_, i) => i)),

  /** The numbers 0 to n - 1 in some order. */
  permutation: (n: number): fc.Arbitrary<number[]> => {
    const places = Array.from({ length: n }, (_, i) => fc.nat({ max: n - 1 - i }))
    return fc.tuple(...places).map((drawn) => {
      const left = Array.from({ length: n }, (_, i) => i)
      return drawn.map((place) => left.splice(place, 1)[0])
    })
  },

  /** A tensor of a shape, or of shapes that an arbitrary draws; values as `Draw.tensor` takes them. */
  tensor: (shape: Shape | fc.Arbitrary<Shape>, options: TensorDraw = {}): fc.Arbitrary<Tensor> => {
    const shapes = shape instanceof fc.Arbitrary ? shape : fc.constant(shape)
    return shapes.chain((n) => valuesArbitrary(sizeOf(n), options).map((values) => referenceTensor(values, n)))
  },

  /** q, k, v and options of `attention`. */
  attention: (): fc.Arbitrary<AttentionInputs> =>
    argumentsOf(attention.record).map((given) => {
      const [q, k, v, options] = given as [Tensor, Tensor, Tensor, AttentionOptions]
      return { q, k, v, options }
    }),

  /** q, k, v, g, beta and options of `gatedDeltaRule`. */
  deltaRule: (): fc.Arbitrary<DeltaRuleInputs> =>
    argumentsOf(gatedDeltaRule.record).map((given) => {
      const [q, k, v, g, beta, options] = given as [Tensor, Tensor, Tensor, Tensor, Tensor, DeltaRuleOptions]
      return { q, k, v, g, beta, options }
    }),

  /** Random programs of registered operations; see `Program`. */
  program: programArbitrary,

  arguments: argumentsOf,
}

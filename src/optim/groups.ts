/** Which parameters of a module decay, and which take Muon's step. */
import type { Tensor } from '../tensor/tensor.ts'
import type { ParameterGroup } from './optimizer.ts'

/** What has named parameters: a module. */
export interface HasParameters {
  /** Parameters of any shapes, by dotted name, in a fixed order. */
  namedParameters(): ReadonlyMap<string, Tensor>
}

/** A depthwise convolution's few taps a channel: a table of vectors, though it has two axes. */
const isConvolution = (name: string): boolean => /(^|\.)convolution$/.test(name)

/**
 * Two groups: matrices decay by `weightDecay`; vectors (norm weights, biases, decay rates) and convolutions do not.
 *
 * @example
 * const optimizer = new AdamW(decayGroups(model, 0.1), { lr: 1e-3 })
 */
export function decayGroups(module: HasParameters, weightDecay: number): ParameterGroup[] {
  const [decaying, others]: Tensor[][] = [[], []]
  for (const [name, parameter] of module.namedParameters()) {
    const group = parameter.rank >= 2 && !isConvolution(name) ? decaying : others
    group.push(parameter)
  }
  return [
    { params: decaying, weightDecay },
    { params: others, weightDecay: 0 },
  ]
}

/** Tables and the head map to or from tokens and are no hidden matrices; `gateLogits` are scores, not a map at all. */
const isHidden = (name: string): boolean => !/embedding\.|(^|\.)head\.|gateLogits$/i.test(name) && !isConvolution(name)

/**
 * The parameters as Muon takes them: hidden matrices [m, n], and the rest in AdamW's groups.
 *
 * @param weightDecay of the matrices among the rest; 0 unless given
 */
export function muonGroups(
  module: HasParameters,
  weightDecay = 0,
): { hidden: readonly Tensor[]; rest: readonly ParameterGroup[] } {
  const hidden: Tensor[] = []
  const others = new Map<string, Tensor>()
  for (const [name, parameter] of module.namedParameters()) {
    if (parameter.rank === 2 && isHidden(name)) hidden.push(parameter)
    else others.set(name, parameter)
  }
  return { hidden, rest: decayGroups({ namedParameters: () => others }, weightDecay) }
}

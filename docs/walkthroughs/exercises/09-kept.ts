/**
 * Exercise: what a model keeps.
 *
 * To go on with a text of so many tokens, an attention layer keeps a key and a value, of `headWidth` numbers each,
 * for every token and every key-value head. A delta layer keeps a matrix of keyWidth by valueWidth for every value
 * head, and, however long the text, the last convolutionWidth - 1 inputs of its convolution: the queries and keys
 * of all key heads and the values of all value heads.
 *
 * TODO: count the numbers of all layers together. This one knows of attention only.
 */
import type { TransformerConfig } from 'sluice/nn'

/** @param tokens at least convolutionWidth - 1 */
export function numbersKept(config: TransformerConfig, tokens: number): number {
  const { layers, keyValueHeads, headWidth } = config
  return layers * 2 * keyValueHeads * headWidth * tokens
}

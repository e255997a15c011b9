/** What a model keeps to go on with a text: layer by layer, by its type. */
import type { TransformerConfig } from 'sluice/nn'

/** @param tokens at least convolutionWidth - 1 */
export function numbersKept(
  { layerTypes, keyValueHeads, headWidth, delta }: TransformerConfig,
  tokens: number,
): number {
  const { keyHeads, valueHeads, keyWidth, valueWidth, convolutionWidth } = delta
  const attentionKeeps = 2 * keyValueHeads * headWidth * tokens
  const memory = valueHeads * keyWidth * valueWidth
  const inputs = (convolutionWidth - 1) * (2 * keyHeads * keyWidth + valueHeads * valueWidth)
  return layerTypes.reduce((sum, type) => sum + (type === 'attention' ? attentionKeeps : memory + inputs), 0)
}

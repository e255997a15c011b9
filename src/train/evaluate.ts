/** Held-out loss and accuracy. */
import { noGrad } from '../autograd/tape.ts'
import { SluiceError } from '../errors.ts'
import type { Transformer } from '../nn/index.ts'
import { tensor } from '../tensor/create.ts'
import { scope } from '../tensor/tensor.ts'
import type { TokenBatch } from './text.ts'

/** How well a model does on held-out batches. */
export interface Evaluation {
  /** Mean cross-entropy over all counted positions, in nats. */
  loss: number
  /** Share of counted positions whose most likely token is the target. */
  accuracy: number
}

/**
 * Mean loss and accuracy over all counted positions of the batches together, without gradients.
 *
 * @throws SluiceError when no position counts: there are no batches, or all targets are `ignoreIndex`
 *
 * @example
 * const { loss } = await evaluate(model, data.heldOut)
 */
export async function evaluate(
  model: Transformer,
  batches: readonly TokenBatch[],
  options: { ignoreIndex?: number } = {},
): Promise<Evaluation> {
  let loss = 0
  let right = 0
  let counted = 0
  for (const { inputs, targets, B, T } of batches) {
    const asked = targets.reduce((n, target) => n + (target === options.ignoreIndex ? 0 : 1), 0)
    if (asked === 0) continue
    const device = model.device
    const [lossNow, best] = scope(() =>
      noGrad(() => {
        const logits = model.forward(tensor(inputs, { shape: [B, T], device }))
        const wanted = tensor(targets, { shape: [B, T], device })
        return [logits.crossEntropy(wanted, { ignoreIndex: options.ignoreIndex }), logits.argmax(-1)] as const
      }),
    )
    const [value, guesses] = [await lossNow.item(), await best.data()]
    lossNow.dispose()
    best.dispose()
    loss += value * asked
    counted += asked
    targets.forEach((target, i) => {
      if (target !== options.ignoreIndex && guesses[i] === target) right++
    })
  }
  if (counted === 0) throw new SluiceError('evaluate', `no position of the ${batches.length} batches has a target`)
  return { loss: loss / counted, accuracy: right / counted }
}

/** The causal clamp: the loss of a trained model whose gate is held at one value. */
import { noGrad } from '../../autograd/tape.ts'
import { SluiceError } from '../../errors.ts'
import type { Transformer } from '../../nn/index.ts'
import { full, tensor } from '../../tensor/create.ts'
import { scope, type Tensor } from '../../tensor/tensor.ts'
import type { TokenBatch } from '../../train/text.ts'
import { batchLoss } from './loss.ts'

/** What the gate's scores are held at: open, each layer's mean, closed. */
export type ClampValue = 'one' | 'mean' | 'zero'

/** Whether a model has a gate in attention that can be clamped. */
export const hasGate = ({ config }: Transformer): boolean =>
  config.gate !== 'none' && config.layerTypes.includes('attention')

/**
 * The loss with the scores of every gate replaced: if a fixed gate does as well, the gate had nothing to tell apart.
 *
 * The mean is one number a layer: over texts, positions, heads and dimensions of this batch, as the model gates it without a clamp.
 * What 0 does is the operation's: a multiplying gate at G1 leaves attention silent, an adding one leaves it as it is. Delta layers
 * keep their own gate.
 *
 * @throws SluiceError for a model without a gate in attention
 *
 * @example
 * (await clampGate(model, batch, 'mean')) - (await batchLoss(model, batch)) // what the gate's choices are worth, in nats
 */
export async function clampGate(model: Transformer, batch: TokenBatch, to: ClampValue): Promise<number> {
  needGate(model)
  if (to !== 'mean') return clampedLoss(model, batch, () => (to === 'one' ? 1 : 0))
  const means = await meanScores(model, batch)
  return clampedLoss(model, batch, (layer) => means.get(layer)!)
}

/** The losses of all three clamps, and of the model as it is. @throws SluiceError as `clampGate` */
export async function clampLosses(
  model: Transformer,
  batch: TokenBatch,
): Promise<{ none: number; one: number; mean: number; zero: number }> {
  needGate(model)
  return {
    none: await batchLoss(model, batch),
    one: await clampGate(model, batch, 'one'),
    mean: await clampGate(model, batch, 'mean'),
    zero: await clampGate(model, batch, 'zero'),
  }
}

function needGate(model: Transformer): void {
  if (hasGate(model)) return
  const { gate, layerTypes } = model.config
  throw new SluiceError(
    'clampGate',
    `the model has no gate in attention to clamp (gate '${gate === 'none' ? gate : gate.position}', layers ${[...new Set(layerTypes)].join(', ')})`,
  )
}

const clampedLoss = (model: Transformer, batch: TokenBatch, value: (layer: number) => number): Promise<number> =>
  batchLoss(model, batch, {
    gateScores: (_, layer) => full([1, 1, 1, 1], value(layer), { device: model.device }),
  })

/** Mean score by layer. */
async function meanScores(model: Transformer, { inputs, B, T }: TokenBatch): Promise<Map<number, number>> {
  const means: { layer: number; mean: Tensor }[] = []
  scope(() =>
    noGrad(() => {
      model.forward(tensor(inputs, { shape: [B, T], device: model.device }), {
        gateScores: (scores, layer) => {
          means.push({ layer, mean: scores.mean() })
          return scores
        },
      })
      return means
    }),
  )
  const read = new Map<number, number>()
  for (const { layer, mean } of means) {
    read.set(layer, await mean.item())
    mean.dispose()
  }
  return read
}

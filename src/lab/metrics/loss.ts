/** Losses of a model under the options of its forward pass. */
import { noGrad } from '../../autograd/tape.ts'
import type { LossOptions, Transformer } from '../../nn/index.ts'
import { tensor } from '../../tensor/create.ts'
import { scope } from '../../tensor/tensor.ts'
import type { TokenBatch } from '../../train/text.ts'

/** Mean cross-entropy of one batch in nats, without gradients. */
export async function batchLoss(
  model: Transformer,
  { inputs, targets, B, T }: TokenBatch,
  options: LossOptions = {},
): Promise<number> {
  const { device } = model
  const loss = scope(() =>
    noGrad(() =>
      model.loss(tensor(inputs, { shape: [B, T], device }), tensor(targets, { shape: [B, T], device }), options),
    ),
  )
  try {
    return await loss.item()
  } finally {
    loss.dispose()
  }
}

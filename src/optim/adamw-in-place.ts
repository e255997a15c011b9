/**
 * AdamW's step of many parameters in a few launches, in place, on devices that have the fused kernel.
 *
 * What changes at every step (rate and corrections) is uploaded once for all parameters, as a table [slots, 3] that the
 * kernels read; what does not is part of the launch.
 */
import { adamW, MOST_TENSORS } from '../../kernels/fused-optimizer.ts'
import type { Device } from '../device/device.ts'
import { fuses, launchFused } from '../tensor/launch.ts'
import { fromHost, type Tensor } from '../tensor/tensor.ts'
import { type AdamWSettings, correction } from './adamw-update.ts'
import { ownBuffer, runsOf } from './in-place.ts'
import type { Slot } from './optimizer.ts'

/**
 * Moves the parameters that live on devices with the fused kernel.
 *
 * @param slots all of which have gradients
 * @param guard they are left as they are where it is not finite
 * @returns the slots that are left, to be moved one by one
 */
export function adamWInPlace(
  slots: readonly Slot[],
  rate: (slot: Slot) => number,
  settings: AdamWSettings,
  guard?: Tensor,
): readonly Slot[] {
  const left: Slot[] = []
  const onDevice = new Map<Device, Slot[]>()
  for (const slot of slots) {
    const { parameter } = slot
    if (!fuses(adamW[0], parameter)) {
      left.push(slot)
      continue
    }
    const { device } = parameter.storage
    if (!onDevice.has(device)) onDevice.set(device, [])
    // What is empty has nothing to move, and no buffer to bind.
    if (parameter.size > 0) onDevice.get(device)!.push(slot)
  }
  for (const [device, together] of onDevice)
    if (together.length > 0) updateTogether(device, together, rate, settings, guard)
  return left
}

function updateTogether(
  device: Device,
  slots: readonly Slot[],
  rate: (slot: Slot) => number,
  { betas: [beta1, beta2], eps }: AdamWSettings,
  guard: Tensor | undefined,
): void {
  const row = (slot: Slot) => [rate(slot), correction(beta1, slot), correction(beta2, slot)]
  const values = fromHost(() => slots.flatMap(row), [slots.length, 3], device.floatType, device)
  let first = 0
  for (const run of runsOf(slots, MOST_TENSORS)) {
    const updated = run.flatMap(({ parameter, moments: { firstMoment, secondMoment } }) =>
      [parameter, firstMoment, secondMoment].map(ownBuffer),
    )
    const each = run.flatMap(({ parameter, weightDecay }, i) => [
      parameter.grad!,
      parameter.size,
      first + i,
      weightDecay,
    ])
    launchFused(adamW[run.length - 1], updated, [values, guard ?? values, beta1, beta2, eps, ...each])
    first += run.length
  }
}

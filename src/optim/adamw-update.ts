/** AdamW's step of one parameter, by the plain kernels: the definition that the fused kernel is held to. */
import { adamWStep, movingAverage, movingAverageOfSquare } from '../../kernels/optimizer.ts'
import { launchMap } from '../tensor/launch.ts'
import type { Tensor } from '../tensor/tensor.ts'
import type { Slot } from './optimizer.ts'

/** AdamW's settings besides rate and decay. */
export interface AdamWSettings {
  readonly betas: readonly [number, number]
  readonly eps: number
}

/** 1 - beta^t, which undoes the average's start at 0. */
export const correction = (beta: number, { steps }: Slot): number => 1 - beta ** steps

/** One parameter's AdamW step: replaces its moments and gives its next value. */
export function adamWUpdate(
  slot: Slot,
  gradient: Tensor,
  rate: () => number,
  { betas: [beta1, beta2], eps }: AdamWSettings,
): Tensor {
  const { parameter, weightDecay, moments } = slot
  const { firstMoment, secondMoment } = moments
  const { shape } = parameter
  firstMoment.assign(launchMap(movingAverage, shape, [firstMoment, gradient], [beta1]))
  secondMoment.assign(launchMap(movingAverageOfSquare, shape, [secondMoment, gradient], [beta2]))
  const constants = [rate, weightDecay, () => correction(beta1, slot), () => correction(beta2, slot), eps]
  return launchMap(adamWStep, shape, [parameter, firstMoment, secondMoment], constants)
}

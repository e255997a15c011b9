/** The optimizer and the schedule that a configuration asks for. */
import type { Transformer } from '../nn/index.ts'
import {
  AdamW,
  constantSchedule,
  cosineSchedule,
  decayGroups,
  linearSchedule,
  Muon,
  muonGroups,
  type Optimizer,
  type Schedule,
  SGD,
} from '../optim/index.ts'
import type { TrainConfig } from './config.ts'

export function makeOptimizer({ optimizer }: TrainConfig, model: Transformer): Optimizer {
  const { name, learningRate: lr, beta1, beta2, eps, weightDecay, momentum } = optimizer
  const betas = [beta1, beta2] as const
  if (name === 'sgd') return new SGD(decayGroups(model, weightDecay), { lr, momentum })
  if (name === 'adamw') return new AdamW(decayGroups(model, weightDecay), { lr, betas, eps })
  // Muon's rate is for matrices made orthogonal; the rest takes AdamW's, smaller by the customary 3e-3 to 0.02.
  return new Muon(muonGroups(model, weightDecay), { lr, momentum, weightDecay, adamW: { lr: 0.15 * lr, betas, eps } })
}

export function makeSchedule({ schedule, optimizer, steps }: TrainConfig): Schedule {
  const peak = optimizer.learningRate
  const warmup = Math.min(schedule.warmup, steps)
  if (schedule.name === 'constant') return constantSchedule({ peak, warmup })
  const decay = { peak, warmup, total: steps, floor: peak * schedule.floor }
  return schedule.name === 'linear' ? linearSchedule(decay) : cosineSchedule(decay)
}

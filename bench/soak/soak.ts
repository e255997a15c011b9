/** Many steps of training, and what they leave behind. */
import type { Device } from '../../src/device/device.ts'
import { capture, scope } from '../../src/index.ts'
import { Transformer } from '../../src/nn/index.ts'
import { AdamW, decayGroups } from '../../src/optim/index.ts'
import {
  type HashModelName,
  hashBatch,
  hashModel,
  hashModelSizes,
  trainingStep,
  vocabularySize,
} from '../hash-model.ts'
import { type Held, type HeldCounts, type HeldMemory, held, startAll } from './held.ts'

export type SoakMode = 'eager' | 'captured'

/** The smallest model that has attention and the delta rule: 2 layers, C 8, H 2, B 1, T 8. */
const hybrid = { layers: 2, width: 8, heads: 2, B: 1, T: 8 } as const

export type SoakModel = HashModelName | 'hybrid'

export const soakModels = [...Object.keys(hashModelSizes), 'hybrid'] as SoakModel[]

function subject(name: SoakModel, B: number | undefined) {
  const own = name === 'hybrid' ? { ...hybrid, batches: 20, losses: null } : hashModelSizes[name]
  const size = { ...own, B: B ?? own.B }
  const batches = Array.from({ length: 20 }, (_, i) => hashBatch(size, i))
  if (name !== 'hybrid') return { ...hashModel(size), batches }
  const { width, layers, heads, T } = size
  const layerTypes = ['delta', 'attention'] as const
  const model = new Transformer({ vocabularySize, width, layers, layerTypes, heads, contextLength: T })
  return { model, optimizer: new AdamW(decayGroups(model, 0.1), { lr: 1e-3 }), batches }
}

export interface SoakOptions {
  readonly model: SoakModel
  readonly mode: SoakMode
  readonly steps: number
  /** Sequences a step, where the model's own number takes too long. */
  readonly B?: number
  /** Called every thousand steps. */
  readonly progress?: (step: number, loss: number) => void
}

export interface Soaked {
  readonly mode: SoakMode
  readonly steps: number
  /** After this many steps it was first looked at: a tenth, and enough to fill caches. */
  readonly settledStep: number
  readonly settled: Held
  readonly end: Held
  /** Shows that the steps were real. */
  readonly lastLoss: number
  readonly seconds: number
}

/** Trains on the default device, eager or captured, and frees all that it made. */
export async function soak(device: Device, { model: name, mode, steps, B, progress }: SoakOptions): Promise<Soaked> {
  await startAll(device)
  const { model, optimizer, batches } = subject(name, B)
  const body = trainingStep(model, optimizer)
  const program = capture(body)
  const settledStep = Math.min(steps, Math.max(30, Math.ceil(steps / 10)))
  const begun = performance.now()
  let settled: Held | undefined
  let lastLoss = Number.NaN
  for (let step = 1; step <= steps; step++) {
    const { tokens, targets } = batches[step % batches.length]
    const loss = mode === 'captured' ? program(tokens, targets) : scope(() => body(tokens, targets))
    // Read now and then, as training does, and before each look, so that no work is under way.
    if (step % 50 === 0 || step === settledStep || step === steps) lastLoss = await loss.item()
    loss.dispose()
    if (step === settledStep) settled = await held(device)
    if (step % 1000 === 0) progress?.(step, lastLoss)
  }
  const end = await held(device)
  const seconds = (performance.now() - begun) / 1000
  program.dispose()
  optimizer.dispose()
  model.dispose()
  for (const { tokens, targets } of batches) {
    tokens.dispose()
    targets.dispose()
  }
  return { mode, steps, settledStep, settled: settled!, end, lastLoss, seconds }
}

/** The smallest thing that a step can leave on V8's heap: a number or an object without fields, of 2 words. Bytes. */
const smallestLeak = 16

/**
 * What a flat heap grows by, as V8 compiles and notes the types that it sees, in bytes: within the first 1000 steps 2 MB were
 * seen, from step 1500 to 2750 another 280 kB, ever fewer. Twice as much is allowed.
 */
const compiled = ({ settledStep }: Soaked): number => (settledStep < 2000 ? 4e6 : 560e3)

/** What heap and memory outside of it may grow by. Bytes. */
export const memoryBound = (soaked: Soaked): number =>
  compiled(soaked) + smallestLeak * (soaked.steps - soaked.settledStep)

/** What became more, in words; empty where everything is flat. */
export function growth(soaked: Soaked): string[] {
  const { settled, end } = soaked
  const counts = Object.entries(end.counts).flatMap(([name, after]) => {
    const before = settled.counts[name as keyof HeldCounts]
    const isFlat = typeof after === 'number' ? after <= Number(before) : after === before
    return isFlat ? [] : [`${name}: ${before}, then ${after}`]
  })
  const memory = Object.entries(end.memory ?? {}).flatMap(([name, after]) => {
    const more = after - settled.memory![name as keyof HeldMemory]
    return more <= memoryBound(soaked) ? [] : [`${name}: ${more} bytes more`]
  })
  return [...counts, ...memory]
}

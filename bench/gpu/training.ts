/** The training step of `hash-model.ts` on a GPU: forward, backward, AdamW, eager and captured, and its profile. */
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { capture, noGrad, scope, type Tensor } from '../../src/index.ts'
import { type HashModelSize, hashBatch, hashModel, trainingStep } from '../hash-model.ts'
import { median } from '../median.ts'
import { difference } from './profile.ts'
import type { ProfileRecord, StepRecord } from './records.ts'

/** Milliseconds that a round of steps lasts at least. */
const ROUND = 300
const ROUNDS = 5

interface Training {
  /** Runs n steps, the batches taking turns, and waits for them; milliseconds. */
  readonly run: (steps: number) => Promise<number>
  readonly loss0: number
  readonly lossAfterK: number
  readonly dispose: () => void
}

/** A model made new, with its first K steps behind it. */
async function begin(device: WebGpuDevice, size: HashModelSize, way: 'eager' | 'captured'): Promise<Training> {
  const { model, optimizer } = hashModel(size)
  const batches = Array.from({ length: size.batches }, (_, step) => hashBatch(size, step))
  const body = trainingStep(model, optimizer)
  const program = capture(body)
  let next = 0
  const step = (): Tensor => {
    const { tokens, targets } = batches[next++ % batches.length]
    return way === 'captured' ? program(tokens, targets) : scope(() => body(tokens, targets))
  }
  const run = async (steps: number) => {
    const start = performance.now()
    for (let i = 0; i < steps; i++) step().dispose()
    await device.finish()
    return performance.now() - start
  }
  const read = async (loss: Tensor) => {
    const value = await loss.item()
    loss.dispose()
    return value
  }
  const loss0 = await read(step())
  await run(size.batches - 1)
  const lossAfterK = await read(scope(() => noGrad(() => model.loss(batches[0].tokens, batches[0].targets))))
  return {
    run,
    loss0,
    lossAfterK,
    dispose: () => {
      program.dispose()
      optimizer.dispose()
      model.dispose()
      for (const { tokens, targets } of batches) {
        tokens.dispose()
        targets.dispose()
      }
    },
  }
}

/** Times the steps of one model. `quick` measures one round of few steps. */
export async function measureTraining(
  device: WebGpuDevice,
  name: string,
  size: HashModelSize,
  way: 'eager' | 'captured',
  round: number,
  quick: boolean,
): Promise<StepRecord> {
  const { run, loss0, lossAfterK, dispose } = await begin(device, size, way)
  try {
    await run(1)
    const steps = quick ? 3 : Math.max(1, Math.ceil(ROUND / ((await run(2)) / 2)))
    const times: number[] = []
    for (let i = 0; i < (quick ? 1 : ROUNDS); i++) times.push((await run(steps)) / steps)
    const milliseconds = median(times)
    return {
      engine: 'sluice',
      round,
      section: 'steps',
      row: name,
      way,
      batch: size.B,
      milliseconds,
      tokensPerSecond: (1e3 * size.B * size.T) / milliseconds,
      loss0,
      lossAfterK,
      K: size.batches,
    }
  } finally {
    dispose()
  }
}

/** One captured step by kernel; a string says why there is none. */
export async function profileTraining(
  device: WebGpuDevice,
  name: string,
  size: HashModelSize,
  round: number,
): Promise<ProfileRecord | string> {
  if (!device.profiler?.isTiming) return 'this device takes no timestamps'
  const { run, dispose } = await begin(device, size, 'captured')
  try {
    await run(2)
    const before = await device.profiler.table()
    await run(1)
    const kernels = difference(before, await device.profiler.table())
    const milliseconds = kernels.reduce((sum, row) => sum + row.milliseconds, 0)
    return { engine: 'sluice', round, section: 'profile', row: name, milliseconds, kernels }
  } finally {
    dispose()
  }
}

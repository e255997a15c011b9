/** Runs small enough that a test can train dozens, and what tests compare of them. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { readCheckpoint } from '../../src/train/checkpoint.ts'
import type { Progress, TrainOptions, TrainResult } from '../../src/train/trainer.ts'
import { train } from '../../src/train/trainer.ts'

/** 26 characters, over and over: a model that reads them learns what comes next. */
export const alphabet = 'abcdefghijklmnopqrstuvwxyz'.repeat(40)

type Settings = { data?: object; model?: object; optimizer?: object } & Record<string, unknown>

/** 16 wide, 1 layer, contexts of 8. */
export function smallConfig({ data, model, optimizer, ...rest }: Settings = {}) {
  return {
    batchSize: 2,
    contextLength: 8,
    steps: 6,
    evaluateEvery: 3,
    evaluationBatches: 2,
    checkpointEvery: 3,
    schedule: { warmup: 2 },
    ...rest,
    data: { ...data },
    model: { width: 16, layers: 1, heads: 2, feedForwardWidth: 16, ...model },
    optimizer: { learningRate: 0.01, ...optimizer },
  }
}

/** A copying task of 8 positions. */
export const copyTask = {
  task: 'copy',
  taskOptions: { vocabularySize: 5, sequenceLength: 8, copyLength: 2 },
}

/** An empty folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Trains until `step` is done and stops there as Ctrl-C does, between two steps. */
export function trainUntil(step: number, options: TrainOptions): Promise<TrainResult> {
  const controller = new AbortController()
  return train({
    ...options,
    signal: controller.signal,
    onStep(progress: Progress) {
      options.onStep?.(progress)
      // Where the event loop would bring a signal: after the step has been dealt with.
      if (progress.step === step) setImmediate(() => controller.abort())
    },
  })
}

/** All that is left of a run but times: the weights' bits, the log, and what the checkpoint holds. */
export async function remains({ model, log, checkpoint }: TrainResult) {
  const bits = (data: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')
  const weights = [...(await model.stateDict())].map(([name, { data }]) => [name, bits(data)])
  const saved = checkpoint === undefined ? undefined : await readCheckpoint(checkpoint)
  return {
    weights: Object.fromEntries(weights),
    log: log.map(({ seconds, ...entry }) => entry),
    step: saved?.step,
    tensors: saved && Object.fromEntries([...saved.tensors].map(([name, { data }]) => [name, bits(data)])),
    generator: saved?.generator,
  }
}

export const checkpointNames = async (folder: string): Promise<string[]> =>
  (await readdir(join(folder, 'checkpoints'))).sort()

/** What a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: Error) => error,
  )
}

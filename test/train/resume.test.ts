/** Resuming: a run that was stopped, crashed or met a full disk ends with the bits of one that was never disturbed. */
import { appendFile, copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { SluiceError } from '../../src/errors.ts'
import { type CheckpointFiles, nodeFiles, readCheckpoint, writeCheckpoint } from '../../src/train/checkpoint.ts'
import { loadRun } from '../../src/train/load.ts'
import { type TrainOptions, type TrainResult, train } from '../../src/train/trainer.ts'
import {
  alphabet,
  checkpointNames,
  copyTask,
  failure,
  remains,
  smallConfig,
  temporaryFolder,
  trainUntil,
} from './small-run.ts'

/** A run's remains, with its model freed. */
async function left(result: Promise<TrainResult>) {
  const done = await result
  const remaining = await remains(done)
  done.model.dispose()
  return remaining
}

const logLines = async (folder: string) =>
  (await readFile(join(folder, 'log.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { step: number })

describe('a run stopped after any step, once or several times, and resumed', () => {
  const data = { text: {}, task: copyTask }
  const cases = (['adamw', 'muon', 'sgd'] as const).flatMap((name) =>
    (['text', 'task'] as const).map((kind) => [name, kind] as const),
  )

  it.each(cases)('ends with the bits of one that was not: %s on a %s', async (name, kind) => {
    const text = kind === 'text' ? alphabet : undefined
    const config = smallConfig({ data: data[kind], optimizer: { name }, model: { dropout: 0.2 }, steps: 7 })
    const whole = await left(train({ text, config, folder: await temporaryFolder() }))
    // Stopping is at most after step 6; the property is over where and how often.
    const stops = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(stops, async (steps) => {
        const folder = await temporaryFolder()
        const options: TrainOptions = { text, config, folder }
        for (const [i, step] of steps.sort((a, b) => a - b).entries()) {
          const resume = i > 0
          const signal = step === 0 ? AbortSignal.abort() : undefined
          const run = signal ? train({ ...options, signal }) : trainUntil(step, { ...options, resume })
          const { model, heldOut, checkpoint, ...stopped } = await run
          model.dispose()
          expect([stopped.step, heldOut]).toEqual([step, undefined])
          expect((await readCheckpoint(checkpoint!)).step).toBe(step)
          expect((await logLines(folder)).map((line) => line.step)).toEqual(
            Array.from({ length: step }, (_, k) => k + 1),
          )
        }
        expect(await left(train({ ...options, config: undefined, resume: true }))).toEqual(whole)
      }),
      { numRuns: 5, seed: 1 },
    )
  })

  it('finds every step before a checkpoint in the log, for the log is written first', async () => {
    const folder = await temporaryFolder()
    const logged: number[] = []
    const files: CheckpointFiles = {
      ...nodeFiles,
      async create(path) {
        logged.push((await logLines(folder)).length)
        return nodeFiles.create(path)
      },
    }
    await train({ text: alphabet, config: smallConfig({ steps: 6, checkpointEvery: 2 }), folder, files })
    expect(logged).toEqual([2, 4, 6])
  })

  it('keeps its time and speed', async () => {
    const folder = await temporaryFolder()
    const options = { text: alphabet, config: smallConfig(), folder }
    const first = await trainUntil(4, options)
    const second = await train({ ...options, resume: true })
    expect(second.seconds).toBeGreaterThan(first.seconds)
    expect(second.tokensPerSecond).toBeCloseTo((6 * 16) / second.seconds, 6)
    const third = await train({ ...options, resume: true })
    expect([third.seconds, third.tokensPerSecond]).toEqual([second.seconds, second.tokensPerSecond])
    // Nothing was left to do, and nothing else came out.
    expect([await remains(third), third.heldOut]).toEqual([await remains(second), second.heldOut])
    for (const { model } of [first, second, third]) model.dispose()
  })

  it('goes further when it is asked to, and only that may change', async () => {
    const folder = await temporaryFolder()
    const config = smallConfig({ steps: 3, schedule: { name: 'constant', warmup: 2 } })
    await left(train({ text: alphabet, config, folder }))
    const further = await left(train({ text: alphabet, folder, resume: true, config: { steps: 6 } }))
    // A constant schedule does not know how far it goes; held-out losses come every 3 steps in both.
    expect(further).toEqual(
      await left(train({ text: alphabet, config: { ...config, steps: 6 }, folder: await temporaryFolder() })),
    )
    const again = (given: TrainOptions) => failure(train({ text: alphabet, folder, resume: true, ...given }))
    expect((await again({ config: { ...config, seed: 2 } })).message).toContain(
      'keeps its configuration, but seed differs',
    )
    expect((await again({ config: { steps: 5 } })).message).toContain('has done 6 steps already, more than 5')
    expect((await again({ text: `${alphabet}abc` })).message).toContain(
      'the text has changed since the run began (1040 tokens then, 1043 now)',
    )
    expect((await again({ text: undefined })).message).toContain('a program gave this run its text')
    expect((await again({ folder: undefined })).message).toContain('resume needs the folder of the run')
  })
})

describe('a checkpoint file', () => {
  it('can be gone on from in a folder of its own, or in none', async () => {
    const [folder, elsewhere] = [await temporaryFolder(), await temporaryFolder()]
    const options = { text: alphabet, config: smallConfig({ model: { dropout: 0.2 } }) }
    const whole = await left(train({ ...options, folder }))
    const resume = join(folder, 'checkpoints', 'step-000003.safetensors')
    const there = await left(train({ ...options, folder: elsewhere, resume }))
    expect(there).toEqual({ ...whole, log: whole.log.slice(3) })
    expect(await checkpointNames(elsewhere)).toEqual(['step-000006.safetensors'])
    const nowhere = await left(train({ ...options, resume }))
    expect(nowhere.weights).toEqual(whole.weights)
    const taken = await failure(train({ ...options, folder: elsewhere, resume }))
    expect(taken.message).toContain('already holds the checkpoints of a run')
  })

  it('that is an earlier one of the run leaves the later ones behind', async () => {
    const folder = await temporaryFolder()
    const options = { text: alphabet, config: smallConfig({ steps: 9, checkpointEvery: 3 }), folder }
    const whole = await left(train(options))
    const resume = join(folder, 'checkpoints', 'step-000006.safetensors')
    await trainUntil(7, { ...options, resume }).then(({ model }) => model.dispose())
    // Else the next resume would go on from step 9 of another session.
    expect(await checkpointNames(folder)).toEqual(['step-000006.safetensors', 'step-000007.safetensors'])
    expect(await left(train({ ...options, resume: true }))).toEqual(whole)
  })

  it('that is not of a training run is refused', async () => {
    const folder = await temporaryFolder()
    const checkpoint = { step: 1, tensors: new Map(), config: { rate: 1 }, generator: null }
    const path = await writeCheckpoint(join(folder, 'checkpoints'), checkpoint)
    for (const attempt of [() => train({ folder, resume: true }), () => loadRun(folder)]) {
      const error = await failure(attempt())
      expect(error).toBeInstanceOf(SluiceError)
      expect(error.message).toContain('is a checkpoint, but not one of a training run')
      expect(error.message).toContain(path.slice(0, -'/step-000001.safetensors'.length))
    }
  })
})

it('a run that was stopped before its first checkpoint is begun again, and --resume says so', async () => {
  const folder = join(await temporaryFolder(), 'run')
  const options = { text: alphabet, config: smallConfig(), folder }
  const message = async () => (await failure(train({ ...options, resume: true }))).message
  expect(await message()).toContain(`train: there is no folder ${folder}, so no run to resume`)
  await mkdir(folder)
  const begun = `train: ${folder} holds no checkpoint: a run that was stopped before its first one is begun again, not resumed`
  expect(await message()).toContain(begun)
  await mkdir(join(folder, 'checkpoints'))
  await writeFile(join(folder, 'checkpoints', 'step-000003.safetensors.partial'), 'half')
  await writeFile(join(folder, 'log.jsonl'), '{"step":1}\n')
  expect(await message()).toContain(begun)
  const { log } = await left(train(options))
  expect(log.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6])
  expect(await checkpointNames(folder)).toEqual(['step-000003.safetensors', 'step-000006.safetensors'])
})

describe('damage', () => {
  it('of the newest checkpoint is refused, and the one before it is named and works', async () => {
    const folder = await temporaryFolder()
    const options = { text: alphabet, config: smallConfig({ model: { dropout: 0.1 } }), folder }
    const whole = await left(train(options))
    const [previous, newest] = (await checkpointNames(folder)).map((name) => `${folder}/checkpoints/${name}`)
    const bytes = await readFile(newest)
    bytes[bytes.length - 5] ^= 1
    await writeFile(newest, bytes)
    const before = findDevice('cpu').statistics()
    const error = await failure(train({ ...options, resume: true }))
    expect(error.message).toContain(`${newest} cannot be used`)
    expect(error.message).toContain(`resume from ${previous}`)
    expect((await failure(loadRun(folder))).message).toContain(`resume from ${previous}`)
    expect(findDevice('cpu').statistics()).toEqual(before)
    expect(await left(train({ ...options, resume: previous }))).toEqual(whole)
    // The damaged file was replaced.
    expect(await left(train({ ...options, resume: true }))).toEqual(whole)
  })

  it('of the log by a crash loses only what came after the checkpoint', async () => {
    const folder = await temporaryFolder()
    const options = { text: alphabet, config: smallConfig(), folder }
    const { log } = await left(train(options))
    await trainUntil(4, { ...options, overwrite: true }).then(({ model }) => model.dispose())
    const path = join(folder, 'log.jsonl')
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
    const fifth = JSON.stringify({ ...log[4], loss: 99 })
    await appendFile(path, `${fifth}\n${fifth.slice(0, 20)}`)
    const result = await train({ ...options, resume: true })
    expect((await remains(result)).log).toEqual(log)
    const after = (await readFile(path, 'utf8')).trimEnd().split('\n')
    expect(after.slice(0, 4)).toEqual(lines)
    expect(after.map((line) => JSON.parse(line))).toEqual(result.log)
    result.model.dispose()
  })

  it('by a weight that is NaN stops at the next step, which names it, and the folder stays as it was', async () => {
    const folder = await temporaryFolder()
    const options = { text: alphabet, config: smallConfig(), folder }
    await trainUntil(2, options).then(({ model }) => model.dispose())
    const saved = await readCheckpoint(join(folder, 'checkpoints'))
    const planted = [...saved.tensors.keys()].find((key) => key.startsWith('model.layers.0.feedForward.'))!
    const tensors = new Map(saved.tensors)
    const { data, ...rest } = tensors.get(planted)!
    const values = data.slice()
    values[3] = Number.NaN
    tensors.set(planted, { ...rest, data: values })
    const path = await writeCheckpoint(join(folder, 'checkpoints'), { ...saved, tensors })
    const bytes = await readFile(path)
    const error = await failure(train({ ...options, resume: true }))
    expect(error.message).toContain('step 3: the loss is NaN')
    expect(error.message).toContain(`the value of ${planted.slice('model.'.length)} is the first that is not finite`)
    expect(error.message).toContain(`the weights were not updated; the last checkpoint is ${path}`)
    expect(await checkpointNames(folder)).toEqual(['step-000002.safetensors'])
    expect(await readFile(path)).toEqual(bytes)
  })
})

describe('a full disk', () => {
  /** Node's files, whose writes fail from the `nth` on after half of the bytes. */
  function fullAfter(nth: number): CheckpointFiles {
    let writes = 0
    return {
      ...nodeFiles,
      async create(path) {
        const file = await nodeFiles.create(path)
        return {
          ...file,
          async write(bytes) {
            if (++writes < nth) return file.write(bytes)
            await file.write(bytes.subarray(0, bytes.length / 2))
            throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
          },
        }
      },
    }
  }

  it.each([1, 2, 3])('at save %i says so, and costs no more than the steps since the last', async (nth) => {
    const folder = await temporaryFolder()
    const options = { text: alphabet, config: smallConfig({ steps: 6, checkpointEvery: 2, model: { dropout: 0.2 } }) }
    const whole = await left(train({ ...options, folder: await temporaryFolder() }))
    const before = findDevice('cpu').statistics()
    const error = await failure(train({ ...options, folder, files: fullAfter(nth) }))
    expect(error).toBeInstanceOf(SluiceError)
    const kept =
      nth === 1 ? 'there is no earlier checkpoint' : `step-00000${2 * (nth - 1)}.safetensors is kept as it was`
    expect(error.message).toContain('writing failed: ENOSPC: no space left on device, write')
    expect(error.message).toContain(kept)
    expect(findDevice('cpu').statistics()).toEqual(before)
    const names = await readdir(join(folder, 'checkpoints'))
    expect(names.sort()).toEqual([2, 4].slice(0, nth - 1).map((step) => `step-00000${step}.safetensors`))
    expect(await logLines(folder)).toHaveLength(2 * nth)
    expect(await left(train({ ...options, folder, resume: nth > 1, overwrite: nth === 1 }))).toEqual(whole)
  })
})

it('a run is loaded as it was trained, without moving the random numbers of the program', async () => {
  const folder = await temporaryFolder()
  const result = await train({ text: alphabet, config: smallConfig(), folder })
  const { model, tokenizer, config, step } = await loadRun(`${folder}/`)
  expect(await model.stateDict()).toEqual(await result.model.stateDict())
  expect([tokenizer!.toJSON(), config, step]).toEqual([
    result.data.tokenizer!.toJSON(),
    JSON.parse(JSON.stringify(result.config)),
    6,
  ])
  const copy = join(await temporaryFolder(), 'mine.safetensors')
  await copyFile(result.checkpoint!, copy)
  const again = await loadRun(copy)
  expect(await again.model.stateDict()).toEqual(await model.stateDict())
  for (const each of [model, result.model, again.model]) each.dispose()
  expect((await failure(loadRun(`${folder}/nothing`))).message).toContain('cannot be listed')
})

/** Training: it learns, repeats itself bit for bit, stops when it diverges, and leaves nothing behind. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { SluiceError } from '../../src/errors.ts'
import { defaultGenerator, manualSeed, rand } from '../../src/index.ts'
import { Optimizer } from '../../src/optim/index.ts'
import { trainConfig } from '../../src/train/config.ts'
import { loadData } from '../../src/train/data.ts'
import { evaluate } from '../../src/train/evaluate.ts'
import { type TrainOptions, train } from '../../src/train/trainer.ts'
import { alphabet, checkpointNames, copyTask, failure, remains, smallConfig, temporaryFolder } from './small-run.ts'

const statistics = () => findDevice('cpu').statistics()

afterEach(() => {
  vi.restoreAllMocks()
})

/** The run's remains, with its model freed. */
async function trained(options: TrainOptions) {
  const result = await train(options)
  const left = await remains(result)
  result.model.dispose()
  return { ...left, result }
}

describe('a run', () => {
  it('learns a text that repeats itself', async () => {
    const config = smallConfig({ steps: 120, batchSize: 4, evaluateEvery: 60 })
    const { result } = await trained({ text: alphabet, config })
    const { log, heldOut } = result
    // An untrained model spreads its guess over 26 characters.
    expect(log[0].loss).toBeGreaterThan(0.9 * Math.log(26))
    expect(log.at(-1)!.loss).toBeLessThan(0.3)
    expect(heldOut!.loss).toBeLessThan(0.3)
    expect(heldOut!.accuracy).toBeGreaterThan(0.95)
  })

  it('learns a generated task', async () => {
    const config = smallConfig({ steps: 150, batchSize: 16, data: copyTask, evaluateEvery: 1000 })
    const { result } = await trained({ config })
    expect(result.data.tokenizer).toBeUndefined()
    expect(result.heldOut!.loss).toBeLessThan(0.5 * result.log[0].loss)
  })

  it('writes a line a step, with held-out losses every so often and at the end', async () => {
    const folder = join(await temporaryFolder(), 'run')
    const seen: number[] = []
    const config = smallConfig({ steps: 5, evaluateEvery: 2 })
    const result = await train({ text: alphabet, config, folder, onStep: ({ step }) => seen.push(step) })
    const lines = (await readFile(join(folder, 'log.jsonl'), 'utf8')).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual(result.log)
    expect(seen).toEqual([1, 2, 3, 4, 5])
    expect(result.log.map(({ step }) => step)).toEqual(seen)
    expect(result.log.flatMap(({ step, heldOutLoss }) => (heldOutLoss === undefined ? [] : [step]))).toEqual([2, 4, 5])
    const held = await evaluate(result.model, result.data.heldOut)
    expect(result.heldOut).toEqual(held)
    expect(result.log[4]).toMatchObject({ heldOutLoss: held.loss, heldOutAccuracy: held.accuracy })
    // Warm-up of 2 steps to the peak of 0.01, then a cosine to a tenth of it at step 5.
    const cosine = (u: number) => 0.001 + 0.009 * (0.5 + 0.5 * Math.cos(Math.PI * u))
    const rates = [0.01 / 3, 0.02 / 3, 0.01, cosine(1 / 3), cosine(2 / 3)]
    result.log.forEach(({ learningRate, norm, seconds }, i) => {
      expect(learningRate).toBeCloseTo(rates[i], 12)
      expect(norm).toBeGreaterThan(0)
      expect(seconds).toBeGreaterThan(i === 0 ? 0 : result.log[i - 1].seconds)
    })
    expect(await checkpointNames(folder)).toEqual(['step-000003.safetensors', 'step-000005.safetensors'])
    expect(result.checkpoint).toBe(`${folder}/checkpoints/step-000005.safetensors`)
    // 5 steps of 2 rows of 8 tokens.
    expect(result.tokensPerSecond).toBeCloseTo(80 / result.seconds, 6)
    result.model.dispose()
  })

  it('of no steps is evaluated and saved', async () => {
    const folder = join(await temporaryFolder(), 'run')
    const { result, step, log } = await trained({ text: alphabet, config: smallConfig({ steps: 0 }), folder })
    expect(log).toEqual([])
    expect([step, result.step, result.seconds, result.tokensPerSecond]).toEqual([0, 0, 0, 0])
    expect(result.heldOut!.loss).toBeGreaterThan(0.9 * Math.log(26))
    expect(await readFile(join(folder, 'log.jsonl'), 'utf8')).toBe('')
  })

  it('goes without clipping when clip is null', async () => {
    const loose = await trained({ text: alphabet, config: smallConfig({ clip: null }) })
    const wide = await trained({ text: alphabet, config: smallConfig({ clip: 1e6 }) })
    const tight = await trained({ text: alphabet, config: smallConfig({ clip: 1e-3, optimizer: { name: 'sgd' } }) })
    const sgd = await trained({ text: alphabet, config: smallConfig({ clip: null, optimizer: { name: 'sgd' } }) })
    // A scale of min(1, 1e6 / (norm + 1e-6)) is 1 and changes no bit.
    expect(loose).toMatchObject({ weights: wide.weights, log: wide.log })
    expect(sgd.weights).not.toEqual(tight.weights)
    // The norm in the log is that before clipping.
    expect(tight.log[0].norm).toBe(sgd.log[0].norm)
  })
})

describe('the seed', () => {
  const config = smallConfig({ model: { dropout: 0.2 }, seed: 5 })

  it('fixes every bit, and another gives others', async () => {
    const first = await trained({ text: alphabet, config })
    const again = await trained({ text: alphabet, config })
    const other = await trained({ text: alphabet, config: { ...config, seed: 6 } })
    expect(again.weights).toEqual(first.weights)
    expect(again.log).toEqual(first.log)
    expect(other.weights).not.toEqual(first.weights)
    expect(other.log[0].loss).not.toBe(first.log[0].loss)
  })

  it('fixes them whatever else draws random numbers, which are not disturbed either', async () => {
    const alone = await trained({ text: alphabet, config })
    manualSeed(9)
    const expected = rand([3])
    manualSeed(9)
    const drawn = rand([3])
    manualSeed(9)
    const before = defaultGenerator.state
    const [one, two] = await Promise.all([
      trained({ text: alphabet, config }),
      trained({ text: alphabet, config: { ...config, seed: 6 }, onStep: () => void rand([2]).dispose() }),
    ])
    expect(one.weights).toEqual(alone.weights)
    expect(two.weights).not.toEqual(alone.weights)
    expect(defaultGenerator.state).toEqual({ ...before, draws: before.draws + 6 })
    expect(await drawn.data()).toEqual(await expected.data())
    for (const t of [expected, drawn]) t.dispose()
  })

  it('gives the gated and the ungated twin the same batches in the same order', async () => {
    for (const data of [{}, copyTask]) {
      const twins = ['elementwise', 'none'].map((gate) => smallConfig({ data, model: { gate, dropout: 0.1 } }))
      const text = data === copyTask ? undefined : alphabet
      const [gated, ungated] = await Promise.all(twins.map((config) => loadData(trainConfig(config), text)))
      expect(gated.heldOut).toEqual(ungated.heldOut)
      const order = Array.from({ length: 6 }, () => gated.next())
      expect(Array.from({ length: 6 }, () => ungated.next())).toEqual(order)
      expect(order[1]).not.toEqual(order[0])
      // After the same steps both runs stand at the same place of that order.
      for (const config of twins) {
        const { result } = await trained({ text, config })
        expect(result.data.heldOut).toEqual(gated.heldOut)
        expect(result.data.generator.state).toEqual(gated.generator.state)
      }
    }
  })
})

describe('memory', () => {
  it.each(['adamw', 'muon', 'sgd'])('does not grow with the steps of %s, and all of it comes back', async (name) => {
    const before = statistics()
    const counts = new Map<number, { buffers: number; bytes: number }>()
    const config = smallConfig({ steps: 61, optimizer: { name }, model: { dropout: 0.1 }, evaluateEvery: 10 })
    const folder = join(await temporaryFolder(), 'run')
    const options = { text: alphabet, config, folder }
    const result = await train({ ...options, onStep: ({ step }) => counts.set(step, statistics()) })
    expect(counts.get(60)).toEqual(counts.get(20))
    expect(counts.get(60)).toEqual(counts.get(1))
    expect(statistics().buffers).toBeGreaterThan(before.buffers)
    result.model.dispose()
    expect(statistics()).toEqual(before)
  })

  it('comes back from runs that fail', async () => {
    const before = statistics()
    const folder = join(await temporaryFolder(), 'run')
    const config = smallConfig()
    await failure(train({ text: alphabet, config: { ...config, optimizer: { learningRate: 1e30 } } }))
    await failure(train({ text: alphabet, config: smallConfig({ model: { heads: 3 } }) }))
    const stop = () => {
      throw new Error('enough')
    }
    expect((await failure(train({ text: alphabet, config, folder, onStep: stop }))).message).toBe('enough')
    expect(statistics()).toEqual(before)
    // What was logged until then is on the disk.
    expect((await readFile(join(folder, 'log.jsonl'), 'utf8')).split('\n')).toHaveLength(2)
  })
})

describe('a run that diverges', () => {
  const config = smallConfig({
    steps: 40,
    checkpointEvery: 1,
    schedule: { warmup: 0 },
    optimizer: { learningRate: 1e20 },
  })

  it('stops before the update, names step and parameter, and keeps the last checkpoint', async () => {
    const folder = join(await temporaryFolder(), 'run')
    const updates = vi.spyOn(Optimizer.prototype, 'step')
    const steps: number[] = []
    const error = await failure(train({ text: alphabet, config, folder, onStep: ({ step }) => steps.push(step) }))
    expect(error).toBeInstanceOf(SluiceError)
    const done = steps.length
    expect(updates).toHaveBeenCalledTimes(done)
    const last = `${folder}/checkpoints/step-${String(done).padStart(6, '0')}.safetensors`
    expect(error.message).toMatch(
      /^train: step \d+: the loss is \S+ and the gradient's norm \S+; the (value|gradient) of [\w.]+ is the first that is not finite; the weights were not updated; the last checkpoint is /,
    )
    expect(error.message).toContain(`step ${done + 1}: `)
    expect(error.message).toContain(`the last checkpoint is ${last}. Try a lower learning rate`)
    expect(existsSync(last)).toBe(true)
    expect((await readFile(join(folder, 'log.jsonl'), 'utf8')).trimEnd().split('\n')).toHaveLength(done)
    // The checkpoint is of the weights before: going on from it comes to the same step in the same words.
    const again = await failure(train({ text: alphabet, folder, resume: true }))
    expect(again.message.replace(/ \(at .*/, '')).toBe(error.message.replace(/ \(at .*/, ''))
  })

  it('says so when there is no checkpoint', async () => {
    const error = await failure(train({ text: alphabet, config }))
    expect(error.message).toContain('the weights were not updated; there is no checkpoint yet')
  })

  it('is no success when the last update broke the weights', async () => {
    const folder = join(await temporaryFolder(), 'run')
    const broken = vi.spyOn(Optimizer.prototype, 'step').mockImplementation(function (this: Optimizer) {
      const parameter = this.parameters.find(({ label }) => label === 'norm.weight')!
      findDevice('cpu').write(parameter.storage.buffer, new Float32Array(parameter.size).fill(Number.NaN))
    })
    const once = smallConfig({ steps: 1 })
    const atEnd = await failure(train({ text: alphabet, config: once, folder }))
    expect(atEnd.message).toContain('step 1: the held-out loss is NaN; the value of norm.weight is the first')
    const between = await failure(train({ text: alphabet, config: { ...once, steps: 5, checkpointEvery: 1 }, folder }))
    expect(between.message).toContain(
      'step 1: the weights are no longer finite; the value of norm.weight is the first that is not finite; no checkpoint was written',
    )
    expect(broken).toHaveBeenCalledTimes(2)
    expect(existsSync(join(folder, 'checkpoints'))).toBe(false)
  })
})

describe('what is wrong from the start', () => {
  const words: [string, TrainOptions, string][] = [
    ['no text and no task', {}, 'there is nothing to learn from'],
    ['a missing text', { config: smallConfig({ data: { text: 'no/such.txt' } }) }, 'there is no file no/such.txt'],
    ['an empty text', { text: '' }, 'the text is empty'],
    ['a text shorter than one context', { text: 'abc'.repeat(20) }, 'needs 65 of each'],
    [
      'too little to train on',
      { text: 'abc'.repeat(100), config: { data: { heldOutShare: 0.9 } } },
      '29 tokens to train on and 271 held out, a contextLength of 64 needs 65 of each',
    ],
    ['an unknown key', { text: alphabet, config: { stesp: 1 } }, 'unknown key stesp; the nearest is steps'],
    ["an unknown key of the model's", { text: alphabet, config: { model: { widht: 8 } } }, "did you mean 'width'?"],
    ["a wrong value of the model's", { text: alphabet, config: { model: { width: 8, heads: 3 } } }, 'width 8'],
    ['an unknown task', { config: { data: { task: 'coyp' } } }, "there is no task 'coyp'; the nearest is copy"],
    [
      'an unknown option of a task',
      { config: { data: { task: 'copy', taskOptions: { length: 3 } } } },
      'copy: unknown option length',
    ],
    ['a device that does not exist', { text: alphabet, device: 'tpu' }, "there is no device 'tpu'"],
    ['nothing to resume', { resume: true, text: alphabet }, '/run, so no run to resume'],
  ]

  it.each(words)('%s: is said, and no folder is left behind', async (_what, options, message) => {
    const parent = await temporaryFolder()
    const folder = join(parent, 'run')
    const error = await failure(train({ ...options, folder }))
    expect(error).toBeInstanceOf(SluiceError)
    expect(error.message).toContain(message)
    expect(existsSync(folder)).toBe(false)
  })

  it('a text that is no UTF-8, or a folder', async () => {
    const parent = await temporaryFolder()
    const [folder, text] = [join(parent, 'run'), join(parent, 'text.txt')]
    await writeFile(text, Buffer.from([0x61, 0xff, 0x62]))
    const config = (path: string) => smallConfig({ data: { text: path } })
    const error = await failure(train({ config: config(text), folder }))
    expect(error.message).toContain('is not UTF-8: byte 0xff at position 1')
    expect((await failure(train({ config: config(parent), folder }))).message).toContain('is a folder')
    expect(existsSync(folder)).toBe(false)
  })

  it('a folder that is a file', async () => {
    const folder = join(await temporaryFolder(), 'run')
    await writeFile(folder, 'mine')
    const error = await failure(train({ text: alphabet, config: smallConfig(), folder }))
    expect(error).toBeInstanceOf(SluiceError)
    expect(error.message).toContain(`the log ${folder}/log.jsonl cannot be written`)
    expect(await readFile(folder, 'utf8')).toBe('mine')
  })

  it('a folder with the checkpoints of a run, which only overwrite replaces, and only when all else is right', async () => {
    const folder = join(await temporaryFolder(), 'run')
    const config = smallConfig()
    const first = await trained({ text: alphabet, config, folder })
    await mkdir(join(folder, 'checkpoints'), { recursive: true })
    await writeFile(join(folder, 'checkpoints', 'notes.txt'), 'mine')
    const names = await checkpointNames(folder)
    const refused = await failure(train({ text: alphabet, config: { ...config, seed: 2 }, folder }))
    expect(refused.message).toContain(`${folder} already holds the checkpoints of a run; resume it`)
    const wrong = await failure(train({ text: 'abc', config, folder, overwrite: true }))
    expect(wrong.message).toContain('give more text')
    expect(await checkpointNames(folder)).toEqual(names)
    const second = await trained({ text: alphabet, config: { ...config, steps: 2, seed: 2 }, folder, overwrite: true })
    expect(second.weights).not.toEqual(first.weights)
    expect(await checkpointNames(folder)).toEqual(['notes.txt', 'step-000002.safetensors'])
    expect((await readFile(join(folder, 'log.jsonl'), 'utf8')).trimEnd().split('\n')).toHaveLength(2)
  })
})

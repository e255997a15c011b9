/** The lab's engine, spoken to as the page does, without a browser. */
import { afterEach, describe, expect, test } from 'vitest'
import { Engine } from '../../docs/lab/src/engine.ts'
import type { ArmPlan, Both, PageMessage, Passage, WorkerMessage } from '../../docs/lab/src/protocol.ts'
import '../../src/ops/methods.ts'
import { readLayers } from '../../src/lab/metrics.ts'
import { unpackRun } from '../../src/train/archive.ts'
import { readCheckpoint } from '../../src/train/checkpoint.ts'
import { openSession } from '../../src/train/session.ts'
import { train } from '../../src/train/trainer.ts'
import { alphabet } from '../train/small-run.ts'

type Answer<Type extends WorkerMessage['type']> = Extract<WorkerMessage, { type: Type }>

/** The page's side of one engine. */
class PageSide {
  readonly #engine: Engine
  readonly #said: WorkerMessage[] = []
  #heard = () => {}

  constructor() {
    const post = (message: WorkerMessage, given: ArrayBuffer[]) => {
      // As `postMessage` does: arrays that were given away are of no more use to the engine.
      this.#said.push(structuredClone(message, { transfer: given }))
      this.#heard()
    }
    this.#engine = new Engine(post, () => new Promise((resolve) => setImmediate(resolve)))
    void this.#engine.run()
  }

  send(message: PageMessage): void {
    this.#engine.receive(message)
  }

  /** The next message of these types; those before it are forgotten. */
  async hear<Type extends WorkerMessage['type']>(...types: Type[]): Promise<Answer<Type>> {
    for (;;) {
      const message = this.#said.shift()
      if (message && types.includes(message.type as Type)) return message as Answer<Type>
      if (message?.type === 'failed') throw new Error(message.message)
      if (!message) {
        await new Promise<void>((resolve) => {
          this.#heard = resolve
        })
      }
    }
  }

  async start(plans: Both<ArmPlan>, experiment = 1): Promise<Answer<'started'>> {
    this.send({ type: 'start', experiment, plans, device: 'cpu' })
    return this.hear('started')
  }

  /** Trains, and gives all lines of the log that were told of. */
  async step(count: number) {
    this.send({ type: 'step', count })
    const entries: [Entry[], Entry[]] = [[], []]
    for (;;) {
      const { entries: more, playing } = await this.hear('progress')
      more.forEach((lines, arm) => void entries[arm]!.push(...lines))
      if (!playing) return entries
    }
  }

  async look(passage: Passage, layer = 0): Promise<Answer<'look' | 'look-refused'>> {
    this.send({ type: 'look', request: 5, layer, passage })
    return this.hear('look', 'look-refused')
  }

  async download(arm: 0 | 1): Promise<Answer<'file'>> {
    this.send({ type: 'download', arm })
    return this.hear('file')
  }

  async statistics(): Promise<Answer<'statistics'>> {
    this.send({ type: 'statistics' })
    return this.hear('statistics')
  }
}

type Entry = Answer<'progress'>['entries'][0][number]

const model = { width: 16, layers: 2, heads: 2, headWidth: 8, feedForwardWidth: 16 }
const task = { task: 'bigramBackcopy', taskOptions: { vocabularySize: 12, sequenceLength: 10 } }

const plan = (name: string, own: object, more: object = {}, text?: string): ArmPlan => ({
  from: 'config',
  config: {
    ...{ name, data: task, batchSize: 2, contextLength: 10, steps: 8, evaluateEvery: 3, evaluationBatches: 1 },
    ...more,
    model: { ...model, ...own },
  },
  text,
})

const plans: Both<ArmPlan> = [plan('a', { gate: 'none' }), plan('b', { gate: 'elementwise' })]
const held: Passage = { from: 'held-out', index: 1 }

let side: PageSide
const opened = () => (side = new PageSide())
afterEach(async () => {
  side.send({ type: 'end' })
  expect(await side.statistics()).toMatchObject({ buffers: 0, leaks: [] })
})

const withoutTime = ({ seconds, ...entry }: Entry) => entry

describe('an experiment', () => {
  test('starts paused, tells what it is, and trains as train() does, bit for bit', async () => {
    const page = opened()
    const started = await page.start(plans, 7)
    expect(started).toMatchObject({ experiment: 7, contextLength: 10, passages: 2, device: { name: 'cpu' } })
    expect(started.labels.slice(0, 5)).toEqual(['<s>', '!1', '!2', '!3', 'a'])
    expect(started.arms.map(({ name, gate, step, steps, heads }) => [name, gate, step, steps, heads])).toEqual([
      ['a', undefined, 0, 8, 2],
      ['b', 'G1 elementwise sigmoid', 0, 8, 2],
    ])
    const told = await page.step(8)
    for (const [arm, each] of plans.entries()) {
      const { config } = each as { config: object }
      const { model: trained, log } = await train({ config, device: 'cpu' })
      const found = told[arm]!.at(-1)!.found!
      const trainedAs = told[arm]!.map(({ found: _, ...entry }) => withoutTime(entry))
      // train() measures the held-out loss at the same steps, and looks into nothing.
      expect(trainedAs).toEqual(log.map(withoutTime))
      expect(started.arms[arm]!.parameters).toBe(trained.parameterCount)
      expect(Object.keys(found).sort()).toEqual(
        ['firstToken', 'firstTokenUniform', ...(arm === 1 ? ['gate'] : []), 'largestActivation'].sort(),
      )
      trained.dispose()
    }
    expect(told[0].filter(({ found }) => found).map(({ step }) => step)).toEqual([3, 6, 8])
    // There is nothing left to do, which is said.
    expect(await page.step(1)).toEqual([[], []])
  })

  test('plays until it is paused, with both arms at the same step', async () => {
    const page = opened()
    await page.start(
      plans.map((each) => ({
        ...each,
        config: { ...(each as never as { config: object }).config, steps: 100_000 },
      })) as never,
    )
    page.send({ type: 'play' })
    const first = await page.hear('progress')
    expect(first.playing).toBe(true)
    page.send({ type: 'pause' })
    let last = first
    while (last.playing) last = await page.hear('progress')
    const look = (await page.look(held)) as Answer<'look'>
    const steps = look.arms.map(({ step }) => step)
    expect(steps[0]).toBe(steps[1])
    expect(steps[0]).toBeGreaterThan(0)
    expect((await page.look(held)) as Answer<'look'>).toMatchObject({ arms: [{ step: steps[0] }, { step: steps[0] }] })
  })

  test('begins again without leaving anything behind', async () => {
    const page = opened()
    await page.start(plans)
    await page.step(1)
    const before = await page.statistics()
    for (let n = 2; n < 5; n++) {
      page.send({ type: 'start', experiment: n, plans, device: 'cpu' })
      expect(await page.hear('ended')).toMatchObject({ experiment: n - 1 })
      expect(await page.hear('started')).toMatchObject({ experiment: n })
      await page.step(1)
      await page.look(held)
      expect(await page.statistics()).toEqual(before)
    }
  })

  test('that cannot begin, or fails, says why, and the next one begins', async () => {
    const page = opened()
    page.send({ type: 'start', experiment: 1, plans: [plans[0], plan('b', { gate: 'gold' })], device: 'cpu' })
    const refused = await page.hear('failed')
    expect(refused).toMatchObject({ experiment: 1 })
    expect(refused.message).toContain('gate must be')
    const wild = { optimizer: { name: 'sgd', learningRate: 1e30 }, schedule: { warmup: 0 } }
    await page.start([plans[0], plan('b', {}, wild)], 2)
    page.send({ type: 'play' })
    const failed = await page.hear('failed')
    expect(failed).toMatchObject({ experiment: 2 })
    expect(failed.message).toContain('Try a lower learning rate')
    expect(await page.statistics()).toMatchObject({ buffers: 0, leaks: [] })
    expect((await page.start(plans, 3)).experiment).toBe(3)
    expect(await page.step(1)).toHaveLength(2)
  })
})

describe('a look', () => {
  test('shows both arms with the same tokens: attention, gates, losses, guesses', async () => {
    const page = opened()
    const { labels } = await page.start(plans)
    await page.step(2)
    const { tokens, arms, request } = (await page.look(held)) as Answer<'look'>
    const T = 10
    expect([request, tokens.length, tokens[0], labels.length]).toEqual([5, T, 0, 12])
    // There are two held-out sequences, and they are counted round.
    const shown = async (index: number) => [
      ...((await page.look({ from: 'held-out', index })) as Answer<'look'>).tokens,
    ]
    expect(await shown(3)).toEqual([...tokens])
    expect(await shown(2)).not.toEqual([...tokens])
    for (const { attention, losses, loss, guesses, guessProbabilities, step } of arms) {
      expect(step).toBe(2)
      expect(attention).toHaveLength(2 * T * T)
      attention!.forEach((weight, at) => {
        const [key, query] = [at % T, Math.floor(at / T) % T]
        if (key > query) expect(weight).toBe(0)
      })
      for (let row = 0; row < 2 * T; row++) {
        // Eleven float32 roundings at most of numbers up to 1.
        expect(attention!.slice(row * T, (row + 1) * T).reduce((a, b) => a + b)).toBeCloseTo(1, 5)
      }
      expect(loss).toBeCloseTo(losses.reduce((a, b) => a + b) / T, 5)
      expect([guesses.length, guessProbabilities.length]).toEqual([3 * T, 3 * T])
      for (let t = 0; t < T; t++) {
        const [p0, p1, p2] = guessProbabilities.slice(3 * t, 3 * t + 3)
        expect(p0! >= p1! && p1! >= p2! && p0! < 1).toBe(true)
        // The target's probability is its guess's, where it is among the likeliest.
        const target = tokens[t + 1]
        const place = [...guesses.slice(3 * t, 3 * t + 3)].indexOf(target ?? -1)
        if (place >= 0) expect(Math.exp(-losses[t]!)).toBeCloseTo([p0!, p1!, p2!][place]!, 5)
      }
    }
    const [a, b] = arms
    expect([a.gate, a.histogram, a.gateHeads]).toEqual([undefined, undefined, 0])
    expect([b.gate!.length, b.gateHeads]).toEqual([2 * T, 2])
    expect(b.histogram!.reduce((x, y) => x + y)).toBe(T * 2 * 8)
    const mean = b.gate!.reduce((x, y) => x + y) / b.gate!.length
    expect(mean).toBeCloseTo(b.layers[0]!.gate!, 5)
    const shares = a.attention!.filter((_, at) => at % T === 0)
    expect(shares.slice(0, T).reduce((x, y) => x + y) / T).toBeCloseTo(a.layers[0]!.firstToken![0]!, 5)
  })

  test.each(['gatedDelta', 'kda'])('shows what the layers show, head by head: attention, %s', async (rule) => {
    const page = opened()
    const hybrid = { layerTypes: ['delta', 'attention'], delta: { rule, keyWidth: 4, valueWidth: 6 } }
    const both: Both<ArmPlan> = [
      plan('a', hybrid),
      plan('b', { ...hybrid, gate: { grain: 'headwise', position: 'G2' } }),
    ]
    await page.start(both)
    const T = 10
    for (const [arm, each] of both.entries()) {
      const { config } = each as { config: object }
      const session = await openSession({ config, device: 'cpu' })
      const [batch] = session.data.heldOut
      const [inputs, targets] = [batch!.inputs.slice(T), batch!.targets.slice(T)]
      const [delta, attention] = await readLayers(session.model, { inputs, targets, B: 1, T })
      session.dispose()
      const ofDelta = ((await page.look(held, 0)) as Answer<'look'>).arms[arm]!.state!
      const ofAttention = ((await page.look(held, 1)) as Answer<'look'>).arms[arm]!
      expect(ofDelta.values).toEqual(delta!.delta!.state)
      expect(ofAttention.attention).toEqual(attention!.weights)
      // [T, heads, n], of which the mean over n is shown.
      const meanOf = (values: Float32Array, t: number, h: number) => {
        const n = values.length / (2 * T)
        return values.slice((t * 2 + h) * n, (t * 2 + h + 1) * n).reduce((a, b) => a + b) / n
      }
      for (let t = 0; t < T; t++) {
        for (let h = 0; h < 2; h++) {
          // Sums of at most 8 float32 numbers below 1.
          expect(ofDelta.beta[h * T + t]).toBeCloseTo(meanOf(delta!.delta!.beta, t, h), 5)
          expect(ofDelta.decay![h * T + t]).toBeCloseTo(meanOf(delta!.delta!.decay!, t, h), 5)
          expect(ofAttention.gate![h * T + t]).toBeCloseTo(meanOf(attention!.gateScores!, t, h), 5)
        }
      }
    }
  })

  test('shows the memory of a delta layer, and says which layer it shows', async () => {
    const page = opened()
    const delta = { keyWidth: 4, valueWidth: 6 }
    const hybrid = { layerTypes: ['delta', 'attention'], delta: { rule: 'gatedDelta', ...delta }, gate: 'headwise' }
    await page.start([
      plan('a', hybrid),
      plan('b', { layerTypes: ['delta', 'delta'], delta: { rule: 'delta', ...delta } }),
    ])
    const { arms } = (await page.look(held)) as Answer<'look'>
    expect(arms[0].layers.map(({ type, firstToken }) => [type, firstToken?.length])).toEqual([
      ['delta', undefined],
      ['attention', 2],
    ])
    for (const [arm, { attention, state, layer }] of arms.entries()) {
      expect([attention, layer, state!.shape]).toEqual([undefined, 0, [2, 4, 6]])
      expect([state!.values.length, state!.beta.length]).toEqual([48, 20])
      expect(state!.decay?.length).toBe(arm === 0 ? 20 : undefined)
      expect(state!.beta.every((beta) => beta > 0 && beta < 1)).toBe(true)
    }
    const last = (await page.look(held, 9)) as Answer<'look'>
    expect(last.arms.map(({ layer, state }) => [layer, state !== undefined])).toEqual([
      [1, false],
      [1, true],
    ])
  })

  test('reads what was typed, its end where it is long, and refuses what is no token', async () => {
    const page = opened()
    await page.start(plans)
    const typed = (text: string) => page.look({ from: 'typed', text })
    const some = (await typed(' <s> a  !2\n')) as Answer<'look'>
    expect([...some.tokens]).toEqual([0, 4, 2])
    // The next tokens are known, that after the last is not.
    expect([...some.arms[0].losses].map(Number.isNaN)).toEqual([false, false, true])
    const long = (await typed(`b ${'a '.repeat(10)}`)) as Answer<'look'>
    expect([...long.tokens]).toEqual(new Array(10).fill(4))
    expect(await typed('a nonsense')).toMatchObject({
      type: 'look-refused',
      reason: "lab: there is no token 'nonsense'; the tokens are <s> !1 !2 !3 a b c d e f g h",
    })
    expect(await typed('  ')).toMatchObject({ reason: expect.stringContaining('there is nothing to read') })
  })

  test('reads characters where the runs learn a text', async () => {
    const page = opened()
    const text = { data: { text: 'text.txt' } }
    const { labels } = await page.start([plan('a', {}, text, alphabet), plan('b', {}, text, alphabet)])
    expect(labels.join('')).toBe('abcdefghijklmnopqrstuvwxyz')
    const { tokens } = (await page.look({ from: 'typed', text: 'cab' })) as Answer<'look'>
    expect([...tokens]).toEqual([2, 0, 1])
    expect(await page.look({ from: 'typed', text: 'c a' })).toMatchObject({ type: 'look-refused' })
  })

  test('leaves the runs as they were', async () => {
    const page = opened()
    await page.start(plans)
    const plain = await page.step(8)
    await page.start(plans, 2)
    const looked: Entry[][] = [[], []]
    for (let n = 0; n < 8; n++) {
      const told = await page.step(1)
      told.forEach((entries, arm) => void looked[arm]!.push(...entries))
      await page.look(held, n % 2)
    }
    expect(looked.map((log) => log.map(withoutTime))).toEqual(plain.map((log) => log.map(withoutTime)))
  })
})

describe('a download', () => {
  test('opened again goes on to the same bits, and is asked of the other arm too', async () => {
    const page = opened()
    await page.start(plans)
    const whole = await page.step(8)
    await page.start(plans, 2)
    await page.step(3)
    const files = [await page.download(0), await page.download(1)]
    expect(files.map(({ name, command }) => [name, command])).toEqual([
      ['a.zip', 'sluice train --resume a.zip'],
      ['b.zip', 'sluice train --resume b.zip'],
    ])
    const open = ({ name, bytes }: { name: string; bytes: ArrayBuffer }): ArmPlan => ({
      ...{ from: 'file', name, bytes: bytes.slice(0), text: undefined },
    })
    const started = await page.start([open(files[0]!), open(files[1]!)], 3)
    expect(started.arms.map(({ name, step, log }) => [name, step, log.length])).toEqual([
      ['a', 3, 3],
      ['b', 3, 3],
    ])
    const rest = await page.step(5)
    expect(rest.map((log) => log.map(withoutTime))).toEqual(whole.map((log) => log.slice(3).map(withoutTime)))
    const again = unpackRun(new Uint8Array((await page.download(0)).bytes), 'a.zip')
    expect(again.log.map(withoutTime)).toEqual(whole[0].map(withoutTime))

    // The other arm is as far behind as it is new: it catches up, with the first one's data, size and steps.
    const other = plan('other', { width: 24, gate: 'headwise' }, { steps: 99, seed: 5, data: { task: 'copy' } })
    const mixed = await page.start([open(files[0]!), other], 4)
    expect(mixed.arms[1]).toMatchObject({ name: 'other', step: 0, steps: 8, gate: 'G1 headwise sigmoid' })
    expect(mixed.arms[1].config).toMatchObject({ seed: 1, data: task, model: { width: 16, gate: 'headwise' } })
    const [ofA, ofB] = await page.step(1)
    expect([ofA.map(({ step }) => step), ofB.map(({ step }) => step)]).toEqual([[4], [1, 2, 3, 4]])
  })

  test('carries its text, and a lone checkpoint asks for it', async () => {
    const page = opened()
    const text = { data: { text: 'text.txt' } }
    const fresh = plan('b', {}, text, alphabet)
    await page.start([plan('a', {}, text, alphabet), fresh])
    await page.step(2)
    const { bytes } = await page.download(0)
    const run = unpackRun(new Uint8Array(bytes), 'a.zip')
    expect(run.text).toBe(alphabet)
    const checkpoint = run.files.contents.get('a/checkpoints/step-000002.safetensors')!
    expect((await readCheckpoint('a/checkpoints', { files: run.files })).step).toBe(2)
    const zip: ArmPlan = { from: 'file', name: 'a.zip', bytes: bytes.slice(0), text: undefined }
    expect((await page.start([zip, fresh], 2)).arms[0].step).toBe(2)

    const lone = (given: string | undefined): ArmPlan => ({
      from: 'file',
      name: 'step-000002.safetensors',
      bytes: checkpoint.slice().buffer,
      text: given,
    })
    expect((await page.start([lone(alphabet), fresh], 3)).arms.map(({ step }) => step)).toEqual([2, 0])
    for (const [given, reason] of [
      [undefined, 'text.txt'],
      [alphabet.slice(1), 'the text has changed since the run began'],
    ] as const) {
      page.send({ type: 'start', experiment: 4, plans: [lone(given), fresh], device: 'cpu' })
      expect((await page.hear('failed')).message).toContain(reason)
    }
  })

  test('of another program is refused', async () => {
    const page = opened()
    const file: ArmPlan = { from: 'file', name: 'x.zip', bytes: new ArrayBuffer(9), text: undefined }
    page.send({ type: 'start', experiment: 1, plans: [file, plans[1]], device: 'cpu' })
    expect((await page.hear('failed')).message).toBe('unpackRun: x.zip is not a whole zip: it is too short for one')
  })

  test('of two runs on different data are not shown side by side', async () => {
    const page = opened()
    const more = { data: { ...task, taskOptions: { ...task.taskOptions, vocabularySize: 14 } } }
    const files: ArmPlan[] = []
    for (const [n, own] of [{}, more].entries()) {
      await page.start([plan('a', {}, own), plan('b', {}, own)], n)
      const { name, bytes } = await page.download(0)
      files.push({ from: 'file', name, bytes, text: undefined })
    }
    page.send({ type: 'start', experiment: 2, plans: [files[0]!, files[1]!], device: 'cpu' })
    const said = 'different data, A from 12 tokens in sequences of 10, B from 14 tokens in sequences of 10'
    expect((await page.hear('failed')).message).toContain(said)
  })
})

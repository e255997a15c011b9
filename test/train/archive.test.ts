/** A run as one file: packed and unpacked it is the same run, and the command line goes on with it. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { strToU8, zipSync } from 'fflate'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { resumed } from '../../src/cli/resumed.ts'
import { sample } from '../../src/cli/sample.ts'
import { trainCommand } from '../../src/cli/train.ts'
import { SluiceError } from '../../src/errors.ts'
import { packRun, unpackRun } from '../../src/train/archive.ts'
import { type Checkpoint, readCheckpoint } from '../../src/train/checkpoint.ts'
import { loadRun } from '../../src/train/load.ts'
import { openSession } from '../../src/train/session.ts'
import { train } from '../../src/train/trainer.ts'
import { alphabet, copyTask, failure, remains, smallConfig, temporaryFolder } from './small-run.ts'

const tensorOf = (values: number[]) => ({
  dtype: 'float32' as const,
  shape: [values.length],
  data: Float32Array.from(values),
})

const checkpoints: fc.Arbitrary<Checkpoint> = fc.record({
  step: fc.nat({ max: 999_999 }),
  tensors: fc
    .dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.array(fc.float({ noNaN: true }), { maxLength: 5 }), {
      maxKeys: 3,
    })
    .map((values) => new Map(Object.entries(values).map(([name, list]) => [name, tensorOf(list)]))),
  config: fc.constant({ train: {} }),
  generator: fc.constant({ draws: 3 }),
})

const logs = fc
  .array(fc.record({ loss: fc.double({ noNaN: true, noDefaultInfinity: true }) }), { maxLength: 4 })
  .map((entries) => entries.map(({ loss }, i) => ({ step: i + 1, loss, learningRate: 1, norm: 1, seconds: i })))

describe('a packed run', () => {
  it('is the same when it is unpacked', async () => {
    const names = fc.stringMatching(/^\w[\w.-]{0,8}$/)
    const texts = fc.option(fc.string({ unit: 'binary' }), { nil: undefined })
    await fc.assert(
      fc.asyncProperty(names, checkpoints, logs, texts, async (name, checkpoint, log, text) => {
        const run = unpackRun(await packRun(name, checkpoint, log, text), 'other.zip')
        expect(run).toMatchObject({ name, log: JSON.parse(JSON.stringify(log)) })
        expect(run.text).toBe(text)
        expect(await readCheckpoint(`${name}/checkpoints`, { files: run.files })).toEqual(checkpoint)
      }),
      { numRuns: 100 },
    )
  })

  const step = { 'checkpoints/step-000001.safetensors': strToU8('x') }
  const inside = (folder: string, files: Record<string, Uint8Array>) =>
    Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`${folder}/${path}`, bytes]))

  it('may lie in a zip anywhere, among other files, and has the name of its folder, or else of the zip', () => {
    const zip = (files: Record<string, Uint8Array>) => unpackRun(zipSync(files), 'some/where/my-run.zip')
    expect(zip(step)).toMatchObject({ name: 'my-run', log: [], text: undefined })
    const deep = zip(inside('runs/deep', { ...step, 'report.html': strToU8('x'), 'text.txt': strToU8('abc') }))
    expect(deep).toMatchObject({ name: 'deep', text: 'abc' })
    expect([...deep.files.contents.keys()].sort()).toEqual([
      'deep/checkpoints/step-000001.safetensors',
      'deep/text.txt',
    ])
  })

  it('keeps to its folder, whatever paths a zip names', () => {
    const hostile = { ...inside('../../evil', step), '/etc/log.jsonl': strToU8('{}'), '../text.txt': strToU8('x') }
    const { name, files } = unpackRun(zipSync(hostile), 'x.zip')
    expect(name).toBe('evil')
    expect([...files.contents.keys()]).toEqual(['evil/checkpoints/step-000001.safetensors'])
    expect(unpackRun(zipSync(inside('..', step)), 'x.zip').name).toBe('x')
  })

  it('is refused when it would unpack to far more than it is', () => {
    const swollen = zipSync(inside('run', { 'checkpoints/step-000001.safetensors': new Uint8Array(2 ** 24) }))
    expect(() => unpackRun(swollen, 'a.zip')).toThrow('a.zip is not a whole zip: it would unpack to 16777216 bytes')
    // What is no file of a run is not unpacked, however large.
    const beside = zipSync({ ...inside('run', step), 'run/report.html': new Uint8Array(2 ** 24) })
    expect([...unpackRun(beside, 'a.zip').files.contents.keys()]).toEqual(['run/checkpoints/step-000001.safetensors'])
  })

  it('is refused when it is none, several or damaged', async () => {
    const whole = await packRun('run', await (await tiny()).snapshot(), [])
    for (const cut of [0, 1, 100, whole.length >> 1, whole.length - 1]) {
      expect(() => unpackRun(whole.subarray(0, cut), 'cut.zip')).toThrow('cut.zip is not a whole zip')
    }
    expect(() => unpackRun(zipSync({ 'log.jsonl': strToU8('') }), 'a.zip')).toThrow(
      'unpackRun: a.zip must hold the checkpoints of one run, got none',
    )
    expect(() => unpackRun(zipSync({ ...inside('a', step), ...inside('b', step) }), 'a.zip')).toThrow(
      'one run, got a, b',
    )
    expect((await failure(loadRun('/nowhere/run.zip'))).message).toContain('/nowhere/run.zip cannot be read')
  })
})

/** A session that is freed after the test. */
async function tiny(options: Parameters<typeof openSession>[0] = { text: alphabet, config: smallConfig() }) {
  const session = await openSession(options)
  onTestFinished(() => session.dispose())
  return session
}

describe('a checkpoint that says what its weights are not of', () => {
  type Saved = Record<string, unknown> & { train: { model: object; data: object } & Record<string, unknown> }
  it.each([
    ['more layers than memory holds', ({ train }: Saved) => Object.assign(train.model, { layers: 9999 }), 'it holds'],
    ['layers beyond counting', ({ train }: Saved) => Object.assign(train.model, { layers: 1e9 }), 'from 1 to 10000'],
    ['a vocabulary of billions', (saved: Saved) => Object.assign(saved, { vocabularySize: 4e9 }), 'its vocabulary'],
    [
      'sequences of billions',
      ({ train }: Saved) =>
        Object.assign(train.data, { taskOptions: { sequenceLength: 2e9, vocabularySize: 5, copyLength: 2 } }),
      'too large',
    ],
    [
      'batches of billions',
      ({ train }: Saved) => Object.assign(train, { evaluationBatches: 1e9 }),
      'too many to hold out',
    ],
    ['no tokens', (saved: Saved) => Object.assign(saved, { tokens: '<' }), 'whose tokens is'],
    ['nothing', (saved: Saved) => Object.assign(saved, { train: null }), 'it holds no configuration'],
  ])('is refused: %s', async (_, change, reason) => {
    const checkpoint = await (await tiny({ config: smallConfig({ data: copyTask }) })).snapshot()
    change(checkpoint.config as Saved)
    const { name, files } = unpackRun(await packRun('run', checkpoint, []), 'run.zip')
    const refused = await failure(openSession({ resume: `${name}/checkpoints`, files }))
    expect(refused).toBeInstanceOf(SluiceError)
    expect(refused.message).toContain(reason)
  })

  it.each([null, {}, { data: { seed: 1, draws: -1 }, weights: { seed: 1, draws: 0 } }])(
    'is refused: generator %j',
    async (generator) => {
      const checkpoint = await (await tiny()).snapshot()
      const { name, files } = unpackRun(await packRun('run', { ...checkpoint, generator }, []), 'run.zip')
      const refused = await failure(openSession({ resume: `${name}/checkpoints`, files, text: alphabet }))
      expect(refused.message).toContain('its generator is not an object')
    },
  )
})

/** What a command prints. */
async function printed(command: { run(given: string[]): Promise<void> }, given: string[]): Promise<string> {
  let text = ''
  const log = vi.spyOn(console, 'log').mockImplementation((line) => void (text += `${line}\n`))
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((part) => {
    text += part
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
  try {
    await command.run(given)
  } finally {
    log.mockRestore()
    write.mockRestore()
    vi.restoreAllMocks()
  }
  return text
}

describe('the command line', () => {
  it.each([
    ['a text that nobody has a file of', { text: {} }, alphabet],
    ['a task', copyTask, undefined],
  ])(
    'goes on with the zip of a run on %s, beside it, to the bits of one that was never stopped',
    async (_, data, text) => {
      const named = text === undefined ? data : { text: 'text.txt' }
      const config = smallConfig({ name: 'lab', data: named, model: { dropout: 0.2 } })
      const whole = await train({ config, text, folder: join(await temporaryFolder(), 'whole') })
      const expected = await remains(whole)
      whole.model.dispose()

      const session = await tiny({ config, text })
      for (let i = 0; i < 3; i++) session.log.add(await session.step())
      const folder = await temporaryFolder()
      const zip = join(folder, 'download.zip')
      await writeFile(zip, await packRun('lab', await session.snapshot(), session.log.entries, text))

      const said = await printed(trainCommand, ['--resume', zip, '--device', 'cpu'])
      expect(said).toMatch(/^6 steps on cpu: /)
      expect((await readdir(folder)).sort()).toEqual(['download', 'download.zip'])
      const own = join(folder, 'download')
      const { tensors, generator } = await readCheckpoint(join(own, 'checkpoints/step-000006.safetensors'))
      expect(generator).toEqual(expected.generator)
      const bits = Object.fromEntries([...tensors].map(([name, { data: values }]) => [name, hex(values)]))
      expect(bits).toEqual(expected.tensors)
      const lines = (await readFile(join(own, 'log.jsonl'), 'utf8')).trimEnd().split('\n')
      expect(lines.map((line) => JSON.parse(line).loss)).toEqual(expected.log.map(({ loss }) => loss))

      // Again: the folder is there, and is gone on with by itself, text included.
      const again = await failure(trainCommand.run(['--resume', zip, '--device', 'cpu']))
      expect(again.message).toContain(`which is there already: go on with --resume ${own}`)
      expect(await printed(trainCommand, ['--resume', own, '--steps', '7', '--device', 'cpu'])).toMatch(
        /^7 steps on cpu: /,
      )
    },
  )

  it('does not follow the path of a text that a zip names, and leaves nothing behind', async () => {
    const config = smallConfig({ data: { text: 'text.txt' } })
    const session = await tiny({ config, text: alphabet })
    const folder = await temporaryFolder()
    const zip = join(folder, 'run.zip')
    const checkpoint = await session.snapshot()
    const saved = checkpoint.config as { train: { data: { text: string } } }
    saved.train.data.text = join(folder, 'secret.txt')
    await writeFile(saved.train.data.text, alphabet)
    await writeFile(zip, await packRun('run', checkpoint, []))
    const refused = await failure(trainCommand.run(['--resume', zip, '--device', 'cpu']))
    expect(refused.message).toMatch(/run\.zip learned the text ".*secret\.txt", which is not in it/)
    expect((await readdir(folder)).sort()).toEqual(['run.zip', 'secret.txt'])
  })

  it('unpacks anew what was stopped half-way, and takes nothing of it over', async () => {
    const session = await tiny()
    await session.step()
    const folder = await temporaryFolder()
    const zip = join(folder, 'run.zip')
    await writeFile(zip, await packRun('lab', await session.snapshot(), [], alphabet))
    // Of another archive by that name, which had a later step.
    const left = join(folder, 'run.partial', 'checkpoints')
    await mkdir(left, { recursive: true })
    await writeFile(join(left, 'step-000009.safetensors'), 'half')
    const { folder: unpacked } = await resumed(zip)
    expect(await readdir(folder)).toEqual(['run', 'run.zip'])
    expect(await readdir(join(unpacked, 'checkpoints'))).toEqual(['step-000001.safetensors'])
  })

  it('samples from a zip, and writes nothing', async () => {
    const session = await tiny({ text: alphabet, config: smallConfig({ steps: 60 }) })
    for (let i = 0; i < 40; i++) await session.step()
    const folder = await temporaryFolder()
    const zip = join(folder, 'run.zip')
    await writeFile(zip, await packRun('run', await session.snapshot(), []))
    const given = ['--prompt', 'abc', '--length', '3', '--temperature', '0', '--device', 'cpu']
    expect(await printed(sample, [zip, ...given])).toMatch(/^abc[a-z]{3}\n$/)
    expect(await readdir(folder)).toEqual(['run.zip'])
  })

  it('goes on with a checkpoint that lies by itself in a folder beside it', async () => {
    const folder = await temporaryFolder()
    const run = join(folder, 'run')
    const { model } = await train({ config: smallConfig({ data: copyTask }), folder: run })
    model.dispose()
    const downloads = join(folder, 'a', 'downloads')
    await mkdir(downloads, { recursive: true })
    const file = 'step-000006.safetensors'
    await writeFile(join(downloads, file), await readFile(join(run, 'checkpoints', file)))
    await printed(trainCommand, ['--resume', join(downloads, file), '--steps', '7', '--device', 'cpu'])
    expect(await readdir(join(folder, 'a'))).toEqual(['downloads'])
    expect((await readdir(downloads)).sort()).toEqual(['step-000006', file])
    expect(await readdir(join(downloads, 'step-000006', 'checkpoints'))).toEqual(['step-000007.safetensors'])
  })
})

const hex = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('hex')

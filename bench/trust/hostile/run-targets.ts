/** What training writes and reads again: configurations, checkpoints, archives, logs, and what the lab opens of them. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { type Zippable, zipSync } from 'fflate'
import { openArms } from '../../../docs/lab/src/arm.ts'
import { History } from '../../../docs/lab/src/history.ts'
import { plansOf } from '../../../docs/lab/src/plan.ts'
import { defaultState, readState, writeState } from '../../../docs/lab/src/state.ts'
import { resumed } from '../../../src/cli/resumed.ts'
import { parseJson } from '../../../src/hub/json.ts'
import { encodeSafetensors } from '../../../src/hub/safetensors.ts'
import { transformerConfig } from '../../../src/nn/index.ts'
import { packRun, unpackRun } from '../../../src/train/archive.ts'
import { type Checkpoint, readCheckpoint, sealed } from '../../../src/train/checkpoint.ts'
import { defaultTrainConfig, resumedConfig, trainConfig } from '../../../src/train/config.ts'
import { loadRun } from '../../../src/train/load.ts'
import { type LogEntry, logLines, logText } from '../../../src/train/run.ts'
import { openSession } from '../../../src/train/session.ts'
import { hostileJson } from './json.ts'
import { bytesOf, type ReadyTarget, textOf } from './target.ts'

const device = 'reference'

const trainWords = [
  ...[
    'name',
    'data',
    'text',
    'task',
    'taskOptions',
    'copy',
    'parity',
    'multiQueryRecall',
    'bigramBackcopy',
    'tokenizer',
  ],
  ...[
    'model',
    'width',
    'layers',
    'heads',
    'gate',
    'position',
    'G1',
    'experts',
    'count',
    'active',
    'delta',
    'rope',
    'layerTypes',
  ],
  ...[
    'batchSize',
    'contextLength',
    'steps',
    'seed',
    'optimizer',
    'schedule',
    'clip',
    'evaluationBatches',
    'sequenceLength',
  ],
  ...[
    'vocabularySize',
    'copyLength',
    '../x',
    '/etc/passwd',
    'switchHead',
    'fullAttentionInterval',
    'attention',
    'muon',
  ],
]

/** Of a run that is made in a moment. */
const small = {
  ...{ batchSize: 2, contextLength: 8, steps: 6, evaluateEvery: 3, evaluationBatches: 2, checkpointEvery: 3 },
  schedule: { warmup: 2 },
  data: { task: 'copy', taskOptions: { vocabularySize: 5, sequenceLength: 8, copyLength: 2 } },
  model: {
    width: 8,
    layers: 2,
    heads: 2,
    headWidth: 4,
    feedForwardWidth: 8,
    gate: 'headwise',
    fullAttentionInterval: 2,
  },
}
const letters = 'abcdefghij'.repeat(40)

interface MadeRun {
  readonly checkpoint: Checkpoint
  readonly log: readonly LogEntry[]
  readonly text: string | undefined
}

async function madeRun(text?: string): Promise<MadeRun> {
  const data = text === undefined ? small.data : { text: 'text.txt' }
  const session = await openSession({ config: { ...small, data, optimizer: { name: 'sgd' } }, text, device })
  for (let i = 0; i < 3; i++) await session.loggedStep()
  const run = { checkpoint: await session.snapshot(), log: session.log.entries, text }
  session.dispose()
  return run
}

export const trainingConfiguration: ReadyTarget = async () => {
  const valid = [
    small,
    { ...defaultTrainConfig, name: 'other', data: { text: 'book.txt' }, optimizer: { name: 'muon' } },
  ]
  const saved = trainConfig(small)
  return {
    valid: valid.map((config) => bytesOf(JSON.stringify(config))),
    words: trainWords,
    made: hostileJson(valid, trainWords).map(bytesOf),
    besides: 0,
    read(bytes) {
      const given = parsed(bytes)
      const config = trainConfig(given)
      transformerConfig({ ...config.model, vocabularySize: 5, contextLength: config.contextLength })
      if (saved.name === config.name) resumedConfig(saved, given)
    },
  }
}

/** JSON of the input, as the commands read it; what is no JSON is refused by whoever reads the file. */
export function parsed(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes)
  } catch {
    return undefined
  }
}

/** Parts of an input: what no text of a format holds stands between them. */
const between = '\u001e'

const generatorWords = ['data', 'weights', 'seed', 'draws']

/** A checkpoint that anybody may write: its checksum is right, whatever it says. */
async function sealedFile(tensors: Checkpoint['tensors'], step: string, config: string, generator: string) {
  return encodeSafetensors(tensors, await sealed(tensors, { step, config, generator, version: '1' }))
}

/** Texts of a checkpoint that is sealed, near to a valid one. */
function sealedTexts(runs: readonly MadeRun[]): fc.Arbitrary<string[]> {
  const configs = runs.map(({ checkpoint }) => checkpoint.config)
  const generators = runs.map(({ checkpoint }) => checkpoint.generator)
  const ofValid = (values: readonly unknown[]) => fc.constantFrom(...values.map((value) => JSON.stringify(value)))
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constant('3') },
    fc.constantFrom('-1', 'NaN', '1e400', '0x3', '', '3.5', '999999999', '9007199254740993', ' 3'),
  )
  return fc.tuple(
    step,
    fc.oneof({ weight: 6, arbitrary: hostileJson(configs, trainWords) }, ofValid(configs)),
    fc.oneof(hostileJson(generators, generatorWords), { weight: 3, arbitrary: ofValid(generators) }),
  )
}

const validTexts = ({ checkpoint: { step, config, generator } }: MadeRun): string[] => [
  String(step),
  JSON.stringify(config),
  JSON.stringify(generator),
]

/** Damaged files, and files that are whole and say what they should not. */
export const checkpoint: ReadyTarget = async (folder) => {
  const runs = [await madeRun(), await madeRun(letters)]
  const files = await Promise.all(
    runs.map(async (run) => {
      const [step, config, generator] = validTexts(run)
      return sealedFile(run.checkpoint.tensors, step!, config!, generator!)
    }),
  )
  const path = join(folder, 'step-000003.safetensors')
  return {
    valid: [...files, ...runs.map((run) => bytesOf(`sealed${validTexts(run).join(between)}`))],
    words: [...trainWords, ...generatorWords],
    made: sealedTexts(runs).map((texts) => bytesOf(`sealed${texts.join(between)}`)),
    besides: files[0]!.length,
    async read(bytes) {
      const isSealed = textOf(bytes.subarray(0, 6)) === 'sealed'
      const [step = '', config = '', generator = ''] = textOf(bytes.subarray(6)).split(between)
      const { tensors } = runs[config.includes('text.txt') ? 1 : 0]!.checkpoint
      await writeFile(path, isSealed ? await sealedFile(tensors, step, config, generator) : bytes)
      await readCheckpoint(path)
      const { model } = await loadRun(path, device)
      model.dispose()
    },
  }
}

const entryNames = [
  ...['run/log.jsonl', 'run/text.txt', 'run/checkpoints/step-000003.safetensors', '../x/log.jsonl', '/etc/passwd'],
  ...[
    'C:\\x\\checkpoints\\step-1.safetensors',
    '..\\x',
    'a/../../x/checkpoints/step-000003.safetensors',
    'run/\0/log.jsonl',
  ],
  ...['../../evil/checkpoints/step-000003.safetensors', '__proto__/x', 'run/checkpoints/../../../x', 'run//log.jsonl'],
]

/** A zip, damaged or with entries of other names, unpacked in memory. */
export const archive: ReadyTarget = async () => {
  const runs = [await madeRun(), await madeRun(letters)]
  const valid = await Promise.all(runs.map(({ checkpoint, log, text }) => packRun('run', checkpoint, log, text)))
  const name = fc.oneof(fc.constantFrom(...entryNames), fc.string({ unit: 'binary', maxLength: 12 }))
  const entry = fc.tuple(name, fc.uint8Array({ maxLength: 40 }), fc.constantFrom<0 | 1>(0, 1))
  return {
    valid,
    words: ['PK\u0003\u0004', 'PK\u0001\u0002', 'PK\u0005\u0006', 'PK\u0006\u0006', 'PK\u0006\u0007', ...entryNames],
    made: fc.array(entry, { maxLength: 5 }).map((entries) => {
      // A prototype is no name to the writer: it gets its name in the bytes, which no checksum covers.
      const named = entries.map(([path, bytes, level]) => [
        path.replaceAll('__proto__', '__pr0t0__'),
        [bytes, { level }],
      ])
      const zip = Buffer.from(zipSync(Object.fromEntries(named) as Zippable))
      return Buffer.from(zip.toString('latin1').replaceAll('__pr0t0__', '__proto__'), 'latin1')
    }),
    besides: 0,
    async read(bytes) {
      const { name, files } = unpackRun(bytes, 'download.zip')
      const wrong = [...files.contents.keys()].find((path) => !path.startsWith(`${name}/`) || path.includes('/../'))
      if (wrong !== undefined || /^\.*$|[\\/]/.test(name)) throw new Error(`a file ${wrong} of a run ${name}`)
      await readCheckpoint(`${name}/checkpoints`, { files })
    },
  }
}

const logWords = [
  'step',
  'loss',
  'learningRate',
  'norm',
  'seconds',
  'heldOutLoss',
  'heldOutAccuracy',
  'found',
  'firstToken',
]

const hostileLog = (logs: readonly (readonly LogEntry[])[]): fc.Arbitrary<string> =>
  fc
    .array(fc.oneof(hostileJson(logs.flat(), logWords), fc.constantFrom('', 'null', '0', '{}', '{"step":0}', '[]')), {
      maxLength: 8,
    })
    .map((lines) => `${lines.join('\n')}\n`)
    .chain((text) => fc.constantFrom(1, 1, 1, 2000).map((times) => (text.length > 500 ? text : text.repeat(times))))

/** A log's lines, as the lab draws them. */
export const runLog: ReadyTarget = async () => {
  const { log } = await madeRun()
  return {
    valid: [bytesOf(logText(log))],
    words: logWords,
    made: hostileLog([log]).map((text) => bytesOf(text.slice(0, 2 ** 20))),
    besides: 0,
    read(bytes) {
      const entries = logLines(textOf(bytes))
      const { smooth, measured } = new History(entries)
      for (const value of [...smooth, ...measured.map(({ heldOutLoss }) => heldOutLoss!)]) value.toFixed(2)
      for (const { found } of measured) for (const value of Object.values(found ?? {})) value.toFixed(2)
    },
  }
}

/** Runs that are whole zips: opened as the lab opens them, and as `sluice train --resume` does. */
export const download: ReadyTarget = async (folder) => {
  const runs = [await madeRun(), await madeRun(letters)]
  const logs = runs.map(({ log }) => log)
  const asInput = (texts: readonly string[]): Uint8Array => bytesOf(texts.join(between))
  const texts = fc.oneof(
    { weight: 3, arbitrary: fc.constant(letters) },
    fc.constantFrom('', 'a', 'zz\u2028</script>', '\0'),
  )
  const path = join(folder, 'run.zip')
  await mkdir(folder, { recursive: true })
  return {
    valid: runs.map((run) => asInput([...validTexts(run), logText(run.log), run.text ?? ''])),
    words: [...trainWords, ...generatorWords, ...logWords],
    made: fc
      .tuple(sealedTexts(runs), fc.oneof(hostileLog(logs), fc.constant(logText(logs[0]!))), texts)
      .map(([sealedOnes, log, text]) => asInput([...sealedOnes, log.slice(0, 2 ** 16), text])),
    besides: 10_000,
    async read(bytes) {
      const [step = '', config = '', generator = '', log = '', text = ''] = textOf(bytes).split(between)
      const { tensors } = runs[config.includes('text.txt') ? 1 : 0]!.checkpoint
      const zip = zipSync({
        'run/checkpoints/step-000003.safetensors': await sealedFile(tensors, step, config, generator),
        'run/log.jsonl': bytesOf(log),
        ...(text === '' ? {} : { 'run/text.txt': bytesOf(text) }),
      })
      const file = { from: 'file' as const, name: 'run.zip', bytes: zip.buffer as ArrayBuffer, text: undefined }
      const fresh = plansOf({ ...defaultState, width: 8, heads: 2, layers: 1 })[0]
      const arms = await openArms([file, fresh], device)
      for (const arm of arms) {
        new History(arm.report().log)
        arm.session.dispose()
      }
      await rm(join(folder, 'run'), { recursive: true, force: true })
      await writeFile(path, zip)
      const session = await openSession({ ...(await resumed(path)), device })
      session.dispose()
    },
  }
}

const hashWords = [
  ...[
    'data',
    'text',
    'parity',
    'o.maxLength',
    'o.sequenceLength',
    'o.triggers',
    'layers',
    'width',
    'rate',
    'steps',
    'seed',
  ],
  ...[
    'batch',
    'length',
    'device',
    'play',
    'layer',
    'head',
    'at',
    'passage',
    'show',
    'a.mixer',
    'b.gate',
    'a.grain',
    'hybrid',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'valueOf',
    '%00',
    '%',
    '+',
    '&',
    '=',
    '#',
    '1e999',
    '-0',
    'o.__proto__',
    'a.constructor',
  ],
]

/** What stands after '#' in an address: a state comes of it that can be written, and runs that can be begun. */
export const address: ReadyTarget = async () => {
  const valid = [
    '',
    '#seed=7&data=parity&o.maxLength=20',
    '#data=text&text=abc&a.gate=G2&b.mixer=kda&play=0&rate=0.1',
  ].map(bytesOf)
  const part = fc.oneof(
    fc.constantFrom(...hashWords),
    fc.string({ unit: 'binary', maxLength: 10 }),
    fc.integer().map(String),
  )
  return {
    valid,
    words: hashWords,
    made: fc
      .array(fc.tuple(part, part), { maxLength: 12 })
      .map((pairs) => bytesOf(`#${pairs.map(([key, value]) => `${key}=${value}`).join('&')}`)),
    besides: 0,
    read(bytes) {
      const { state } = readState(textOf(bytes))
      const again = readState(writeState(state))
      if (again.problems.length > 0 || JSON.stringify(again.state) !== JSON.stringify(state)) {
        throw new Error('the state is another when it is written and read again')
      }
      structuredClone(state)
      for (const { config } of plansOf(state, state.text)) trainConfig(config)
    },
  }
}

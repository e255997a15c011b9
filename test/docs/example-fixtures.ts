/** What examples in docstrings take for granted: a small model, a text, files in the folder where they run. */
import { writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import { savePretrained, saveSafetensors } from '../../src/hub/index.ts'
import { tokenizerFiles } from '../../src/hub/tokenizer-files.ts'
import { defineOp, elementwise, Generator, launchMap, manualSeed, randn, type Tensor, tensor } from '../../src/index.ts'
import { Linear, Transformer } from '../../src/nn/index.ts'
import { SGD } from '../../src/optim/index.ts'
import {
  CharTokenizer,
  defaultTrainConfig,
  splitTokens,
  textBatch,
  train,
  writeCheckpoint,
} from '../../src/train/index.ts'
import { made, study } from '../lab/study-report/small-study.ts'

const text = 'Call me Ishmael. Some years ago, never mind how long precisely, '.repeat(60)
const settings = { vocabularySize: 32, width: 32, layers: 2, heads: 2, gate: 'elementwise', contextLength: 64 } as const

const cubeKernel = elementwise(function cubed(x: number): number {
  return x * x * x
})
const cube = defineOp({
  name: 'cubed',
  doc: 'x^3, elementwise.',
  shape: (x: Tensor) => x.shape,
  forward: (shape, x) => launchMap(cubeKernel, shape, [x]),
  vjp: (dy, _y, x) => [dy.mul(x.square()).mul(3)],
  samples: (draw) => [draw.tensor(draw.shape())],
})

/** Names that an example may use without making them. */
export function fixtures() {
  manualSeed(1)
  const model = new Transformer(settings)
  const tokenizer = CharTokenizer.fromText(text)
  const parts = splitTokens(tokenizer.encode(text))
  const generator = new Generator(1)
  const batch = textBatch(parts.train, 2, 64, generator)
  const shape = [batch.B, batch.T]
  const tokens: Tensor = tensor(batch.inputs, { shape })
  const targets: Tensor = tensor(batch.targets, { shape })
  const log = Array.from({ length: 200 }, (_, step) => ({ step, loss: 3 - step / 100 }))
  const run = {
    name: 'gated',
    parameters: 1,
    trainLoss: log.slice(0, 2),
    heldOutLoss: log.slice(0, 2),
    finalHeldOutLoss: 2.9,
  }
  return {
    ...parts,
    model,
    tokenizer,
    batch,
    tokens,
    targets,
    batches: [[tokens, targets]],
    text,
    generator,
    log,
    layer: new Linear(4, 4),
    x: randn([2, 4]),
    optimizer: new SGD(model.parameters(), { lr: 0.1 }),
    data: { heldOut: [batch] },
    tensors: new Map([['w', { dtype: 'float32', shape: [1], data: Float32Array.of(1) }]]),
    config: defaultTrainConfig,
    cube,
    rows: [],
    gated: run,
    ungated: { ...run, name: 'ungated' },
    measured: study([made({}), made({ job: { variant: 'g1-elementwise' } })]),
    fc,
    readFile,
    writeFileSync,
  }
}

/** Files that examples read, in the folder that is the current one. */
export async function writeExampleFiles(): Promise<void> {
  manualSeed(1)
  const model = new Transformer({ ...settings, vocabularySize: 128 })
  const values = (rows: number) => ({ dtype: 'float32', shape: [rows, 2], data: new Float32Array(2 * rows) }) as const
  await saveSafetensors('model.safetensors', new Map([['w', values(3)]]))
  await saveSafetensors('model-00001-of-00002.safetensors', new Map([['model.embed_tokens.weight', values(128)]]))
  for (const name of ['Qwen3-0.6B', 'Qwen3-8B']) await savePretrained(model, name)
  const files = tokenizerFiles(CharTokenizer.fromText(text).toJSON(), 64)
  for (const [name, content] of Object.entries(files)) await writeFile(`Qwen3-0.6B/${name}`, content)
  await writeFile('shakespeare.txt', text)
  const small = {
    steps: 1,
    contextLength: 8,
    batchSize: 2,
    evaluationBatches: 1,
    model: { width: 8, layers: 1, heads: 2 },
  }
  await train({ text, config: small, folder: 'runs/moby-dick' })
  await writeCheckpoint('runs/parity', { step: 100, tensors: new Map(), config: {}, generator: {} })
}

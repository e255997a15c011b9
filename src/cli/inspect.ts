/** `sluice inspect`: what models do while they read a text, layer by layer and side by side. */
import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { loadTokenizer, openPretrained } from '../hub/index.ts'
import { type Inspection, inspectedRun, type LayerSummary, mapTokens, summariseLayer, totals } from '../lab/inspect.ts'
import { createdNow } from '../lab/report.ts'
import type { LayerObservation } from '../nn/index.ts'
import { tensor } from '../tensor/create.ts'
import { scope, type Tensor } from '../tensor/tensor.ts'
import { loadRun } from '../train/load.ts'
import { wholeNumber } from './options.ts'
import { writePage } from './page.ts'

const usage = `usage: sluice inspect FOLDER [FOLDER...] --text FILE [options]

  FOLDER        a folder with config.json and safetensors, as Hugging Face has them, or a run: its folder or its zip
  --text FILE   the text that the models read
  --tokens N    read so many of its first tokens (256)
  --heads       a row for each head in the table, not only for each layer
  --out FILE    where the report goes (inspect.html)

Weights stream from their files: what is in memory is one layer, however large the model.`

/** A model that can be read with, wherever its weights are. */
interface Reader {
  readonly name: string
  readonly parameters: number
  readonly encode: (text: string) => ArrayLike<number>
  readonly decode: (ids: Int32Array) => string
  /** Mean cross-entropy of the targets; `observe` sees every layer once. */
  readonly loss: (tokens: Tensor, targets: Tensor, observe: (seen: LayerObservation) => void) => Promise<number>
  readonly close: () => Promise<void>
}

async function openReader(folder: string): Promise<Reader> {
  const name = basename(resolve(folder))
  const isPretrained = await stat(join(folder, 'config.json')).then(
    () => true,
    () => false,
  )
  if (!isPretrained) return runReader(name, folder)
  const model = await openPretrained(folder, { device: 'cpu' })
  try {
    const tokenizer = await loadTokenizer(folder)
    return {
      name,
      parameters: model.parameterCount,
      encode: (text) => tokenizer.encode(text),
      decode: (ids) => tokenizer.decode(ids),
      loss: (tokens, targets, observe) => model.loss(tokens, targets, { observe }),
      close: () => model.close(),
    }
  } catch (error) {
    await model.close()
    throw error
  }
}

async function runReader(name: string, folder: string): Promise<Reader> {
  const { model, tokenizer } = await loadRun(folder, 'cpu')
  if (!tokenizer) {
    model.dispose()
    throw new SluiceError('sluice inspect', `the run ${folder} learned a generated task, which reads no text`)
  }
  return {
    name,
    parameters: model.parameterCount,
    encode: (text) => tokenizer.encode(text),
    decode: (ids) => tokenizer.decode(ids),
    async loss(tokens, targets, observe) {
      const loss = scope(() => model.loss(tokens, targets, { observe }).detach())
      const value = await loss.item()
      loss.dispose()
      return value
    },
    close: async () => model.dispose(),
  }
}

async function inspect(folder: string, text: string, wanted: number): Promise<Inspection> {
  const reader = await openReader(folder)
  try {
    const ids = Int32Array.from(reader.encode(text)).slice(0, wanted + 1)
    if (ids.length < 2) throw new SluiceError('sluice inspect', `the text has ${ids.length} tokens, two are needed`)
    const T = ids.length - 1
    const [tokens, targets] = [ids.subarray(0, T), ids.subarray(1)].map((part) =>
      tensor(Int32Array.from(part), { shape: [1, T], device: 'cpu' }),
    )
    const layers: LayerSummary[] = []
    try {
      const loss = await reader.loss(tokens, targets, (seen) => void layers.push(summariseLayer(seen)))
      return {
        name: reader.name,
        parameters: reader.parameters,
        loss,
        length: T,
        tokens: Array.from(ids.subarray(0, Math.min(T, mapTokens)), (id) => reader.decode(Int32Array.of(id))),
        layers,
      }
    } finally {
      tokens.dispose()
      targets.dispose()
    }
  } finally {
    await reader.close()
  }
}

const fixed = (value: number | undefined, digits: number): string => (value === undefined ? '-' : value.toFixed(digits))

const mean = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length

/** Rows of the table: layers, with `byHead` their heads too; for each model first token, gate, largest activation. */
function tableOf(models: readonly Inspection[], byHead: boolean): string[][] {
  const head = ['layer', ...models.flatMap(({ name }) => [`${name}: first token`, 'gate', 'largest'])]
  const rows: string[][] = []
  const most = Math.max(...models.map(({ layers }) => layers.length))
  for (let layer = 0; layer < most; layer++) {
    const here = models.map(({ layers }) => layers[layer])
    const types = [...new Set(here.flatMap((of) => of?.type ?? []))].join('/')
    rows.push([
      `${layer} ${types}`,
      ...here.flatMap((of) => [
        fixed(of && mean(of.firstToken), 3),
        fixed(of?.gate?.mean, 3),
        fixed(of?.largest, of && of.largest < 100 ? 1 : 0),
      ]),
    ])
    if (!byHead) continue
    const heads = Math.max(...here.map((of) => of?.firstToken.length ?? 0))
    for (let h = 0; h < heads; h++) {
      // Headwise and elementwise gates have a mean for each head; a gate on keys or values has fewer.
      rows.push([
        `  head ${h}`,
        ...here.flatMap((of) => [fixed(of?.firstToken[h], 3), fixed(of?.gate?.perHead[h], 3), '']),
      ])
    }
  }
  const all = models.map(totals)
  rows.push([
    'all',
    ...all.flatMap(({ firstToken, gate, largest }) => [
      fixed(firstToken, 3),
      fixed(gate?.mean, 3),
      fixed(largest, largest < 100 ? 1 : 0),
    ]),
  ])
  return [head, ...rows]
}

/** Columns two spaces apart, the first to the left, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export const inspectCommand = {
  summary: 'look into models while they read a text',
  usage,
  async run(given: string[]): Promise<void> {
    const string = { type: 'string' } as const
    const { values, positionals } = parseArgs({
      args: given,
      allowPositionals: true,
      options: { text: string, tokens: string, heads: { type: 'boolean' }, out: string },
    })
    if (positionals.length === 0) throw new SluiceError('sluice inspect', 'expected the folders of one or more models')
    if (values.text === undefined) throw new SluiceError('sluice inspect', 'give the text that is read: --text FILE')
    const wanted = wholeNumber('tokens', values.tokens) ?? 256
    if (wanted < 1) throw new SluiceError('sluice inspect', '--tokens must be at least 1')
    const text = await readFile(values.text, 'utf8')
    await device('cpu')
    const models: Inspection[] = []
    for (const folder of positionals) models.push(await inspect(folder, text, wanted))
    for (const model of models) {
      const { uniform } = totals(model)
      console.log(
        `${model.name}: ${model.parameters} parameters, loss ${model.loss.toFixed(4)} nats a token on ${model.length} tokens; ` +
          `uniform attention would give the first ${uniform.toFixed(3)}`,
      )
    }
    console.log(`\n${aligned(tableOf(models, values.heads ?? false))}\n`)
    const path = await writePage(values.out ?? 'inspect.html', {
      createdAt: createdNow(),
      title: models.map(({ name }) => name).join(' beside '),
      configuration: { text: values.text, tokens: wanted, models: positionals },
      baselines: [],
      lossUnit: 'nats per token',
      runs: models.map(inspectedRun),
    })
    console.log(`report: ${path}`)
  },
}

/** A model's folder as Hugging Face lays it out, opened and checked: config.json, and safetensors with all its weights. */
import { SluiceError, showShape } from '../errors.ts'
import { type TransformerConfig, transformerConfig } from '../nn/config.ts'
import { parameterCount } from '../nn/parameter-count.ts'
import { assignAll } from '../tensor/host.ts'
import { sizeOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { allWeights, type DecoderWeights, decoderWeights } from './families/decoder.ts'
import { type Family, requireObject } from './families/family.ts'
import { familyOf, layoutOf } from './families/index.ts'
import type { Named, RowMap } from './families/rows.ts'
import { readUpTo, reason } from './files.ts'
import { parseJson } from './json.ts'
import { openSafetensors } from './open.ts'
import type { TensorReader } from './safetensors-file.ts'

/** Weights that a caller may choose to leave out: of multi-token prediction, and of a part that sees images. */
export type LeftOut = 'mtp' | 'visual'

export interface Checkpoint {
  readonly family: Family
  readonly config: TransformerConfig
  readonly weights: DecoderWeights
  readonly reader: TensorReader
}

const patterns: Readonly<Record<LeftOut, RegExp>> = { mtp: /^mtp\./, visual: /^(model\.)?visual\./ }

/** Bytes of a config.json; that of the largest models takes some kilobytes. */
const longestConfig = 2 ** 20

/** At most this many names of a kind stand in one message. */
const NAMED = 5

const listed = (entries: readonly string[]): string =>
  entries.slice(0, NAMED).join(', ') + (entries.length > NAMED ? ` and ${entries.length - NAMED} more` : '')

const show = ({ shape }: Named | { readonly shape: readonly number[] }): string => showShape(shape)

/** Throws unless the files hold exactly what the model needs, and what is left out. */
function requireWeights(
  operation: string,
  folder: string,
  expected: readonly Named[],
  reader: TensorReader,
  isExtra: (name: string) => boolean,
): void {
  const wanted = new Map(expected.map((tensor) => [tensor.name, tensor]))
  const missing = [...wanted.keys()].filter((name) => !reader.tensors.has(name))
  const unexpected = [...reader.tensors.keys()].filter((name) => !wanted.has(name) && !isExtra(name))
  const misshapen = [...wanted.values()].flatMap((tensor) => {
    const found = reader.tensors.get(tensor.name)
    if (!found || (show(found) === show(tensor) && found.format !== 'I32')) return []
    return [`${tensor.name} is ${show(found)} ${found.format}, expected ${show(tensor)} of floats`]
  })
  const complaints = Object.entries({ missing, unexpected, misshapen })
    .filter(([, names]) => names.length > 0)
    .map(([kind, names]) => `${kind}: ${listed(names)}`)
  if (complaints.length === 0) return
  const choice = (Object.keys(patterns) as LeftOut[]).find((key) => unexpected.some((name) => patterns[key].test(name)))
  throw new SluiceError(
    operation,
    `the weights in ${folder} are not those that its config.json describes (${complaints.join('; ')})` +
      (choice ? `; { ignore: ['${choice}'] } leaves ${choice} weights out` : ''),
  )
}

/**
 * Refuses a model that is far larger than the files, before lists of its heads and experts are made: config.json may say any
 * number. Of one that is a little larger, the weights that are missing are named.
 */
function requireRoom(operation: string, folder: string, config: TransformerConfig, reader: TensorReader): void {
  const wanted = parameterCount(config)
  let held = 0
  for (const { shape } of reader.tensors.values()) held += sizeOf(shape)
  if (wanted <= 2 * held + 2 ** 16) return
  throw new SluiceError(
    operation,
    `config.json describes a model of ${wanted} parameters, the files in ${folder} hold ${held}`,
  )
}

/** A tied head that is stored all the same must be the embedding; otherwise the model would not be the file's. */
async function requireTied(operation: string, reader: TensorReader, embedding: Named): Promise<void> {
  const [rows, width] = embedding.shape
  const step = Math.max(1, Math.floor(2 ** 20 / width))
  for (let row = 0; row < rows; row += step) {
    const range = { rows: [row, Math.min(rows, row + step)] as const }
    const [table, head] = await Promise.all([reader.read(embedding.name, range), reader.read('lm_head.weight', range)])
    if (table.data.every((value, i) => Object.is(value, head.data[i]))) continue
    throw new SluiceError(
      operation,
      `lm_head.weight is not ${embedding.name}, though tie_word_embeddings in config.json is true; set it to false`,
    )
  }
}

async function readConfig(operation: string, folder: string): Promise<Readonly<Record<string, unknown>>> {
  const path = `${folder}/config.json`
  const bytes = await readUpTo(path, longestConfig).catch((error: unknown) => {
    throw new SluiceError(operation, `${path} cannot be read: ${reason(error)}`)
  })
  try {
    return requireObject(operation, parseJson(bytes))
  } catch (error) {
    if (error instanceof SluiceError) throw error
    throw new SluiceError(operation, `${path} is not JSON: ${reason(error)}`)
  }
}

/**
 * Opens a folder; the values stay in the files. The caller closes `reader`.
 *
 * @param ignore weights to leave out; those of multi-token prediction are otherwise part of the model
 * @throws SluiceError for what is missing, unexpected, misshapen, or unknown in config.json, each named
 */
export async function openCheckpoint(
  operation: string,
  folder: string,
  ignore: readonly LeftOut[] = [],
): Promise<Checkpoint> {
  const json = await readConfig(operation, folder)
  const family = familyOf(operation, json)
  const settings = family.read(json)
  const reader = await openSafetensors(folder)
  try {
    const names = [...reader.tensors.keys()]
    const layout = layoutOf(family, names)
    const predictsNext = !ignore.includes('mtp') && names.some((name) => patterns.mtp.test(name))
    const config = transformerConfig({ ...settings, multiTokenPrediction: predictsNext ? {} : null })
    requireRoom(operation, folder, config, reader)
    const weights = decoderWeights(config, layout)
    const isExtra = (name: string): boolean =>
      (config.tied && name === 'lm_head.weight') || ignore.some((key) => patterns[key]?.test(name))
    const expected = allWeights(weights).flatMap(({ file }) => file)
    const isStoredTwice = config.tied && reader.tensors.has('lm_head.weight')
    const head = { name: 'lm_head.weight', shape: weights.embedding.file[0].shape }
    requireWeights(operation, folder, isStoredTwice ? [...expected, head] : expected, reader, isExtra)
    if (isStoredTwice) await requireTied(operation, reader, weights.embedding.file[0])
    return { family, config, weights, reader }
  } catch (error) {
    await reader.close()
    throw error
  }
}

/**
 * Gives tensors of a model their values, a few at a time.
 *
 * @param targets by the names that the maps use; every one is given a value
 */
export async function fill(
  operation: string,
  targets: ReadonlyMap<string, Tensor>,
  maps: readonly RowMap[],
  reader: TensorReader,
): Promise<void> {
  const left = new Map(targets)
  for (const map of maps) {
    const isDouble = map.file.some(({ name }) => reader.tensors.get(name)!.format === 'F64')
    const values = await map.load((name) => reader.read(name), isDouble ? 'float64' : 'float32')
    const own = new Map([...left].filter(([name]) => values.has(name)))
    assignAll(operation, own, values)
    for (const name of own.keys()) left.delete(name)
  }
  if (left.size > 0) throw new SluiceError(operation, `no weights stand for ${listed([...left.keys()])}`)
}

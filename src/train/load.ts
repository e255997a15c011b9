/** What a checkpoint says of its run, and the trained model in it. */
import { SluiceError } from '../errors.ts'
import { parameterCount, Transformer, transformerConfig } from '../nn/index.ts'
import { count, fieldsOf, nonNegative, orNull, positiveInteger, record } from '../nn/validate.ts'
import type { HostTensor } from '../tensor/host.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { sizeOf } from '../tensor/shape.ts'
import { archiveExtension, readArchive } from './archive.ts'
import { type Checkpoint, type CheckpointFiles, nodeFiles, readCheckpoint } from './checkpoint.ts'
import { type TrainConfig, trainConfig } from './config.ts'
import { checkpointFolder } from './run.ts'
import { taskNamed } from './tasks.ts'
import { type Tokenizer, type TokenizerJSON, tokenizerFromJSON } from './tokenizer.ts'

/** What a checkpoint's `config` holds. */
export interface SavedConfig {
  readonly train: TrainConfig
  readonly tokenizer: TokenizerJSON | null
  readonly vocabularySize: number
  readonly contextLength: number
  /** Of the text that the run learns from; null for a task. */
  readonly text: { readonly tokens: number; readonly fingerprint: number } | null
  /** Time spent training so far, and tokens read in it, over all sessions. */
  readonly seconds: number
  readonly tokens: number
}

const isSaved = fieldsOf({
  train: record,
  tokenizer: orNull(record),
  vocabularySize: positiveInteger,
  contextLength: positiveInteger,
  text: orNull(fieldsOf({ tokens: count, fingerprint: count })),
  seconds: nonNegative,
  tokens: count,
})

/**
 * What a checkpoint says of its run. Nothing is taken on trust: whoever has the file may have written it.
 *
 * @throws SluiceError for a checkpoint that something else than training wrote, and for one whose configuration asks for another
 *   model or other data than the weights in it are of
 */
export function savedConfig(path: string, { config, tensors }: Pick<Checkpoint, 'config' | 'tensors'>): SavedConfig {
  const fail = (reason: string): never => {
    throw new SluiceError('train', `${path} is a checkpoint, but not one of a training run: ${reason}`)
  }
  const expected = isSaved(config)
  if (expected !== null) {
    return fail(
      (config as Partial<SavedConfig> | null)?.train ? `its config is not ${expected}` : 'it holds no configuration',
    )
  }
  const saved = config as SavedConfig
  const train = trainConfig(saved.train)
  const { vocabularySize, contextLength } = saved
  const { task, taskOptions, text } = train.data
  if (text !== undefined && saved.text === null) fail('its configuration names a text, and it says nothing of one')
  if (task !== undefined) {
    const own = taskNamed(task).vocabularySize({ batchSize: train.batchSize, ...taskOptions })
    if (own !== vocabularySize) fail(`its task has ${own} tokens, its vocabulary ${vocabularySize}`)
  }
  let held = 0
  for (const { shape } of part(tensors, 'model.').values()) held += sizeOf(shape)
  const wanted = parameterCount({ ...train.model, vocabularySize, contextLength })
  if (!(wanted <= held)) fail(`its configuration describes a model of ${wanted} parameters, it holds ${held}`)
  return { ...saved, train }
}

/** A model as a checkpoint or a configuration describes it. */
export function buildModel(
  config: TrainConfig,
  vocabularySize: number,
  contextLength: number,
  device?: string,
): Transformer {
  return new Transformer(transformerConfig({ ...config.model, vocabularySize, contextLength }), { device })
}

/** The tensors whose names begin with `prefix`, without it. */
export function part(tensors: ReadonlyMap<string, HostTensor>, prefix: string): Map<string, HostTensor> {
  return new Map([...tensors].flatMap(([name, t]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), t]] : [])))
}

/** A run as its newest checkpoint has it. */
export interface LoadedRun {
  /** With its trained weights. */
  model: Transformer
  /** What turns text into tokens; a task has none. */
  tokenizer: Tokenizer | undefined
  /** The configuration it was trained with. */
  config: TrainConfig
  /** Steps done. */
  step: number
}

/** Where the checkpoints of a run are: in its folder, in an archive, or one by itself. */
async function runFiles(folderOrFile: string): Promise<{ path: string; files: CheckpointFiles }> {
  if (folderOrFile.endsWith('.safetensors')) return { path: folderOrFile, files: nodeFiles }
  if (folderOrFile.endsWith(archiveExtension)) {
    const { name, files } = await readArchive(folderOrFile)
    return { path: checkpointFolder(name), files }
  }
  return { path: checkpointFolder(folderOrFile.replace(/[\\/]+$/, '')), files: nodeFiles }
}

/**
 * The model of a run, from its newest checkpoint, from one checkpoint file or from an archive.
 *
 * @throws SluiceError when there is no checkpoint, or it is damaged; it then names the whole one before it
 *
 * @example
 * const { model, tokenizer } = await loadRun('runs/moby-dick')
 */
export async function loadRun(folderOrFile: string, device?: string): Promise<LoadedRun> {
  const { path, files } = await runFiles(folderOrFile)
  const checkpoint = await readCheckpoint(path, { files })
  const { tensors, step } = checkpoint
  const saved = savedConfig(path, checkpoint)
  const drawn = defaultGenerator.state
  const model = buildModel(saved.train, saved.vocabularySize, saved.contextLength, device)
  // The initial weights are thrown away, so drawing them must not move the program's own random numbers.
  defaultGenerator.state = drawn
  try {
    model.loadStateDict(part(tensors, 'model.'))
  } catch (error) {
    model.dispose()
    throw error
  }
  return {
    model,
    tokenizer: saved.tokenizer ? tokenizerFromJSON(saved.tokenizer) : undefined,
    config: saved.train,
    step,
  }
}

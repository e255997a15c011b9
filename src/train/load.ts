/** What a checkpoint says of its run, and the trained model in it. */
import { SluiceError } from '../errors.ts'
import { Transformer, transformerConfig } from '../nn/index.ts'
import type { HostTensor } from '../tensor/host.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { archiveExtension, readArchive } from './archive.ts'
import { type CheckpointFiles, nodeFiles, readCheckpoint } from './checkpoint.ts'
import type { TrainConfig } from './config.ts'
import { checkpointFolder } from './run.ts'
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

/** @throws SluiceError for a checkpoint that something else than training wrote */
export function savedConfig(path: string, config: unknown): SavedConfig {
  const saved = config as Partial<SavedConfig> | null
  if (saved?.train && saved.vocabularySize && saved.contextLength) return saved as SavedConfig
  throw new SluiceError('train', `${path} is a checkpoint, but not one of a training run: it holds no configuration`)
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
  const { config, tensors, step } = await readCheckpoint(path, { files })
  const saved = savedConfig(path, config)
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

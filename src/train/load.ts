/** A trained model from the folder of its run. */
import type { Transformer } from '../nn/index.ts'
import type { HostTensor } from '../tensor/host.ts'
import { readCheckpoint } from './checkpoint.ts'
import type { TrainConfig } from './config.ts'
import { checkpointFolder } from './run.ts'
import { type Tokenizer, tokenizerFromJSON } from './tokenizer.ts'
import { buildModel, type SavedConfig } from './trainer.ts'

export interface LoadedRun {
  model: Transformer
  tokenizer: Tokenizer | undefined
  config: TrainConfig
  step: number
}

/**
 * The model of a run, from its newest checkpoint or from one checkpoint file.
 *
 * @throws SluiceError when there is no checkpoint, or it is damaged; it then names the whole one before it
 *
 * @example
 * const { model, tokenizer } = await loadRun('runs/moby-dick')
 */
export async function loadRun(folderOrFile: string, device?: string): Promise<LoadedRun> {
  const path = folderOrFile.endsWith('.safetensors')
    ? folderOrFile
    : checkpointFolder(folderOrFile.replace(/[\\/]+$/, ''))
  const { config, tensors, step } = await readCheckpoint(path)
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

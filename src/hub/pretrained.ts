/** Whole models from and to folders as Hugging Face lays them out. */
import { SluiceError } from '../errors.ts'
import { type DeviceOption, withoutDrawing } from '../nn/initial.ts'
import { Transformer } from '../nn/transformer.ts'
import { type HostTensor, toHost } from '../tensor/host.ts'
import { fill, type LeftOut, openCheckpoint } from './checkpoint.ts'
import { allWeights, decoderWeights } from './families/decoder.ts'
import { configText, type FamilyName, requireExpressible } from './families/family.ts'
import { familyFor, familyNamed } from './families/index.ts'
import type { RowMap } from './families/rows.ts'
import { nodeFiles, writeText } from './files.ts'
import { isWeightDType, type WeightDType } from './formats.ts'
import { saveSafetensors } from './open.ts'
import type { LazyTensor } from './safetensors-file.ts'

/** Where a model is loaded to, and what of it is left out. */
export interface LoadPretrainedOptions extends DeviceOption {
  /**
   * Weights to leave out: 'mtp' those of multi-token prediction, which are otherwise loaded as the model's `nextToken`;
   * 'visual' those of a part that sees images.
   */
  readonly ignore?: readonly LeftOut[]
}

/**
 * The model in a folder: config.json with `model.safetensors` or its index, of the families qwen3 (with the gates of the
 * gated-attention paper), qwen3_next, qwen3_5 and qwen3_5_moe.
 *
 * One weight at a time is in host memory besides the model. No random number is used up.
 *
 * @throws SluiceError naming the keys of config.json that are not understood, and weights that are missing, unexpected or
 *   misshapen
 *
 * @example
 * const model = await loadPretrained('Qwen3-0.6B')
 * const logits = model.forward(tokens)
 */
export async function loadPretrained(folder: string, options: LoadPretrainedOptions = {}): Promise<Transformer> {
  const { ignore, ...where } = options
  const operation = 'loadPretrained'
  const { config, weights, reader } = await openCheckpoint(operation, folder, ignore)
  try {
    const model = withoutDrawing(() => new Transformer(config, where))
    try {
      await fill(operation, model.namedTensors(), allWeights(weights), reader)
    } catch (error) {
      model.dispose()
      throw error
    }
    return model
  } finally {
    await reader.close()
  }
}

/** How a model is written. */
export interface SavePretrainedOptions {
  /** The first that can express the model unless given. */
  readonly family?: FamilyName
  /** How weights are written: 'float32', 'bfloat16', 'float16' or 'float64'; as the model's device holds them unless given. */
  readonly dtype?: WeightDType
  /** Divides the weights among files of at most so many bytes; one file unless given. */
  readonly shardBytes?: number
}

/**
 * Writes a model into a folder that `loadPretrained` reads, and transformers too: config.json and safetensors.
 *
 * Settings that only matter when a model is made or trained (dropout, gateStd, the coefficients of the experts' z-loss and of
 * multi-token prediction) are not kept. The weights of multi-token prediction are, under `mtp.`; transformers passes over them.
 *
 * @returns the name of the family
 * @throws SluiceError naming the setting that the family, or every family, cannot express; when the folder already holds a
 *   model; when a weight is too large for the dtype
 *
 * @example
 * await savePretrained(model, 'my-model', { dtype: 'bfloat16' })
 */
export async function savePretrained(
  model: Transformer,
  folder: string,
  options: SavePretrainedOptions = {},
): Promise<FamilyName> {
  const operation = 'savePretrained'
  const { dtype = model.tokenEmbedding.weight.dtype as WeightDType, shardBytes } = options
  const { config } = model
  const family = options.family === undefined ? familyFor(operation, config) : familyNamed(operation, options.family)
  requireExpressible(operation, family, config)
  if (!isWeightDType(dtype)) {
    throw new SluiceError(operation, `dtype must be float32, float64, float16 or bfloat16, got ${String(dtype)}`)
  }
  await nodeFiles.makeFolder(folder)
  const before = (await nodeFiles.list(folder)).find((name) => name === 'config.json' || /\.safetensors\b/.test(name))
  if (before !== undefined) {
    throw new SluiceError(operation, `${folder} already holds ${before}; give a new folder, or remove what is in it`)
  }
  const maps = allWeights(decoderWeights(config, family.layout))
  await saveSafetensors(`${folder}/model.safetensors`, fileTensors(model, maps), {
    dtype,
    shardBytes,
    // transformers asks for it.
    metadata: { format: 'pt' },
  })
  await writeText(operation, `${folder}/config.json`, configText({ ...family.write(config), dtype }))
  return family.name
}

/** The tensors of the file, each made when it is asked for from those of the model. */
function fileTensors(model: Transformer, maps: readonly RowMap[]): Map<string, LazyTensor> {
  const tensors = model.namedTensors()
  const dtype = model.tokenEmbedding.weight.dtype as 'float32' | 'float64'
  // A stack of experts is read once for all that are written of it, one after another.
  let last: { readonly name: string; readonly copy: HostTensor } | undefined
  const read = async (name: string): Promise<HostTensor> => {
    if (last?.name !== name) {
      last = undefined
      last = { name, copy: await toHost(tensors.get(name)!) }
    }
    return last.copy
  }
  return new Map(
    maps.flatMap((map) =>
      map.file.map(({ name, shape }, i): [string, LazyTensor] => [
        name,
        { dtype, shape, read: () => map.save(i, read, dtype) },
      ]),
    ),
  )
}

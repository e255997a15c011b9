/** The batches of a run: training batches in an order fixed by the seed, and held-out ones that never change. */
import { SluiceError } from '../errors.ts'
import { Generator } from '../tensor/random.ts'
import type { TrainConfig } from './config.ts'
import { ignoredTarget, taskNamed } from './tasks.ts'
import { mostTokens } from './tasks-definition.ts'
import { heldOutBatches, loadText, splitTokens, type TokenBatch, textBatch } from './text.ts'
import { ByteTokenizer, CharTokenizer, type Tokenizer, type TokenizerJSON, tokenizerFromJSON } from './tokenizer.ts'

/** What a run learns from and is tested on. */
export interface RunData {
  /** V, how many tokens there are. */
  readonly vocabularySize: number
  /** T, tokens a sequence. */
  readonly contextLength: number
  /** What turns text into tokens; a task has none. */
  readonly tokenizer: Tokenizer | undefined
  /** Targets that do not count. */
  readonly ignoreIndex: number | undefined
  /** Text that the run learns from and is tested on, as tokens. */
  readonly text:
    | {
        readonly train: Int32Array
        readonly heldOut: Int32Array
        readonly characters: number
        /** Hash of all tokens, that a resumed run knows its text by. */
        readonly fingerprint: number
      }
    | undefined
  /** Batches of the held-out loss, always the same. */
  readonly heldOut: readonly TokenBatch[]
  /** The stream that training batches are drawn from; its state belongs in a checkpoint. */
  readonly generator: Generator
  /** The next training batch, drawn with `generator`. */
  next(): TokenBatch
}

/** Keeps the streams of data, of held-out tasks and of weights apart, all from one seed. */
const STREAMS = 4
export const streamSeed = (seed: number, stream: number): number => seed * STREAMS + stream

/**
 * Readies the data of a run.
 *
 * @param text the text itself, where the caller has it; else it is read from `config.data.text`
 * @param tokenizerJSON the tokenizer of a checkpoint, so that a resumed run reads as the first one did
 * @throws SluiceError for a text that is missing, empty, not UTF-8 or shorter than one context, and for unknown tasks
 */
export async function loadData(config: TrainConfig, text?: string, tokenizerJSON?: TokenizerJSON): Promise<RunData> {
  const generator = new Generator(streamSeed(config.seed, 1))
  return config.data.task === undefined
    ? textData(config, generator, text, tokenizerJSON)
    : taskData(config, config.data.task, generator)
}

async function textData(
  config: TrainConfig,
  generator: Generator,
  given: string | undefined,
  tokenizerJSON: TokenizerJSON | undefined,
): Promise<RunData> {
  const { data, batchSize, contextLength, evaluationBatches } = config
  if (given === undefined && data.text === undefined) {
    throw new SluiceError('train', 'there is nothing to learn from: give data.text, the path of a text, or data.task')
  }
  const text = given ?? (await loadText(data.text!))
  if (text === '') throw new SluiceError('train', 'the text is empty; give one to learn from')
  const tokenizer: Tokenizer = tokenizerJSON
    ? tokenizerFromJSON(tokenizerJSON)
    : data.tokenizer === 'byte'
      ? new ByteTokenizer()
      : CharTokenizer.fromText(text)
  const ids = tokenizer.encode(text)
  const { train, heldOut } = splitTokens(ids, data.heldOutShare)
  requireContexts(train, heldOut, contextLength)
  return {
    vocabularySize: tokenizer.vocabularySize,
    contextLength,
    tokenizer,
    ignoreIndex: undefined,
    text: { train, heldOut, characters: characterCount(text), fingerprint: fingerprint(ids) },
    heldOut: heldOutBatches(heldOut, batchSize, contextLength, evaluationBatches),
    generator,
    next: () => textBatch(train, batchSize, contextLength, generator),
  }
}

/** Both parts of a text must hold a context, or training would only find out at its first step or first held-out loss. */
function requireContexts(train: Int32Array, heldOut: Int32Array, contextLength: number): void {
  const needed = contextLength + 1
  if (train.length >= needed && heldOut.length >= needed) return
  throw new SluiceError(
    'train',
    `the text has ${train.length} tokens to train on and ${heldOut.length} held out, a contextLength of ` +
      `${contextLength} needs ${needed} of each (the context and the token after it); give more text or a shorter context`,
  )
}

/** Code points, of which a text in JavaScript may have fewer than its length. */
function characterCount(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}

/** FNV-1a over the tokens, 32 bits: to notice that a file was edited, not to withstand an attack. */
function fingerprint(ids: Int32Array): number {
  let hash = 0x811c9dc5
  for (const id of ids) hash = Math.imul(hash ^ id, 0x01000193)
  return hash >>> 0
}

function taskData(config: TrainConfig, name: string, generator: Generator): RunData {
  const task = taskNamed(name)
  const options = { batchSize: config.batchSize, ...config.data.taskOptions }
  const held = new Generator(streamSeed(config.seed, 2))
  const first = task.generate(held, options)
  if (first.inputs.length * config.evaluationBatches > mostTokens) {
    const asked = `${config.evaluationBatches} batches of ${first.B} rows of ${first.T} tokens`
    throw new SluiceError(
      'train',
      `evaluationBatches: ${asked} are too many to hold out; ${mostTokens} tokens are the most`,
    )
  }
  const rest = Array.from({ length: config.evaluationBatches - 1 }, () => task.generate(held, options))
  const heldOut = [first, ...rest]
  return {
    vocabularySize: heldOut[0].vocabularySize,
    contextLength: heldOut[0].T,
    tokenizer: undefined,
    ignoreIndex: ignoredTarget,
    text: undefined,
    heldOut,
    generator,
    next: () => task.generate(generator, options),
  }
}

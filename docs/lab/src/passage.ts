/** The tokens that the models are looked at with, and how tokens are written. */
import { SluiceError } from '../../../src/errors.ts'
import type { DataConfig } from '../../../src/train/config.ts'
import type { RunData } from '../../../src/train/data.ts'
import { ignoredTarget, taskNamed } from '../../../src/train/tasks.ts'
import type { TokenBatch } from '../../../src/train/text.ts'
import { rows } from './look.ts'
import type { Passage } from './protocol.ts'

/** Held-out sequences. */
export const passageCount = ({ heldOut }: RunData): number => heldOut.reduce((sum, { B }) => sum + B, 0)

/**
 * One row of tokens with what is asked at each.
 *
 * @throws SluiceError for nothing typed, and for what no token is
 */
export function readPassage(passage: Passage, data: RunData, labels: readonly string[]): TokenBatch {
  if (passage.from === 'typed') return typed(passage.text, data, labels)
  let index = passage.index % passageCount(data)
  for (const batch of data.heldOut) {
    if (index < batch.B) return rows(batch, index, 1)
    index -= batch.B
  }
  throw new SluiceError('lab', 'there are no held-out sequences')
}

function typed(text: string, data: RunData, labels: readonly string[]): TokenBatch {
  const ids = data.tokenizer ? data.tokenizer.encode(text) : idsOf(text, labels)
  const inputs = ids.slice(-data.contextLength)
  const T = inputs.length
  if (T === 0) throw new SluiceError('lab', 'there is nothing to read; type at least one token')
  const targets = new Int32Array(T).fill(ignoredTarget)
  if (asksForTheNext(data)) targets.set(inputs.subarray(1))
  return { inputs, targets, B: 1, T }
}

function idsOf(text: string, labels: readonly string[]): Int32Array {
  const words = text.split(/\s+/).filter((word) => word !== '')
  return Int32Array.from(words, (word) => {
    const id = labels.indexOf(word)
    if (id >= 0) return id
    throw new SluiceError('lab', `there is no token '${word}'; the tokens are ${shown(labels)}`)
  })
}

const shown = (labels: readonly string[]): string =>
  labels.length <= 12 ? labels.join(' ') : `${labels.slice(0, 8).join(' ')} … ${labels.at(-1)}`

/** Whether what is asked is always the token that follows: then it is known of any sequence. */
const asksForTheNext = ({ heldOut }: RunData): boolean =>
  heldOut.every(({ inputs, targets, T }) => targets.every((target, i) => i % T === T - 1 || target === inputs[i + 1]))

/** How each token is written, by its id. */
export function labelsOf({ vocabularySize, tokenizer }: RunData, { task, taskOptions }: DataConfig): string[] {
  if (task !== undefined) return taskNamed(task).tokens(taskOptions)
  return Array.from({ length: vocabularySize }, (_, id) => {
    if (tokenizer?.kind !== 'byte') return tokenizer!.decode([id])
    return id > 32 && id < 127 ? String.fromCharCode(id) : id.toString(16).padStart(2, '0')
  })
}

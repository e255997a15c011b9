/** The tokenizers of checkpoints: tokenizer.json, through the optional package @huggingface/tokenizers. */
import { SluiceError } from '../errors.ts'
import { showValue } from '../shown.ts'
import { nodeFiles, readUpTo, reason } from './files.ts'
import { parseJson } from './json.ts'
import { endlessPattern, mostTokens, wildId } from './tokenizer-patterns.ts'

const packageName = '@huggingface/tokenizers'

/** Bytes of a tokenizer.json; those of vocabularies of a quarter million take 35 MB. */
const longestFile = 2 ** 26

/** What is used of the package. */
export interface TokenizerLibrary {
  /** Made of tokenizer.json and tokenizer_config.json, parsed; text to ids, ids to text, and the vocabulary. */
  readonly Tokenizer: new (
    tokenizer: object,
    config: object,
  ) => {
    encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: readonly number[] }
    decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string
    get_vocab(withAddedTokens: boolean): ReadonlyMap<string, number>
  }
}

/** Which library reads the file. */
export interface LoadTokenizerOptions {
  /** The package, for programs that have imported it themselves, as bundled ones must; imported when needed unless given. */
  readonly library?: TokenizerLibrary
}

/** Text to ids and back, as a checkpoint's own tokenizer does it. */
export interface PretrainedTokenizer {
  /** One more than the largest id. A model's vocabulary may be larger: it is often padded. */
  readonly vocabularySize: number
  /** One id a token; no token is added at the beginning or the end. */
  encode(text: string): Int32Array
  /** Special tokens are kept. Throws a SluiceError for an id outside [0, vocabularySize). */
  decode(ids: ArrayLike<number>): string
}

async function importLibrary(): Promise<TokenizerLibrary> {
  try {
    return (await import(/* @vite-ignore */ packageName)) as TokenizerLibrary
  } catch (error) {
    throw new SluiceError(
      'loadTokenizer',
      `tokenizer.json is read with ${packageName}; install it: npm install ${packageName} (${reason(error)})`,
    )
  }
}

async function readJson(path: string): Promise<object> {
  try {
    return parseJson(await readUpTo(path, longestFile)) as object
  } catch (error) {
    throw new SluiceError('loadTokenizer', `${path} cannot be read: ${reason(error)}`)
  }
}

/**
 * The tokenizer in a folder: tokenizer.json, with tokenizer_config.json where there is one.
 *
 * The file brings regular expressions, which the engine of JavaScript runs: those of exponential time are refused, one of polynomial
 * time is not found out. Encode long texts with a file of unknown origin in a worker.
 *
 * @throws SluiceError that says what to install, or what is wrong with the files
 *
 * @example
 * const tokenizer = await loadTokenizer('Qwen3-0.6B')
 * tokenizer.decode(tokenizer.encode('Call me Ishmael.')) // 'Call me Ishmael.'
 */
export async function loadTokenizer(folder: string, options: LoadTokenizerOptions = {}): Promise<PretrainedTokenizer> {
  const names = await nodeFiles.list(folder).catch((error: unknown) => {
    throw new SluiceError('loadTokenizer', `${folder} cannot be listed: ${reason(error)}`)
  })
  if (!names.includes('tokenizer.json')) throw new SluiceError('loadTokenizer', `${folder} holds no tokenizer.json`)
  const json = await readJson(`${folder}/tokenizer.json`)
  const refuse = (what: string): never => {
    throw new SluiceError('loadTokenizer', `${folder}/tokenizer.json has the ${what}`)
  }
  const endless = endlessPattern(json)
  if (endless !== undefined) {
    refuse(`pattern ${showValue(endless)}, which may take exponential time: a group with choices is repeated`)
  }
  const wild = wildId(json)
  if (wild !== undefined) refuse(`id ${showValue(wild)}, expected integers below ${mostTokens}`)
  const vocab = (json as { model?: { vocab?: unknown } | null } | null)?.model?.vocab
  if (typeof vocab !== 'object' || vocab === null) {
    refuse(`vocabulary ${showValue(vocab)}, expected an object or a list`)
  }
  const hasConfig = names.includes('tokenizer_config.json')
  const config = hasConfig ? await readJson(`${folder}/tokenizer_config.json`) : {}
  const { Tokenizer } = options.library ?? (await importLibrary())
  const guarded = <R>(what: string, body: () => R): R => {
    try {
      return body()
    } catch (error) {
      throw new SluiceError('loadTokenizer', `${folder}: ${what} failed in ${packageName}: ${reason(error)}`)
    }
  }
  const inner = guarded('reading tokenizer.json', () => new Tokenizer(json, config))
  let vocabularySize = 0
  for (const id of guarded('reading the vocabulary', () => inner.get_vocab(true)).values()) {
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new SluiceError(
        'loadTokenizer',
        `${folder}: the vocabulary has the id ${showValue(id)}, expected an integer from 0`,
      )
    }
    vocabularySize = Math.max(vocabularySize, id + 1)
  }
  return {
    vocabularySize,
    encode: (text) => {
      const { ids } = guarded('encoding', () => inner.encode(text, { add_special_tokens: false }))
      const wrong = ids.findIndex((id) => !Number.isInteger(id))
      if (wrong >= 0) throw new SluiceError('encode', `token ${wrong} of the text is not in the vocabulary`)
      return Int32Array.from(ids)
    },
    decode: (ids) => {
      const list = Array.from(ids)
      const wrong = list.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabularySize)
      if (wrong >= 0) {
        throw new SluiceError('decode', `id ${list[wrong]} at position ${wrong} is outside [0, ${vocabularySize})`)
      }
      // The package refuses an empty list.
      if (list.length === 0) return ''
      const asItIs = { skip_special_tokens: false, clean_up_tokenization_spaces: false }
      return guarded('decoding', () => inner.decode(list, asItIs))
    },
  }
}

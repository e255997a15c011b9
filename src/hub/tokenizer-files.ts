/** Tokenizers of characters and of bytes as tokenizer.json, which huggingface/tokenizers reads. */

/** What such a tokenizer is: an alphabet in the order of its ids, or the 256 bytes of UTF-8. */
export type SimpleTokenizer = { readonly kind: 'character'; readonly characters: string } | { readonly kind: 'byte' }

/** One token a character: every code point is a word of its own, and words are joined again without spaces. */
function characterModel(characters: string): object {
  const vocab = Object.fromEntries([...characters].map((character, id) => [character, id]))
  return {
    pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
    decoder: { type: 'Fuse' },
    // The unknown token is not in the vocabulary on purpose: another character is an error there too.
    model: { type: 'WordLevel', vocab, unk_token: '<unk>' },
  }
}

/** One token a byte: no character is in the vocabulary, so each falls back to its bytes. */
function byteModel(): object {
  const name = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
  const vocab = Object.fromEntries(Array.from({ length: 256 }, (_, byte) => [name(byte), byte]))
  return {
    pre_tokenizer: null,
    decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
    model: { type: 'BPE', dropout: null, unk_token: null, fuse_unk: false, byte_fallback: true, vocab, merges: [] },
  }
}

/** Texts of files, by name: tokenizer.json and tokenizer_config.json. */
export function tokenizerFiles(tokenizer: SimpleTokenizer, contextLength: number): Record<string, string> {
  const model = tokenizer.kind === 'byte' ? byteModel() : characterModel(tokenizer.characters)
  const json = {
    ...{ version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null, post_processor: null },
    ...model,
  }
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: contextLength,
    clean_up_tokenization_spaces: false,
  }
  const text = (value: object) => `${JSON.stringify(value, null, 2)}\n`
  return { 'tokenizer.json': text(json), 'tokenizer_config.json': text(config) }
}

/** Reading another program's config.json: every key is checked, and none is passed over. */
import { SluiceError } from '../../errors.ts'
import { type Check, isRecord } from '../../nn/validate.ts'
import { showName, showValue } from '../../shown.ts'

/** At most this many unknown keys stand in one message. */
const NAMED = 20

/** Keys that say nothing about what the model computes. */
const inert = [
  ...[
    'architectures',
    'auto_map',
    'model_type',
    'name_or_path',
    '_name_or_path',
    '_commit_hash',
    'transformers_version',
  ],
  ...['dtype', 'torch_dtype', 'mamba_ssm_dtype', 'use_cache', 'return_dict', '_attn_implementation'],
  ...['bos_token_id', 'eos_token_id', 'pad_token_id', 'attention_dropout'],
  ...['output_router_logits', 'output_attentions', 'output_hidden_states'],
]

export class Settings {
  readonly #operation: string
  readonly #given: Readonly<Record<string, unknown>>
  readonly #path: string
  readonly #seen = new Set<string>()

  /** @param path of the object inside the file, for messages, such as 'text_config.' */
  constructor(operation: string, given: Readonly<Record<string, unknown>>, path = '') {
    this.#operation = operation
    this.#given = given
    this.#path = path
  }

  fail(message: string): never {
    throw new SluiceError(this.#operation, message)
  }

  /** The key as messages name it, with its value. */
  show(key: string): string {
    return `${this.#path}${showName(key)} ${showValue(this.#given[key], 100)}`
  }

  /** Whether the key is there with another value than null. */
  has(key: string): boolean {
    return this.#given[key] !== undefined && this.#given[key] !== null
  }

  /** The value of a key, which must satisfy `check`; `fallback` where it is missing or null. */
  take<T>(key: string, check: Check, fallback?: T): T {
    this.#seen.add(key)
    if (!this.has(key)) {
      if (fallback !== undefined) return fallback
      this.fail(`${this.#path}${key} is missing`)
    }
    const expected = check(this.#given[key])
    if (expected !== null) this.fail(`${this.show(key)} must be ${expected}`)
    return this.#given[key] as T
  }

  /** The settings in an object; none where it is missing or null. */
  inner(key: string): Settings {
    const check: Check = (value) => (isRecord(value) ? null : 'an object')
    const given = this.take<Record<string, unknown>>(key, check, {})
    return new Settings(this.#operation, given, `${this.#path}${key}.`)
  }

  /** Refuses a key that asks for what cannot be done: with any value but these, null, or none at all. */
  only(key: string, values: readonly unknown[], what: string): void {
    this.#seen.add(key)
    if (this.has(key) && !values.includes(this.#given[key])) this.fail(`${this.show(key)}: ${what}`)
  }

  /** Passes over keys that make no difference here. */
  pass(...keys: string[]): void {
    for (const key of keys) this.#seen.add(key)
  }

  /** Refuses keys that nobody asked for: they may change what the model computes. Null says that something is off. */
  finish(): void {
    this.pass(...inert)
    const unknown = Object.keys(this.#given).filter((key) => this.has(key) && !this.#seen.has(key))
    if (unknown.length === 0) return
    const more = unknown.length > NAMED ? ` and ${unknown.length - NAMED} more` : ''
    const named = unknown.slice(0, NAMED).map((key) => this.show(key))
    this.fail(
      `${named.join(', ')}${more}: not known here, and may change what the model computes; remove it from config.json if it does not`,
    )
  }
}

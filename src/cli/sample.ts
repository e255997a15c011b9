/** `sluice sample`: text from a trained run. */
import { parseArgs } from 'node:util'
import { device } from '../device/registry.ts'
import { SluiceError } from '../errors.ts'
import { Generator } from '../tensor/random.ts'
import { generate } from '../train/generate.ts'
import { loadRun } from '../train/load.ts'
import type { Tokenizer } from '../train/tokenizer.ts'
import { finiteNumber, wholeNumber } from './options.ts'

const usage = `usage: sluice sample RUN [options]

  RUN                a run's folder, its zip, or one checkpoint file
  --prompt TEXT      text to go on from (default: a line break)
  --length N         tokens to add (default 300)
  --temperature X    0 takes the most likely token; default 0.8
  --top-k N          only the N most likely tokens
  --top-p X          only the most likely tokens that reach probability X together
  --seed N           default 0
  --device NAME      cpu (default), reference, or auto`

export const sample = {
  summary: 'print text from a trained run',
  usage,
  async run(given: string[]): Promise<void> {
    const text = { type: 'string' } as const
    const { values, positionals } = parseArgs({
      args: given,
      allowPositionals: true,
      options: {
        prompt: text,
        length: text,
        temperature: text,
        'top-k': text,
        'top-p': text,
        seed: text,
        device: text,
      },
    })
    if (positionals.length !== 1) throw new SluiceError('sluice sample', `expected one run, got ${positionals.length}`)
    const chosen = await device(values.device ?? 'auto')
    const { model, tokenizer } = await loadRun(positionals[0], chosen.name)
    if (!tokenizer)
      throw new SluiceError('sluice sample', 'this run learned a generated task, which has no text to sample')
    const { prompt, ids } = promptOf(tokenizer, values.prompt)
    const printer = new TokenPrinter(tokenizer, prompt)
    await generate(model, ids, {
      length: wholeNumber('length', values.length) ?? 300,
      temperature: finiteNumber('temperature', values.temperature) ?? 0.8,
      topK: wholeNumber('top-k', values['top-k']),
      topP: finiteNumber('top-p', values['top-p']),
      generator: new Generator(wholeNumber('seed', values.seed) ?? 0),
      onToken: (token) => printer.add(token),
    })
    printer.finish()
    model.dispose()
  },
}

/** The prompt as text and tokens; without one a line break, or the first token where a text had no line breaks. */
function promptOf(tokenizer: Tokenizer, given: string | undefined): { prompt: string; ids: Int32Array } {
  if (given !== undefined) return { prompt: given, ids: tokenizer.encode(given) }
  try {
    return { prompt: '\n', ids: tokenizer.encode('\n') }
  } catch {
    const ids = Int32Array.of(0)
    return { prompt: tokenizer.decode(ids), ids }
  }
}

/** Prints tokens as they come, each character when all of its bytes are there. */
class TokenPrinter {
  readonly #tokenizer: Tokenizer
  /** Shown with the first token, so that nothing is printed before all options were found right. */
  #before: string
  #pending: number[] = []

  constructor(tokenizer: Tokenizer, prompt: string) {
    this.#tokenizer = tokenizer
    this.#before = prompt
  }

  add(token: number): void {
    this.#pending.push(token)
    // No character of UTF-8 has more than four bytes: what is not one by then never will be.
    const text = this.#tokenizer.decode(this.#pending)
    if (!text.endsWith('\uFFFD') || this.#pending.length >= 4) this.#print(text)
  }

  finish(): void {
    this.#print(`${this.#tokenizer.decode(this.#pending)}\n`)
  }

  #print(text: string): void {
    process.stdout.write(this.#before + text)
    this.#before = ''
    this.#pending = []
  }
}

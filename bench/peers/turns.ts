/** The engines in turns: all of them in every round, so that a drift of the machine meets all. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { json } from '../options.ts'
import { type Table, tableInMarkdown, tableInText } from '../table.ts'
import type { Engine } from './engines.ts'
import { ask, type Command } from './process.ts'
import { measurer, type PeerRecord, type Problem, type Results, showHead, threadsInWords } from './records.ts'
import type { PeerSettings } from './settings.ts'

/** One thing to measure, with every engine that can. */
export interface Work {
  readonly what: string
  /** Undefined where the engine has no such thing. */
  readonly command: (engine: Engine) => Command | undefined
}

/**
 * Measures everything in every round. What fails once is not tried again.
 *
 * @param save called after each piece of work, so that a run that is cut keeps what it had
 * @param tell what is being done
 */
export async function takeTurns<Line>(
  engines: readonly Engine[],
  work: readonly Work[],
  { rounds, limit }: PeerSettings,
  save: (records: readonly PeerRecord<Line>[], problems: readonly Problem[]) => Promise<void>,
  tell: (text: string) => void = console.error,
): Promise<void> {
  const records: PeerRecord<Line>[] = []
  const problems: Problem[] = []
  const failed = new Set<string>()
  for (const engine of engines) {
    if (engine.missing !== undefined) problems.push({ ...measurer(engine), why: engine.missing })
  }
  const present = engines.filter(({ missing }) => missing === undefined)
  const begin = performance.now()
  for (let round = 1; round <= rounds; round++) {
    for (const { what, command } of work) {
      for (const engine of present) {
        const given = command(engine)
        const key = JSON.stringify([what, engine.name, engine.threads])
        if (given === undefined || failed.has(key)) continue
        const seconds = ((performance.now() - begin) / 1000).toFixed(0)
        tell(`${seconds} s, round ${round}: ${what}, ${engine.name}, ${threadsInWords(engine.threads)}`)
        const answer = await ask(given, limit)
        if ('line' in answer) {
          records.push({ ...measurer(engine), what, round, line: answer.line as Line })
        } else {
          failed.add(key)
          problems.push({ ...measurer(engine), what, why: answer.why })
          tell(`  not measured: ${answer.why}`)
        }
      }
      await save(records, problems)
    }
  }
}

const textOf = <Line>(results: Results<Line>, tables: readonly Table[]): string =>
  [showHead(results).join('\n'), ...tables.map(tableInText)].join('\n\n')

export const markdownOf = <Line>(title: string, results: Results<Line>, tables: readonly Table[]): string =>
  [
    `# ${title}, ${results.machine.date.slice(0, 10)}`,
    showHead(results)
      .map((line) => `- ${line}`)
      .join('\n'),
    ...tables.map(tableInMarkdown),
  ].join('\n\n')

/** Writes `<date>-<name>.json` and `.md`, and shows the tables when a run is done. */
export class Report<Line> {
  readonly #title: string
  readonly #file: string
  readonly #tables: (results: Results<Line>) => Table[]

  constructor(
    title: string,
    name: string,
    { out, label }: PeerSettings,
    date: string,
    tables: (results: Results<Line>) => Table[],
  ) {
    this.#title = title
    this.#file = join(out, `${date.slice(0, 10)}-${name}${label === undefined ? '' : `-${label}`}`)
    this.#tables = tables
  }

  async write(results: Results<Line>): Promise<void> {
    await mkdir(join(this.#file, '..'), { recursive: true })
    await writeFile(`${this.#file}.json`, json(results))
    await writeFile(`${this.#file}.md`, `${markdownOf(this.#title, results, this.#tables(results))}\n`)
  }

  show(results: Results<Line>): void {
    console.log(textOf(results, this.#tables(results)))
    console.log(`\nwrote ${this.#file}.json and .md`)
  }
}

/** Which blocks of the code under test were reached, as V8 counts them. */
import { type Profiler, Session } from 'node:inspector'

/** The code whose blocks count: the project's own, and the libraries that see a file's bytes. */
const watched = /\/dist-bench\/(?:src|docs\/lab\/src)\/|\/node_modules\/(?:fflate|@huggingface)\//

export class Coverage {
  readonly #session = new Session()
  readonly #known = new Set<string>()

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Blocks that are known; one that ran four times as often as before counts once more. */
  get size(): number {
    return this.#known.size
  }

  /** The blocks that ran since the last call. */
  take(): string[] {
    let result: Profiler.ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (_, taken) => {
      result = taken.result
    })
    return result
      .filter(({ url }) => watched.test(url))
      .flatMap(({ scriptId, functions }) => functions.flatMap(({ ranges }) => ranges.flatMap(blockOf(scriptId))))
  }

  /** Whether there are any that are not known. */
  isNews(blocks: readonly string[]): boolean {
    return blocks.some((block) => !this.#known.has(block))
  }

  learn(blocks: readonly string[]): void {
    for (const block of blocks) this.#known.add(block)
  }

  stop(): void {
    this.#session.disconnect()
  }
}

const blockOf =
  (script: string) =>
  ({ startOffset, endOffset, count }: Profiler.CoverageRange): string[] =>
    count > 0 ? [`${script}:${startOffset}:${endOffset}:${Math.ceil(Math.log2(count) / 2)}`] : []

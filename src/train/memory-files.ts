/** Files in memory, for runs where there is no disk: in a browser, and out of an archive. A folder without files is an empty one. */
import type { CheckpointFiles } from './checkpoint.ts'

export class MemoryFiles implements CheckpointFiles {
  readonly #contents: Map<string, Uint8Array>

  /** @param contents bytes by path, with '/' between folders; not copied */
  constructor(contents: Iterable<readonly [path: string, bytes: Uint8Array]> = []) {
    this.#contents = new Map(contents)
  }

  /** Every file by its path. */
  get contents(): ReadonlyMap<string, Uint8Array> {
    return this.#contents
  }

  async makeFolder(): Promise<void> {}

  async list(path: string): Promise<string[]> {
    const inside = [...this.#contents.keys()].filter((file) => file.startsWith(`${path}/`))
    return [...new Set(inside.map((file) => file.slice(path.length + 1).split('/')[0]!))]
  }

  async read(path: string): Promise<Uint8Array> {
    const bytes = this.#contents.get(path)
    if (!bytes) throw new Error(`there is no file ${path}`)
    return bytes
  }

  async create(path: string) {
    const parts: Uint8Array[] = []
    return {
      write: async (bytes: Uint8Array) => void parts.push(new Uint8Array(bytes)),
      async sync() {},
      close: async () => {
        const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
        let at = 0
        for (const part of parts) {
          whole.set(part, at)
          at += part.length
        }
        this.#contents.set(path, whole)
      },
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.#contents.set(to, await this.read(from))
    this.#contents.delete(from)
  }

  async syncFolder(): Promise<void> {}

  async remove(path: string): Promise<void> {
    this.#contents.delete(path)
  }
}

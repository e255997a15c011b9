/** What a page and an exercise import, `sluice` and its parts, as files of this checkout: nothing has to be built first. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The project's folder. Commands start there, and so do the tests. */
export const root = process.cwd()

export const walkthroughs = join(root, 'docs/walkthroughs')

/** `sluice/nn` -> /…/src/nn/index.ts, for every entry of the package. */
export function packageEntries(): Record<string, string> {
  const { name, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string
    exports: Record<string, string | { default: string }>
  }
  const entries: Record<string, string> = {}
  for (const [path, target] of Object.entries(exports)) {
    if (typeof target === 'string') continue
    const source = target.default.replace('./dist/', '').replace(/\.js$/, '.ts')
    entries[name + path.slice(1)] = join(root, source)
  }
  return entries
}

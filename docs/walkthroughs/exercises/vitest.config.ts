/** How the exercises' tests run: on this checkout's own `sluice`, against the reader's files or the solutions. */
import { dirname, join } from 'node:path'
import { defineConfig, type Plugin } from 'vitest/config'
import { packageEntries } from '../tools/entries.ts'

/** A test's `./04-cube.ts` is the solution, when the solutions are asked for. */
const solutions: Plugin = {
  name: 'solutions',
  enforce: 'pre',
  resolveId(id, importer) {
    if (process.env.WALKTHROUGH_EXERCISES !== 'solution' || !importer?.endsWith('.test.ts')) return null
    return /^\.\/\d\d-/.test(id) ? join(dirname(importer), 'solutions', id) : null
  },
}

export default defineConfig({
  plugins: [solutions],
  resolve: {
    alias: Object.entries(packageEntries()).map(([name, file]) => ({
      find: new RegExp(`^${name}$`),
      replacement: file,
    })),
  },
  test: {
    setupFiles: ['docs/walkthroughs/exercises/setup.ts'],
    include: ['docs/walkthroughs/exercises/*.test.ts'],
    // One worker that loads the engine once: an exercise takes milliseconds, the engine a second.
    isolate: false,
    maxWorkers: 1,
    pool: 'forks',
    testTimeout: 60_000,
  },
})

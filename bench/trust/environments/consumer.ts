/** A folder with the built package in its `node_modules`, as a user's program has it, and the program. */
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Small enough for five steps in a second. */
const config = {
  batchSize: 4,
  evaluationBatches: 1,
  data: { taskOptions: { sequenceLength: 16, copyLength: 4 } },
  model: { width: 32, layers: 1, heads: 4, gate: 'headwise' },
}

export interface Consumer {
  readonly folder: string
  /** `sluice`, as a file. */
  readonly command: string
  remove(): Promise<void>
}

/** @throws where the package is not built */
export async function makeConsumer(): Promise<Consumer> {
  const require = createRequire(import.meta.url)
  const own = dirname(require.resolve('sluice/package.json'))
  const folder = await mkdtemp(join(tmpdir(), 'sluice-environments-'))
  const isRun = (path: string) => !/\.(map|d\.ts)$/.test(path)
  const to = (name: string) => join(folder, 'node_modules', name)
  await cp(join(own, 'dist'), join(to('sluice'), 'dist'), { recursive: true, filter: isRun })
  const text = await readFile(join(own, 'package.json'), 'utf8')
  await writeFile(join(to('sluice'), 'package.json'), text)
  const { dependencies, version } = JSON.parse(text) as { dependencies: Record<string, string>; version: string }
  for (const name of Object.keys(dependencies)) {
    const packageOf = join(own, 'node_modules', name)
    await cp(packageOf, to(name), { recursive: true, filter: isRun })
  }
  for (const file of ['models.mjs', 'program.mjs', 'page.mjs']) {
    await cp(join(own, 'bench/trust/environments', file), join(folder, file))
  }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', dependencies: { sluice: version } }))
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  // Other users read it, and one folder in it cannot be written to.
  await chmod(folder, 0o755)
  await mkdir(join(folder, 'fixed'))
  await chmod(join(folder, 'fixed'), 0o555)
  const command = join(to('sluice'), 'dist/src/cli/main.js')
  return { folder, command, remove: () => rm(folder, { recursive: true, force: true }) }
}

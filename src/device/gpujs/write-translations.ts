/**
 * Build step: writes `kernels/translations.js` beside the compiled kernels, with the WGSL of every kernel of this package.
 * A program that declares no kernel of its own then never loads gpu.js.
 *
 * Run with Node on the compiled files: `node dist/src/device/gpujs/write-translations.js`.
 */
import { readdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Kernel } from '../../../kernels/kernel.ts'
import { translate } from './gpujs.ts'

const folder = new URL('../../../kernels/', import.meta.url)

const isPlain = (value: unknown): value is Kernel =>
  typeof value === 'object' && value !== null && 'kind' in value && (value.kind === 'cell' || value.kind === 'map')

const imports: string[] = []
const entries: string[] = []
const seen = new Set<Kernel>()
for (const file of (await readdir(folder)).filter((name) => name.endsWith('.js')).sort()) {
  const module: Record<string, unknown> = await import(new URL(file, folder).href)
  const name = `file${imports.length}`
  const found = Object.entries(module).filter(([, value]) => isPlain(value) && !seen.has(value))
  if (found.length === 0) continue
  imports.push(`import * as ${name} from './${file}'`)
  for (const [key, value] of found) {
    seen.add(value as Kernel)
    entries.push(`  [${name}.${key}, ${JSON.stringify(translate(value as Kernel))}],`)
  }
}
const path = fileURLToPath(new URL('translations.js', folder))
await writeFile(
  path,
  `${[
    '// Made by the build from the kernels beside this file.',
    ...imports,
    '/** The translation of every kernel of this package. */',
    'export const translations = new Map([',
    ...entries,
    '])',
  ].join('\n')}\n`,
)
console.log(`${entries.length} kernels translated: ${path}`)

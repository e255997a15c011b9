/** The module that the build puts in the place of `kernels/translations.ts`: the WGSL of every kernel of some files. */
import type { Kernel } from '../../../kernels/kernel.ts'
import { translate } from './gpujs.ts'

const isPlain = (value: unknown): value is Kernel =>
  typeof value === 'object' && value !== null && 'kind' in value && (value.kind === 'cell' || value.kind === 'map')

/**
 * @param modules by the path to import each from, as the module being made sees it
 *
 * @example
 * translationsSource(new Map([['./norm.js', await import('./norm.js')]])) // "import * as file0 from './norm.js' …"
 */
export function translationsSource(modules: ReadonlyMap<string, Readonly<Record<string, unknown>>>): string {
  const imports: string[] = []
  const entries: string[] = []
  const seen = new Set<Kernel>()
  for (const [path, module] of modules) {
    const found = Object.entries(module).filter((entry): entry is [string, Kernel] => isPlain(entry[1]))
    const fresh = found.filter(([, kernel]) => !seen.has(kernel))
    if (fresh.length === 0) continue
    const name = `file${imports.length}`
    imports.push(`import * as ${name} from '${path}'`)
    for (const [key, kernel] of fresh) {
      seen.add(kernel)
      entries.push(`  [${name}.${key}, ${JSON.stringify(translate(kernel))}],`)
    }
  }
  return [
    '// Made by the build from the kernels named here.',
    ...imports,
    '/** The translation of every kernel of this package. */',
    'export const translations = new Map([',
    ...entries,
    '])',
    '',
  ].join('\n')
}

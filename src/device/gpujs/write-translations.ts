/**
 * Build step: writes `kernels/translations.js` beside the compiled kernels, with the WGSL of every kernel of this package.
 * A program that declares no kernel of its own then never loads gpu.js.
 *
 * Run with Node on the compiled files: `node dist/src/device/gpujs/write-translations.js`.
 */
import { readdir, writeFile } from 'node:fs/promises'
import { loadLibrary } from './library.ts'
import { translationsSource } from './translations-source.ts'

await loadLibrary('build')
const folder = new URL('../../../kernels/', import.meta.url)
const modules = new Map<string, Record<string, unknown>>()
for (const file of (await readdir(folder)).filter((name) => name.endsWith('.js')).sort()) {
  modules.set(`./${file}`, await import(new URL(file, folder).href))
}
await writeFile(new URL('translations.js', folder), translationsSource(modules))

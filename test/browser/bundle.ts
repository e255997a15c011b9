/** A page's program, bundled as an application that uses the package would be: with the built-in kernels translated. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { loadLibrary } from '../../src/device/gpujs/library.ts'
import { translationsSource } from '../../src/device/gpujs/translations-source.ts'

const root = join(import.meta.dirname, '../..')

/** Does what the package's build does: puts the translations in the place of the empty table. */
async function translated(): Promise<Plugin> {
  const folder = join(root, 'kernels')
  const modules = new Map<string, Record<string, unknown>>()
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.ts'))) {
    modules.set(join(folder, file), await import(join(folder, file)))
  }
  await loadLibrary('test')
  const contents = translationsSource(modules)
  return {
    name: 'translated kernels',
    setup(plugin) {
      plugin.onLoad({ filter: /kernels\/translations\.ts$/ }, () => ({ contents, resolveDir: folder, loader: 'ts' }))
    },
  }
}

/** Programs and style sheets of a page, by the path that it asks for each with. */
export async function bundle(entryPoints: readonly { in: string; out: string }[]): Promise<Map<string, string>> {
  const { outputFiles } = await build({
    entryPoints: [...entryPoints],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    outdir: '/',
    chunkNames: '[name]-[hash]',
    external: ['node:*'],
    write: false,
    plugins: [await translated()],
  })
  return new Map(outputFiles.map(({ path, text }) => [path, text]))
}

/** A page with one program. */
export async function bundlePage(entry: string): Promise<Map<string, string>> {
  const files = await bundle([{ in: join(import.meta.dirname, entry), out: 'page' }])
  files.set(
    '/',
    '<!doctype html><meta charset="utf-8"><title>Sluice</title><script type="module" src="/page.js"></script>',
  )
  return files
}

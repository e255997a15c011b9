/** What a bundler makes of the installed package: bytes that a page loads at its start, minified and gzipped. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build as esbuild } from 'esbuild'
import { build as vite } from 'vite'
import { printed } from './shell.ts'

/** Programs that print 'right'. */
export const programs: Readonly<Record<string, string>> = {
  'matmul alone': `
import { matmul, tensor } from 'sluice'
const y = await matmul(tensor([[1, 2]]), tensor([[3], [4]])).item()
console.log(y === 11 ? 'right' : y)`,
  'a training step': `
import { scope, tensor } from 'sluice'
import { Transformer } from 'sluice/nn'
import { AdamW, clipGradNorm, decayGroups } from 'sluice/optim'
const model = new Transformer({ vocabularySize: 4, width: 8, layers: 1, heads: 2, gate: 'elementwise' })
const optimizer = new AdamW(decayGroups(model, 0.1))
const tokens = tensor(Int32Array.of(0, 1, 2), { shape: [1, 3] })
const loss = scope(() => {
  const loss = model.loss(tokens, tokens)
  loss.backward()
  clipGradNorm(model.parameters(), 1)
  optimizer.step()
  return loss
})
console.log((await loss.item()) > 0 ? 'right' : 'no loss')`,
  'the whole core': `
import * as sluice from 'sluice'
console.log(Object.keys(sluice).length > 100 ? 'right' : 'names are missing')`,
}

interface Piece {
  readonly name: string
  readonly bytes: Uint8Array
  readonly isEntry: boolean
  /** Names of the pieces that it needs at once. */
  readonly needs: readonly string[]
}

type Bundler = (folder: string, entry: string) => Promise<Piece[]>

const withEsbuild: Bundler = async (folder, entry) => {
  const { outputFiles, metafile } = await esbuild({
    absWorkingDir: folder,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    external: ['gpu.js', 'node:*'],
    splitting: true,
    outdir: 'bundled',
    write: false,
    metafile: true,
  })
  return Object.entries(metafile.outputs).map(([path, { entryPoint, imports }]) => ({
    name: path.split('/').at(-1)!,
    bytes: outputFiles.find((file) => file.path.endsWith(path))!.contents,
    isEntry: entryPoint === entry,
    needs: imports
      .filter(({ kind, external }) => kind === 'import-statement' && !external)
      .map((found) => found.path.split('/').at(-1)!),
  }))
}

const withVite: Bundler = async (folder, entry) => {
  const built = await vite({
    root: folder,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: {
        input: join(folder, entry),
        external: ['gpu.js', /^node:/],
        output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
      },
    },
  })
  const [{ output }] = (Array.isArray(built) ? built : [built]) as { output: { type: string }[] }[]
  const chunks = output.filter(({ type }) => type === 'chunk') as unknown as {
    fileName: string
    code: string
    isEntry: boolean
    imports: string[]
  }[]
  return chunks.map(({ fileName, code, isEntry, imports }) => ({
    name: fileName,
    bytes: new TextEncoder().encode(code),
    isEntry,
    needs: imports,
  }))
}

export const bundlers: Readonly<Record<string, Bundler>> = { esbuild: withEsbuild, 'Vite (rolldown)': withVite }

/**
 * Gzipped bytes of all that the program loads before it runs.
 *
 * @throws Error when the bundle does not run, or says anything but 'right'
 */
export async function bundled(folder: string, bundler: Bundler, program: string): Promise<number> {
  await writeFile(join(folder, 'program.js'), program)
  const pieces = await bundler(folder, 'program.js')
  const atOnce = new Set(pieces.filter(({ isEntry }) => isEntry))
  for (const piece of atOnce) {
    for (const needed of pieces.filter(({ name }) => piece.needs.includes(name))) atOnce.add(needed)
  }
  const place = join(folder, 'bundled')
  await rm(place, { recursive: true, force: true })
  await mkdir(place)
  for (const { name, bytes } of pieces) await writeFile(join(place, name), bytes)
  const [entry] = [...atOnce].filter(({ isEntry }) => isEntry)
  const said = (await printed(place, process.execPath, entry.name)).trim()
  if (said !== 'right') throw new Error(`the bundle says ${said}`)
  return [...atOnce].reduce((sum, { bytes }) => sum + gzipSync(bytes, { level: 9 }).length, 0)
}

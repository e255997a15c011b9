/** What `npm pack` puts into the package: what is needed, all of it, and no more. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { megabytes, printed } from './shell.ts'

export interface Packed {
  readonly tarball: string
  /** Bytes of the tarball. */
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly string[]
}

/** The package as it is built, in a folder. */
export async function pack(folder: string): Promise<Packed> {
  const text = await printed('.', 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder)
  const [found] = JSON.parse(text) as {
    filename: string
    size: number
    unpackedSize: number
    files: { path: string }[]
  }[]
  const { filename, size, unpackedSize, files } = found
  return { tarball: join(folder, filename), size, unpackedSize, files: files.map(({ path }) => path) }
}

const single = ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'dist/src/train/report/charts.js.LEGAL.txt']

/** Sources as the repository has them, which every compiled file and every source map points to. */
async function sources(): Promise<string[]> {
  const listed = await Promise.all(
    ['src', 'kernels'].map(async (folder) =>
      (await readdir(folder, { recursive: true }))
        .filter((path) => path.endsWith('.ts'))
        .map((path) => join(folder, path)),
    ),
  )
  return listed.flat()
}

/** Files that are missing, and files that nobody needs, each in words. */
export async function misplaced({ files }: Packed): Promise<string[]> {
  const wanted = new Set(single)
  for (const path of await sources()) {
    wanted.add(path)
    const compiled = `dist/${path.replace(/\.ts$/, '')}`
    wanted.add(`${compiled}.js`).add(`${compiled}.d.ts`).add(`${compiled}.js.map`)
  }
  // Bundled anew after it was compiled: no map fits it.
  wanted.delete('dist/src/train/report/charts.js.map')
  const { exports, bin } = JSON.parse(await readFile('package.json', 'utf8')) as {
    exports: Record<string, { types: string; default: string } | string>
    bin: Record<string, string>
  }
  const targets = [...Object.values(exports), ...Object.values(bin)].flatMap((target) =>
    typeof target === 'string' ? [target] : [target.types, target.default],
  )
  for (const target of targets) wanted.add(target.replace(/^\.\//, ''))
  return [
    ...[...wanted].filter((path) => !files.includes(path)).map((path) => `${path} is missing`),
    ...files.filter((path) => !wanted.has(path)).map((path) => `${path} is not needed`),
  ]
}

export const sizes = ({ size, unpackedSize, files }: Packed): string =>
  `${megabytes(size)} packed, ${megabytes(unpackedSize)} in ${files.length.toLocaleString('en')} files`

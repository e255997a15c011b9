/** Programs of consumers, in fresh folders, from the packed tarball and without install scripts. */
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Scale } from '../row.ts'
import { bytesIn, printed } from './shell.ts'

const installed = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']

/** A folder with a package of its own, and the tarball installed in it. */
export async function install(folder: string, tarball: string, ...others: string[]): Promise<string> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', version: '1.0.0', type: 'module' }))
  await printed(folder, 'npm', ...installed, tarball, ...others)
  return folder
}

export interface Download {
  readonly packages: readonly string[]
  /** Of all that was installed. */
  readonly bytes: number
  /** Packages that would run a script when they are installed. */
  readonly scripts: readonly string[]
}

export async function download(folder: string): Promise<Download> {
  const lock = JSON.parse(await readFile(join(folder, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { hasInstallScript?: boolean; optional?: boolean; peer?: boolean }>
  }
  const names = Object.entries(lock.packages).filter(([path]) => path !== '')
  const isThere = await Promise.all(
    names.map(([path]) =>
      readFile(join(folder, path, 'package.json')).then(
        () => true,
        () => false,
      ),
    ),
  )
  const there = names
    .filter((_, i) => isThere[i])
    .map(([path, about]) => ({ path: path.replace(/^node_modules\//, ''), about }))
  return {
    packages: there.map(({ path }) => path),
    bytes: await bytesIn(join(folder, 'node_modules')),
    scripts: there.filter(({ about }) => about.hasInstallScript).map(({ path }) => path),
  }
}

/**
 * An example of `docs/examples` as a newcomer copies it. Its tools come from the registry, or, in the short form, from this
 * repository, which pins the same versions.
 */
export async function example(name: 'node' | 'vite', folder: string, tarball: string, scale: Scale): Promise<string> {
  const source = join('docs/examples', name)
  await cp(source, folder, { recursive: true })
  const about = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
    devDependencies: Record<string, string>
  }
  about.dependencies.sluice = `file:${tarball}`
  const tools = about.devDependencies
  if (scale === 'short') about.devDependencies = {}
  await writeFile(join(folder, 'package.json'), JSON.stringify(about))
  await printed(folder, 'npm', ...installed)
  if (scale === 'short') {
    for (const tool of Object.keys(tools)) {
      const place = join(folder, 'node_modules', tool)
      await mkdir(dirname(place), { recursive: true })
      await symlink(resolve('node_modules', tool), place)
    }
  }
  return folder
}

/** A tool's own file, run by Node: links in `.bin` are only there when npm made them. */
export const tools = {
  tsc: join('node_modules', 'typescript', 'bin', 'tsc'),
  vite: join('node_modules', 'vite', 'bin', 'vite.js'),
}

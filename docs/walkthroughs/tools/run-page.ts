/** Runs a page: its blocks as one module, in a process of its own, as a reader's program would run. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { packageEntries, root, walkthroughs } from './entries.ts'
import { moduleOf, type Page } from './page.ts'
import { BLOCK_MARK } from './record.ts'

export interface PageRun {
  /** What each block printed, by its index. */
  readonly outputs: ReadonlyMap<number, string>
  /** SVG by file name. */
  readonly pictures: ReadonlyMap<string, string>
  /** What it wrote to stderr: remarks about the machine, which are no part of the page. */
  readonly remarks: string
}

/**
 * @throws Error with what the page wrote to stderr, in which lines are the page's, when it ends with an error
 */
export async function runPage(page: Page): Promise<PageRun> {
  const cache = join(root, '.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'walkthrough-'))
  const pictures = join(folder, 'pictures')
  mkdirSync(pictures)
  try {
    const file = await bundle(page, folder)
    const { output, remarks } = await execute(file, { WALKTHROUGH_PICTURES: pictures, WALKTHROUGH_PAGE: page.number })
    return {
      outputs: splitOutput(output),
      remarks,
      pictures: new Map(readdirSync(pictures).map((name) => [name, readFileSync(join(pictures, name), 'utf8')])),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The page and the engine as JavaScript. Shared chunks keep the engine's names apart from the page's. */
async function bundle(page: Page, folder: string): Promise<string> {
  const entries = packageEntries()
  const source = join(walkthroughs, `${page.name}.md`)
  await build({
    entryPoints: [...Object.values(entries), source],
    entryNames: '[dir]/[name]',
    outbase: root,
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    alias: entries,
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'silent',
    plugins: [
      {
        name: 'walkthrough',
        setup(plugin) {
          // The page may be changed and not yet written.
          plugin.onResolve({ filter: /\.md$/ }, ({ path }) => ({ path }))
          plugin.onLoad({ filter: /\.md$/ }, () => ({
            contents: moduleOf(page),
            loader: 'ts',
            resolveDir: walkthroughs,
          }))
          // Errors name the first line outside the engine, so the engine must know where it comes from.
          plugin.onLoad({ filter: /src\/errors\.ts$/ }, ({ path }) => ({
            contents: readFileSync(path, 'utf8').replaceAll(
              'import.meta.url',
              JSON.stringify(pathToFileURL(path).href),
            ),
            loader: 'ts',
          }))
        },
      },
    ],
  })
  return join(folder, 'docs/walkthroughs', `${page.name}.js`)
}

interface Execution {
  readonly output: string
  readonly remarks: string
}

function execute(file: string, environment: Record<string, string>): Promise<Execution> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', '--no-warnings', file], {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [output, remarks] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text) => (remarks += text))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) return resolve({ output, remarks })
      reject(new Error(`the page ended with an error\n${remarks}`))
    })
  })
}

function splitOutput(text: string): Map<number, string> {
  const parts = text.split(BLOCK_MARK).slice(1)
  return new Map(
    parts.map((part) => {
      const end = part.indexOf('\n')
      return [Number(part.slice(0, end)), part.slice(end + 1).trimEnd()]
    }),
  )
}

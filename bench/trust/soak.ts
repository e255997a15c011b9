/** Soak: many steps leave nothing behind, a process ends by itself, and what shares a process does not disturb each other. */
import { join, resolve } from 'node:path'
import { type Driver, findDrivers } from '../../test/webgpu/drivers.ts'
import { growth, memoryBound, type Soaked, type SoakMode } from '../soak/soak.ts'
import { type Ended, inParallel, lastLine, leftOthers, startNode } from './child.ts'
import { leftOut, type Scale, type TrustRow, type TrustSuite } from './row.ts'
import type { TogetherCounts } from './soak/together.ts'

/** Steps, half of them eager and half captured; and runs of the property. */
const sizes = {
  short: { steps: { cpu: 2000, webgpu: 160 }, together: { reference: 40, webgpu: 6 } },
  whole: { steps: { cpu: 50_000, webgpu: 5000 }, together: { reference: 2000, webgpu: 400 } },
} as const

const seed = 20261130

/** One process of a suite hangs when it takes longer. */
const patience = 900_000

interface Outcome extends Ended {
  readonly leftOthers: boolean
}

async function run(script: string, given: readonly string[], driver: Driver | undefined): Promise<Outcome> {
  const path = join(import.meta.dirname, script)
  const child = startNode(['--expose-gc', path, ...given], {
    environment: driver?.environment,
    leadsGroup: true,
    patience,
  })
  const ended = await child.ended
  return { ...ended, leftOthers: leftOthers(child) }
}

/** What is wrong with how a process ended; it is to end by itself, and leave nobody. */
const badEnd = ({ code, signal, hung, errors, leftOthers }: Outcome): string[] => [
  ...(hung ? ['it did not end'] : code === 0 ? [] : [`it ended with ${code ?? signal}: ${lastLine(errors)}`]),
  ...(leftOthers ? ['it left a process behind'] : []),
]

type Note = (line: string) => void

async function soakRow(device: 'cpu' | 'webgpu', steps: number, driver: Driver | undefined, note: Note) {
  const where = driver ? `${device} (${driver.name})` : device
  let losses = 0
  const worst: string[] = []
  let took = 0
  const modes: SoakMode[] = ['eager', 'captured']
  await inParallel(modes, 2, async (mode) => {
    const given = ['--json', '--device', device, '--config', 'hybrid', '--mode', mode, '--steps', String(steps / 2)]
    const outcome = await run('../soak.js', given, driver)
    const soaked = outcome.output.startsWith('{') ? (JSON.parse(outcome.output) as Soaked) : undefined
    // What grew is told in its own words, not by its exit code.
    const grown = soaked ? growth(soaked) : []
    const bad = [...grown, ...(grown.length > 0 ? badEnd({ ...outcome, code: 0 }) : badEnd(outcome))]
    if (bad.length > 0) losses++
    for (const what of bad) note(`${where}, ${mode}: ${what}; again: npm run bench:soak -- ${given.slice(1).join(' ')}`)
    if (!soaked) return
    took = Math.max(took, soaked.seconds)
    const more = soaked.end.memory!.heapUsed - soaked.settled.memory!.heapUsed
    worst.push(`heap ${(more / 1000).toFixed(0)} of ${(memoryBound(soaked) / 1000).toFixed(0)} kB more, ${mode}`)
  })
  note(`${where}: ${steps} steps in ${took.toFixed(0)} s`)
  return {
    test: `soak on ${where}: no buffer, handle or thread more than after a tenth, heap within its bound, ends by itself`,
    tries: steps,
    faults: 'half eager, half captured; attention and the delta rule, C 8, T 8, B 1',
    losses,
    worst: worst.join('; '),
  }
}

async function togetherRow(other: string, runs: number, driver: Driver | undefined, note: Note): Promise<TrustRow> {
  const devices = `cpu,${other}`
  const outcome = await run('soak/together-command.js', [devices, String(runs), String(seed)], driver)
  const found = outcome.output.startsWith('{')
    ? (JSON.parse(outcome.output) as TogetherCounts & { lost: string | null })
    : undefined
  const bad = [...badEnd(outcome), ...(found?.lost ? [found.lost] : [])]
  for (const what of bad) note(`${devices}: ${what}`)
  return {
    test: `models, captures and readers together on cpu and ${driver ? `${other} (${driver.name})` : other}: the bits of each alone`,
    tries: found?.runs ?? 0,
    faults: `${found?.turns ?? 0} readings of ${found?.programs ?? 0} programs in random turns`,
    losses: bad.length > 0 ? 1 : 0,
    worst: '',
  }
}

/** The software adapter that is nearest to a GPU in what it can, or what there is. */
function driverOrReason(): Driver | string {
  const drivers = findDrivers(resolve('.'))
  const found = drivers.find(({ name }) => name === 'lavapipe') ?? drivers[0]
  const hasAdapter = found.name !== 'webgpu' || process.env.VK_DRIVER_FILES !== undefined
  if (hasAdapter) return found
  const reason = 'no WebGPU adapter answers; see «WebGPU without a GPU» in docs/webgpu.md'
  if (process.env.SLUICE_REQUIRE_WEBGPU === '1') throw new Error(`SLUICE_REQUIRE_WEBGPU is set, but ${reason}`)
  return reason
}

export const soakSuite: TrustSuite = {
  name: 'soak',
  async run(scale: Scale, note): Promise<TrustRow[]> {
    const { steps, together } = sizes[scale]
    const driver = driverOrReason()
    const rows = [await soakRow('cpu', steps.cpu, undefined, note)]
    if (typeof driver === 'string') rows.push(leftOut('soak on webgpu', driver))
    else rows.push(await soakRow('webgpu', steps.webgpu, driver, note))
    rows.push(await togetherRow('reference', together.reference, undefined, note))
    if (typeof driver === 'string') rows.push(leftOut('together on cpu and webgpu', driver))
    else rows.push(await togetherRow('webgpu', together.webgpu, driver, note))
    return rows
  },
}

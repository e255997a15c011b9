/**
 * `SLUICE_PROFILE=1`: every device times what it runs; when the program ends, a table goes to stderr and a trace to
 * `sluice-trace.json`, or where SLUICE_PROFILE_TRACE says.
 */
import type { FusedKernel, Kernel } from '../../kernels/kernel.ts'
import { environmentVariable } from '../environment.ts'
import { bytesPerElement, type Device, type LaunchArgument } from './device.ts'
import { chromeTrace, Profile } from './profile.ts'

/** Gives a profile once all its times are there. */
type Source = () => Promise<Profile>

const sources: Source[] = []

/** Whether the environment asks for profiles; never in a browser. */
export const isProfiling = (): boolean => environmentVariable('SLUICE_PROFILE') === '1'

/** Has a device's profile written at the end of the program. */
export function writeAtEnd(source: Source): void {
  if (sources.length === 0) process.once('beforeExit', () => void writeAll())
  sources.push(source)
}

async function writeAll(): Promise<void> {
  const profiles = (await Promise.all(sources.map((source) => source()))).filter((p) => p.rows().length > 0)
  if (profiles.length === 0) return
  for (const profile of profiles) process.stderr.write(`\n${profile}\n`)
  const timed = profiles.filter((profile) => profile.isTiming)
  if (timed.length === 0) return
  const path = environmentVariable('SLUICE_PROFILE_TRACE') ?? 'sluice-trace.json'
  const leftOut = timed.reduce((sum, profile) => sum + profile.leftOut, 0)
  try {
    const { writeFile } = await import('node:fs/promises')
    await writeFile(path, chromeTrace(timed))
    const without = leftOut > 0 ? `, without the last ${leftOut} calls` : ''
    process.stderr.write(`\ntrace: ${path}${without} (open it in chrome://tracing or ui.perfetto.dev)\n`)
  } catch (error) {
    process.stderr.write(`\nthe trace ${path} cannot be written: ${(error as Error).message}\n`)
    process.exitCode = 1
  }
}

/**
 * Times the launches of a device in host memory, if profiles are asked for: a launch has run when it returns. Captured
 * programs then run launch by launch.
 */
export function profiledHost<D extends Device>(device: D): D {
  if (!isProfiling()) return device
  const profile = new Profile(device.name, true)
  const launch = device.launch.bind(device)
  const launchFused = device.launchFused?.bind(device)
  const time = (
    kernel: Kernel | FusedKernel,
    places: readonly LaunchArgument[],
    operations: number,
    run: () => void,
  ) => {
    const begin = performance.now()
    run()
    const duration = performance.now() - begin
    const bytes = places.reduce<number>(
      (sum, p) => sum + (typeof p === 'number' ? 0 : p.length * bytesPerElement(p.dtype)),
      0,
    )
    profile.add(kernel.name, kernel.name, 1000 * begin, 1000 * duration, { operations, bytes })
  }
  device.launch = (kernel, output, grid, parameters) => {
    const operations = device.operations?.(kernel, [output], grid, parameters) ?? 0
    time(kernel, [output, ...parameters], operations, () => launch(kernel, output, grid, parameters))
  }
  if (launchFused) {
    device.launchFused = (kernel, outputs, parameters) => {
      const operations = device.operations?.(kernel, outputs, [1, 1, 1], parameters) ?? 0
      time(kernel, [...outputs, ...parameters], operations, () => launchFused(kernel, outputs, parameters))
    }
  }
  device.prepareReplay = undefined
  writeAtEnd(() => Promise.resolve(profile))
  return device
}

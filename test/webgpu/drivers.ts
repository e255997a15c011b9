/**
 * Which drivers the WebGPU tests run on: a driver is an adapter that Dawn, in Node, can be made to give.
 *
 * In order: the one that VK_DRIVER_FILES names; a real GPU; else the software drivers that `.ci/webgpu.sh` installs, since they
 * differ in what they get wrong. They take seconds to compile a program, which is what the time of these tests goes to: where
 * both are there, lavapipe runs all of test/webgpu, and SwiftShader leaves out what is tried elsewhere.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface Driver {
  /** Of the vitest project that runs on it. */
  readonly name: string
  /** What Dawn needs in the environment to find it. */
  readonly environment: Readonly<Record<string, string>>
  /** Files of test/webgpu that run on it, and those that do not. All run unless given. */
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
}

/** Debian's, or another that CHROMIUM_PATH names. */
export function chromiumPath(): string | undefined {
  const paths = process.env.CHROMIUM_PATH ? [process.env.CHROMIUM_PATH] : ['/usr/lib/chromium/chromium']
  return paths.find((path) => existsSync(path))
}

/** Files in which a Vulkan driver says where it lies; `root` is the project's folder. */
const softwareIn = (root: string) => ({
  /** Comes with Chromium: no f16, subgroups of 4, at most 256 invocations a workgroup. */
  swiftshader: [
    '/usr/lib/chromium/vk_swiftshader_icd.json',
    ...(process.env.CHROMIUM_PATH ? [join(dirname(process.env.CHROMIUM_PATH), 'vk_swiftshader_icd.json')] : []),
  ],
  /** Mesa's, version 25: f16, 1024 invocations, subgroups of 8 or, with vectors of 128 bits, of 4. The 22.3 of Debian 12 is too old for Dawn. */
  lavapipe: [join(root, '.cache/lavapipe/lvp_icd.json')],
})

/**
 * What SwiftShader leaves to others: every operation, which test/browser tries on it in Chromium; linear layers, models and
 * benches, which are made of operations; and faults, which Dawn tells alike on every driver.
 */
const leftToOthers = ['parity', 'linear', 'models', 'bench', 'faults']

/** Programs whose lanes meet in subgroups, which have 4 on SwiftShader; and docs/accuracy.md tells of this driver with 8. */
const onEightLanes = ['reduce', 'softmax', 'cross-entropy', 'rms-norm', 'accuracy']

/** Asks in a process of its own, so that no Vulkan stays loaded here. */
function hasHardware(cwd: string): boolean {
  const ask = `
    const { create } = await import('webgpu')
    const gpu = create([])
    const adapter = await gpu.requestAdapter()
    process.exit(adapter && !adapter.info.isFallbackAdapter ? 0 : 1)`
  try {
    execFileSync(process.execPath, ['--input-type=module', '--eval', ask], { cwd, stdio: 'ignore', timeout: 30_000 })
    return true
  } catch {
    return false
  }
}

/**
 * Never empty: without a driver the tests still run, to be left out with the reason.
 *
 * @param root the project's folder
 */
export function findDrivers(root: string = join(import.meta.dirname, '../..')): Driver[] {
  // Only silences a warning of Mesa's.
  const quiet: Record<string, string> = process.env.XDG_RUNTIME_DIR ? {} : { XDG_RUNTIME_DIR: '/tmp' }
  if (process.env.VK_DRIVER_FILES) return [{ name: 'webgpu', environment: quiet }]
  if (hasHardware(root)) return [{ name: 'hardware', environment: quiet }]
  const files = softwareIn(root)
  const swiftshader = files.swiftshader.find((path) => existsSync(path))
  const lavapipe = files.lavapipe.find((path) => existsSync(path))
  const found: Driver[] = []
  if (swiftshader) {
    const environment = { ...quiet, VK_DRIVER_FILES: swiftshader }
    found.push({ name: 'swiftshader', environment, exclude: lavapipe ? leftToOthers : [] })
  }
  if (lavapipe) {
    // Without LLVM's passes, four lanes compile in 0.4 of the time that eight take, in 0.3 of what eight take with them.
    const eight = { ...quiet, VK_DRIVER_FILES: lavapipe, GALLIVM_PERF: 'nopt' }
    found.push({ name: 'lavapipe', environment: { ...eight, LP_NATIVE_VECTOR_WIDTH: '128' }, exclude: onEightLanes })
    found.push({ name: 'lavapipe-8-lanes', environment: eight, include: onEightLanes })
  }
  return found.length > 0 ? found : [{ name: 'webgpu', environment: quiet }]
}

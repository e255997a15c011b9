/**
 * Finds WebGPU: `navigator.gpu` in browsers, the `webgpu` package (Dawn) in Node; then an adapter, and a device with all
 * that the kernels can use of it.
 */
import { environmentVariable } from '../../environment.ts'
import { SluiceError } from '../../errors.ts'

export interface AdapterDescription {
  /** 'Dawn (webgpu 0.6.2)' or 'navigator.gpu'. */
  readonly implementation: string
  readonly vendor: string
  readonly architecture: string
  readonly name: string
  readonly driver: string
  /** Whether it computes on the CPU. */
  readonly isSoftware: boolean
  /** Features that Sluice uses and the adapter has. */
  readonly features: readonly string[]
  readonly limits: Readonly<Record<(typeof usedLimits)[number], number>>
}

export interface OpenedDevice {
  readonly device: GPUDevice
  readonly description: AdapterDescription
}

const usedFeatures = ['timestamp-query', 'subgroups', 'shader-f16'] as const

/** Limits whose defaults are smaller than what adapters offer, and which are asked for in full. */
const usedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
] as const

export interface FindOptions {
  /** Whether times are to be measured: Dawn rounds timestamps to 0.1 ms unless told, when it is loaded, not to. */
  readonly isTimed?: boolean
}

/**
 * Dawn's instances, by whether their timestamps are exact: one made to look for adapters must not serve to measure times.
 * Node kills Dawn's objects when nothing refers to the instance that made them.
 */
const instances = new Map<boolean, GPU>()

interface Found {
  readonly gpu: GPU | undefined
  readonly implementation: string
  /** Why there is none. */
  readonly reason: string
}

/** Where Vulkan looks for drivers on Linux, besides the files that the environment names. */
const driverFolders = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d']

/**
 * Whether Dawn can find a driver at all. Without one it answers no adapter too, but prints a page of warnings, which
 * `device('auto')` would show on every machine without a GPU.
 */
async function hasDriver(): Promise<boolean> {
  if (process.platform !== 'linux') return true
  if (['VK_DRIVER_FILES', 'VK_ICD_FILENAMES', 'VK_ADD_DRIVER_FILES'].some(environmentVariable)) return true
  const { readdir } = await import('node:fs/promises')
  const home = environmentVariable('XDG_DATA_HOME') ?? `${environmentVariable('HOME') ?? ''}/.local/share`
  const lists = await Promise.all([...driverFolders, `${home}/vulkan/icd.d`].map((f) => readdir(f).catch(() => [])))
  return lists.flat().some((name) => name.endsWith('.json'))
}

/** Dawn, and the version of the package that it comes in, where that is known. */
async function dawnName(): Promise<string> {
  try {
    const { createRequire } = await import('node:module')
    const { version } = createRequire(import.meta.url)('webgpu/package.json') as { version: string }
    return `Dawn (webgpu ${version})`
  } catch {
    return 'Dawn (package webgpu)'
  }
}

const isNode = (): boolean => typeof process !== 'undefined' && process.versions?.node !== undefined

async function findGpu({ isTimed = false }: FindOptions): Promise<Found> {
  const inBrowser = (globalThis.navigator as Navigator | undefined)?.gpu
  if (inBrowser) return { gpu: inBrowser, implementation: 'navigator.gpu', reason: '' }
  if (!isNode()) {
    return {
      gpu: undefined,
      implementation: 'navigator.gpu',
      reason: 'this browser has no navigator.gpu: use a current Chrome, Edge, Firefox or Safari, on https or localhost',
    }
  }
  const implementation = await dawnName()
  if (!(await hasDriver())) {
    return {
      gpu: undefined,
      implementation,
      reason: `no Vulkan driver is installed (looked in ${driverFolders.join(', ')}): ${howToGetOne}`,
    }
  }
  try {
    // A name that bundlers cannot follow: the package is for Node alone, and optional there.
    const name = 'webgpu'
    const { create } = (await import(/* @vite-ignore */ name)) as typeof import('webgpu')
    let gpu = instances.get(isTimed)
    if (!gpu) instances.set(isTimed, (gpu = create(isTimed ? ['disable-dawn-features=timestamp_quantization'] : [])))
    return { gpu, implementation, reason: '' }
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    return {
      gpu: undefined,
      implementation,
      reason: `the package webgpu could not be loaded (${why}): npm install webgpu@0.6`,
    }
  }
}

const howToGetOne =
  "install the GPU's driver (on Linux its Vulkan part, and libvulkan1), or, to compute in software, point " +
  'VK_DRIVER_FILES at the driver description of SwiftShader or lavapipe'

/** The drivers that the environment names, to the exclusion of all others. */
function driverFiles(): string {
  const named = environmentVariable('VK_DRIVER_FILES') ?? environmentVariable('VK_ICD_FILENAMES')
  return named ? ` (VK_DRIVER_FILES names ${named})` : ''
}

/** What was found, without opening a device; `adapter` undefined with the reason. */
export async function findAdapter(options: FindOptions = {}): Promise<{
  adapter: GPUAdapter | undefined
  implementation: string
  reason: string
}> {
  const { gpu, implementation, reason } = await findGpu(options)
  if (!gpu) return { adapter: undefined, implementation, reason }
  const adapter = (await gpu.requestAdapter({ powerPreference: 'high-performance' })) ?? undefined
  return {
    adapter,
    implementation,
    reason: adapter ? '' : `${implementation} found no adapter${driverFiles()}: ${howToGetOne}`,
  }
}

export function describeAdapter(adapter: GPUAdapter, implementation: string): AdapterDescription {
  const { vendor, architecture, device, description } = adapter.info
  // Some runtimes give the numbers of vendor and device in place of their names.
  const name = [device, description].find((text) => text && !/^\d+$/.test(text)) ?? vendor
  const software = /swiftshader|llvmpipe|lavapipe|basic render|software/i
  return {
    implementation,
    vendor,
    architecture,
    name,
    driver: description,
    isSoftware:
      adapter.info.isFallbackAdapter === true ||
      [device, description, architecture].some((text) => software.test(text)),
    features: usedFeatures.filter((feature) => adapter.features.has(feature)),
    limits: Object.fromEntries(usedLimits.map((name) => [name, adapter.limits[name]])) as AdapterDescription['limits'],
  }
}

/**
 * Opens a device on the adapter that answers, with every feature and limit that the kernels use.
 *
 * @throws SluiceError that says what was tried and what to install, when no adapter answers
 */
export async function openDevice(options: FindOptions = {}): Promise<OpenedDevice> {
  const { adapter, implementation, reason } = await findAdapter(options)
  if (!adapter) throw new SluiceError('webgpu device', reason)
  const description = describeAdapter(adapter, implementation)
  const device = await adapter.requestDevice({
    label: 'sluice',
    requiredFeatures: description.features as GPUFeatureName[],
    requiredLimits: { ...description.limits },
  })
  return { device, description }
}

/** Whether an adapter answers that is not software. */
export async function hardwareAnswers(): Promise<boolean> {
  const { adapter, implementation } = await findAdapter()
  return adapter !== undefined && !describeAdapter(adapter, implementation).isSoftware
}

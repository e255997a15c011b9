/**
 * WebGPU for tests: an adapter from Dawn, or the reason why there is none.
 *
 * The driver is the vitest project's, see `drivers.ts`. Where no adapter answers, tests are left out and `npm test` says how
 * many and why at its end; with SLUICE_REQUIRE_WEBGPU=1 they fail instead.
 */
import { afterAll, describe } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** Why a test could not run on this machine. */
    leftOut?: string
  }
}

/** Dawn; held as long as anything uses an adapter, since its instance dies with the last reference to it. */
const gpu = await import('webgpu').then(
  ({ create, globals }) => {
    Object.assign(globalThis, globals)
    return create([])
  },
  (error: Error) => `the package webgpu does not load: ${error.message}`,
)

async function ask(): Promise<GPUAdapter | string> {
  if (typeof gpu === 'string') return gpu
  return (await gpu.requestAdapter()) ?? 'no WebGPU adapter answers; see «WebGPU without a GPU» in docs/webgpu.md'
}

const answer = await ask()
if (typeof answer === 'string' && process.env.SLUICE_REQUIRE_WEBGPU === '1') {
  throw new Error(`SLUICE_REQUIRE_WEBGPU is set, but ${answer}`)
}

/** A fresh adapter (one gives one device only), or the reason why there is none. */
export function adapterOrReason(): Promise<GPUAdapter | string> {
  return ask()
}

/** A raw device with every feature and limit of the adapter asked for, for tests of programs. Destroyed after the file. */
export async function rawDevice(): Promise<GPUDevice> {
  const adapter = await ask()
  if (typeof adapter === 'string') throw new Error(adapter)
  const { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize } = adapter.limits
  const device = await adapter.requestDevice({
    requiredFeatures: (['shader-f16', 'subgroups'] as GPUFeatureName[]).filter((name) => adapter.features.has(name)),
    requiredLimits: { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize },
  })
  afterAll(() => device.destroy())
  return device
}

/** `describe` for tests that need WebGPU: runs on the driver of the project, or is left out with the reason. */
export function describeWebgpu(title: string, body: () => void): void {
  if (typeof answer === 'string') describe(title, { skip: true, meta: { leftOut: answer } }, body)
  else describe(title, body)
}

/**
 * One task of the GPU bench, in a process of its own: its memory is its own, and a GPU that is lost ends nothing else.
 *
 * `node task.js '{"kind": "products", …}'` prints a record a line.
 */
import { searchParity } from '../../src/check/parity.ts'
import { registerDevice } from '../../src/device/registry.ts'
import { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { operations, SluiceError, setDevice } from '../../src/index.ts'
import type { HashModelSize } from '../hash-model.ts'
import { thisMachine } from '../machine.ts'
import { measureProduct } from './products.ts'
import type { GpuRecord } from './records.ts'
import type { ProductCase } from './settings.ts'
import { measureTraining, profileTraining } from './training.ts'

export type Task =
  | {
      readonly kind: 'products'
      readonly round: number
      readonly cases: readonly ProductCase[]
      readonly profile: boolean
    }
  | {
      readonly kind: 'steps'
      readonly round: number
      readonly name: string
      readonly size: HashModelSize
      readonly quick: boolean
    }
  | { readonly kind: 'profile'; readonly round: number; readonly name: string; readonly size: HashModelSize }
  | { readonly kind: 'parity'; readonly round: number; readonly runs: number }
  | { readonly kind: 'machine'; readonly round: number }

const print = (record: GpuRecord) => console.log(JSON.stringify(record))

async function runTask(device: WebGpuDevice, task: Task): Promise<void> {
  const { round } = task
  const problem = (row: string, why: string) => print({ engine: 'sluice', round, section: 'problem', row, why })
  if (task.kind === 'machine') {
    const details = { ...thisMachine(), adapter: device.adapter }
    print({ engine: 'sluice', round, section: 'machine', row: device.adapter.name, details })
  } else if (task.kind === 'products') {
    for (const given of task.cases) {
      const found = await measureProduct(device, given, round)
      if (typeof found === 'string') problem(given.row, found)
      else print(found)
    }
  } else if (task.kind === 'steps') {
    for (const way of ['captured', 'eager'] as const) {
      print(await measureTraining(device, task.name, task.size, way, round, task.quick))
    }
  } else if (task.kind === 'profile') {
    const found = await profileTraining(device, task.name, task.size, round)
    if (typeof found === 'string') problem(`profile of ${task.name}`, found)
    else print(found)
  } else {
    for (const record of operations.values()) {
      const { cases, worst, failure } = await searchParity(record, 'reference', 'webgpu', {
        numRuns: task.runs,
        seed: round,
      })
      const { ratio } = worst
      const message = failure?.message ?? null
      print({ engine: 'sluice', round, section: 'parity', row: record.name, cases, worst: ratio, failure: message })
    }
  }
}

const task = JSON.parse(process.argv[2]) as Task
const profile = task.kind === 'profile' || (task.kind === 'products' && task.profile)
registerDevice('webgpu', () => WebGpuDevice.open({ profile }))
try {
  const device = (await setDevice('webgpu')) as WebGpuDevice
  await runTask(device, task)
  device.destroy()
} catch (error) {
  console.error(error instanceof SluiceError ? error.message : error)
  process.exitCode = 1
}
// Dawn would keep the process alive.
process.exit()

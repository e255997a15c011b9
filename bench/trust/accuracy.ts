/** No function of the cpu device is less exact than the page of accuracy says. */
import { readFile } from 'node:fs/promises'
import { CpuDevice } from '../../src/device/cpu/cpu.ts'
import { registerDevice } from '../../src/index.ts'
import { measureFunctions } from '../accuracy/functions.ts'
import type { DeviceAccuracy } from '../accuracy/page.ts'
import type { TrustRow, TrustSuite } from './row.ts'

/** Multiples of the page's stride, 17 * 47: these numbers are among those it is about. */
const strides = { short: 17 * 47 * 61, whole: 17 * 47 }

export const accuracySuite: TrustSuite = {
  name: 'accuracy',
  async run(scale, note) {
    const page = JSON.parse(await readFile('bench/results/accuracy.json', 'utf8')) as DeviceAccuracy[]
    const rows: TrustRow[] = []
    for (const simd of ['plain', 'relaxed'] as const) {
      const name = `cpu ${simd}`
      registerDevice(name, async () => new CpuDevice({ simd, threads: 1 }))
      const { functions } = page.find((device) => device.name === name)!
      const said = new Map(functions.map((row) => [row.operation, row]))
      const found = await measureFunctions(name, strides[scale])
      const worse = found.filter(
        ({ operation, worst, misplaced }) => misplaced > 0 || worst > said.get(operation)!.worst,
      )
      for (const { operation, at, worst } of worse) {
        note(
          `${operation} on ${name} is off by ${worst} ulp at ${at.join(', ')}; docs/accuracy.md says ${said.get(operation)!.worst}`,
        )
      }
      // Far out gelu and silu are x times a tiny sigmoid, which docs/accuracy.md explains.
      const [least] = found
        .filter(({ operation }) => !['gelu', 'silu'].includes(operation))
        .sort((a, b) => b.worst - a.worst)
      rows.push({
        test: `${found.length} elementwise functions in float32, ${name}`,
        tries: found.reduce((sum, { cases }) => sum + cases, 0),
        faults: 'inputs over all of float32',
        losses: worse.length,
        worst: `${least.operation}: ${least.worst.toFixed(2)} ulp (gelu, silu: docs/accuracy.md)`,
      })
    }
    return rows
  },
}

/** In the page: `sluice check` for the webgpu device, and what was found. Declares no kernel, so it needs no translator. */
import { type CheckRow, checkAll } from '../../src/check/index.ts'
import { capture, device, operations, randn, type Tensor } from '../../src/index.ts'

const page = {
  names: () => [...operations.keys()],

  async adapter() {
    const opened = await device('webgpu')
    return { name: opened.name, adapter: (opened as { adapter?: unknown }).adapter }
  },

  async check(names: string[], numRuns: number): Promise<CheckRow[]> {
    const rows: CheckRow[] = []
    for await (const row of checkAll({ devices: ['webgpu'], names, numRuns, seed: 1 })) rows.push(row)
    return rows
  },

  /** A captured function's results at three calls, and the eager ones. */
  async replay(): Promise<number[][]> {
    const on = { device: 'webgpu' }
    const w = randn([8, 8], on)
    const body = (x: Tensor) => x.matmul(w).softmax(-1).matmul(w).sum()
    const program = capture(body)
    const results: number[][] = []
    for (let i = 0; i < 3; i++) {
      const x = randn([4, 8], on)
      results.push([await program(x).item(), await body(x).item()])
    }
    return results
  },
}

export type CheckPage = typeof page
Object.assign(globalThis, { page })

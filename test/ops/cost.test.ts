/** What an operation costs, in cells computed: counted on the reference device, so that no clock is asked. */
import { expect, test, vi } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { type DeltaRuleOptions, gatedDeltaRule, manualSeed, rand, randn, scope } from '../../src/index.ts'

/** Cells of all launches while `body` runs. */
function cells(body: () => void): number {
  let total = 0
  const device = findDevice('reference')
  const launch = device.launch.bind(device)
  const spy = vi.spyOn(device, 'launch').mockImplementation((kernel, output, grid, parameters) => {
    total += grid[0] * grid[1] * grid[2]
    launch(kernel, output, grid, parameters)
  })
  try {
    body()
  } finally {
    spy.mockRestore()
  }
  return total
}

function delta(T: number, options: DeltaRuleOptions): number {
  manualSeed(1)
  return scope(() => {
    const made = { device: 'reference', requiresGrad: true }
    const [q, k, v] = [0, 1, 2].map(() => randn([1, T, 2, 4], made))
    const [g, beta] = [rand([1, T, 2], made), rand([1, T, 2], made)]
    return cells(() => {
      const { out, state } = gatedDeltaRule(q, k.l2Norm(), v, g.neg(), beta, options)
      out.sum().add(state.sum()).backward()
    })
  })
}

// A gradient of the whole sequence for every step would make it 4 times the cells.
test.each([
  ['recurrent', { mode: 'recurrent' }],
  ['in chunks', { mode: 'chunked', chunk: 4 }],
] as const)('the delta rule %s, forward and backward, costs twice as much for twice the length', (_name, options) => {
  const [short, long] = [delta(64, options), delta(128, options)]
  expect(long / short).toBeGreaterThan(1.9)
  // Joining the parts' gradients in pairs adds one round of copies: log2(128) instead of log2(64).
  expect(long / short).toBeLessThan(2.3)
})

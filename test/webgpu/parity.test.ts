/** Every operation on webgpu against the reference: forward and gradients, within its record's tolerance. */
import { beforeAll, expect, test } from 'vitest'
import { parity } from '../../src/check/index.ts'
import { device, operations } from '../../src/index.ts'
import { describeWebgpu } from './adapter.ts'

const RUNS = 200

describeWebgpu('parity of reference and webgpu', () => {
  beforeAll(() => device('webgpu'))

  test.each([...operations.keys()])('%s', async (name) => {
    const found = await parity(name, 'reference', 'webgpu', { numRuns: RUNS })
    expect(found).toMatchObject({ op: name, devices: ['reference', 'webgpu'], cases: RUNS })
    expect(found.worst).toBeLessThanOrEqual(1)
  })
})

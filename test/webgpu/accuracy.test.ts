/** No elementwise function is less exact on this driver than docs/accuracy.md says of it. */
import { readFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { describeDevice } from '../../bench/accuracy/functions.ts'
import type { DeviceAccuracy } from '../../bench/accuracy/page.ts'
import { accuracy, float32Inputs, oneArgument, twoArguments } from '../../src/check/index.ts'
import { device } from '../../src/index.ts'
import { describeWebgpu } from './adapter.ts'

const measured = JSON.parse(
  readFileSync(new URL('../../bench/results/accuracy.json', import.meta.url), 'utf8'),
) as DeviceAccuracy[]

/** A multiple of the page's stride, so that these numbers are among those it is about: 17 * 47 * 61. */
const stride = 48_739

describeWebgpu('accuracy', () => {
  /** What the page says of this driver; undefined for another one, or another version. */
  let page: DeviceAccuracy | undefined

  beforeAll(async () => {
    const description = describeDevice(await device('webgpu'))
    page = measured.find((each) => each.description === description)
  })

  test.for([...oneArgument, ...twoArguments])('%s', async (operation, { skip, task }) => {
    if (!page) {
      task.meta.leftOut = 'docs/accuracy.md is of another version of this driver'
      skip()
    }
    const found = await accuracy(operation, 'webgpu', float32Inputs(operation, stride))
    const said = page!.functions.find((row) => row.operation === operation)!
    expect(found.worst, `at ${found.at}: ${found.got}, exactly ${found.exact}`).toBeLessThanOrEqual(said.worst)
    // The page counted more numbers, these among them.
    expect(found.misplaced).toBeLessThanOrEqual(said.misplaced)
  })
})

/** Checkpoints that transformers wrote, opened on the GPU; see test/goldens/models.ts. */
import { beforeAll, expect, it } from 'vitest'
import { compute, differencesFrom, float32, modelNames, open, readModelGolden } from '../goldens/models.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu } from './launch.ts'

describeWebgpu('on webgpu', () => {
  beforeAll(async () => {
    await openWebgpu()
  })

  it.each(modelNames)('%s', async (name) => {
    const golden = readModelGolden(name)
    const model = await open(golden, 'webgpu')
    expect(differencesFrom(golden, await compute(golden, model), float32)).toEqual([])
    model.dispose()
  })
})

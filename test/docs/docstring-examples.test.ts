/** Every example in a docstring runs, and has the values that it says. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readEntryPoints } from '../../docs/site/public-api.ts'
import * as check from '../../src/check/index.ts'
import * as hub from '../../src/hub/index.ts'
import * as sluice from '../../src/index.ts'
import * as lab from '../../src/lab/index.ts'
import * as nn from '../../src/nn/index.ts'
import * as optim from '../../src/optim/index.ts'
import * as train from '../../src/train/index.ts'
import { examplesOf, runDocstring, valueSaid } from './docstring-examples.ts'
import { fixtures, writeExampleFiles } from './example-fixtures.ts'

const notRun: Readonly<Record<string, string>> = {
  runStudyJob: 'trains for minutes; the same call with a small preset is in test/lab/study',
  study: 'trains all runs of a preset, each by `runStudyJob`',
}
const examples = examplesOf(readEntryPoints())
const modules = { ...sluice, ...nn, ...optim, ...check, ...hub, ...train, ...lab }
const root = process.cwd()
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-examples-'))
  process.chdir(folder)
  await writeExampleFiles()
})
afterAll(() => {
  process.chdir(root)
  rmSync(folder, { recursive: true })
})

describe('the example of', () => {
  for (const { name, text } of examples) {
    const why = notRun[name]
    it(name, why ? { skip: true, meta: { leftOut: why } } : {}, async () => {
      sluice.manualSeed(1)
      // Its own name is the export, whatever stands under it in other examples.
      const own = name.split('.')[0] as keyof typeof modules
      await runDocstring(text, { ...modules, ...fixtures(), [own]: modules[own] })
    })
  }
})

it('no example is left out that there is not', () => {
  expect(Object.keys(notRun).filter((name) => !examples.some((example) => example.name === name))).toEqual([])
})

describe('what an example says', () => {
  it('is read from its comment', () => {
    expect(valueSaid('[1], the cosine of 0')?.value).toEqual([1])
    expect(valueSaid('0.048')).toEqual({ value: 0.048, digits: 3 })
    expect(valueSaid("{ width: 64, gate: { position: 'G1' } }")?.value).toEqual({ width: 64, gate: { position: 'G1' } })
    expect(valueSaid('Int32Array [195, 169]')?.value).toEqual([195, 169])
    expect(valueSaid('everything else is gone')).toBeUndefined()
  })

  it('is compared', async () => {
    expect(await runDocstring('1 + 1 // 2\nawait Promise.resolve([1.04]) // [1.0]', {})).toBe(2)
    await expect(runDocstring('1 + 1 // 3', {})).rejects.toThrow('it says 3, and has 2')
    await expect(runDocstring("['a'].concat('b')\n// ['a', 'c']", {})).rejects.toThrow('has')
    expect(await runDocstring('const x = one // 2', { one: 1 })).toBe(0)
  })
})

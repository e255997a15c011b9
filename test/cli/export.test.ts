/** `sluice export` of small runs. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { exportCommand } from '../../src/cli/export.ts'
import { loadPretrained } from '../../src/hub/index.ts'
import { loadRun } from '../../src/train/load.ts'
import { train } from '../../src/train/trainer.ts'
import { temporaryFolder } from '../hub/folder.ts'
import { expectEqualTensors } from '../hub/tensors.ts'

async function trained(
  model: object,
  data: { text?: string; config?: object } = { text: 'to be or not to be '.repeat(40) },
) {
  const folder = await temporaryFolder()
  const run = join(folder, 'run')
  const config = {
    ...{ steps: 2, contextLength: 16, batchSize: 2, evaluationBatches: 1, checkpointEvery: 2 },
    model: { width: 8, layers: 1, heads: 2, ...model },
    ...data.config,
  }
  await train({ text: data.text, config, folder: run })
  return { run, out: join(folder, 'out') }
}

async function exported(...given: string[]): Promise<string> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  onTestFinished(() => void log.mockRestore())
  await exportCommand.run(given)
  return log.mock.calls.map(([line]) => line).join('\n')
}

test('a run without a gate: the family is found, and the folder is whole', async () => {
  const { run, out } = await trained({ gate: 'none' })
  const said = await exported(run, out)
  expect(said).toMatch(/out: qwen3, [\d,]+ parameters in float32$/)
  expect((await readdir(out)).sort()).toEqual([
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ])
  const { model, tokenizer } = await loadRun(run)
  expectEqualTensors(await (await loadPretrained(out)).stateDict(), await model.stateDict())
  const { model: words } = JSON.parse(await readFile(join(out, 'tokenizer.json'), 'utf8'))
  expect(Object.keys(words.vocab).length).toBe(tokenizer!.vocabularySize)
  expect(words.vocab.t).toBe(tokenizer!.encode('t')[0])
})

test('a gated run: what transformers itself does not know is said', async () => {
  const { run, out } = await trained({ gate: 'headwise' })
  expect(await exported(run, out, '--dtype', 'bfloat16')).toMatch(
    /in bfloat16\nNote: transformers' own qwen3 knows no headwise gate; load it with the modeling_qwen3.py/,
  )
})

test('a run of a task has no tokenizer, which is said', async () => {
  const { run, out } = await trained(
    { gate: 'none' },
    {
      config: { data: { task: 'copy', taskOptions: { vocabularySize: 5, sequenceLength: 8, copyLength: 2 } } },
    },
  )
  expect(await exported(run, out)).toMatch(/There is no tokenizer: the run learned a generated task/)
  expect(await readdir(out)).not.toContain('tokenizer.json')
})

test('a run that cannot be expressed is refused with the key that stands in the way', async () => {
  const { run, out } = await trained({ norm: 'sandwich' })
  await expect(exported(run, out)).rejects.toThrow(/qwen3 cannot express norm: "sandwich"/)
  await expect(exported(run, out, '--family', 'qwen3_next')).rejects.toThrow(/qwen3_next cannot express norm/)
  await expect(exported(run)).rejects.toThrow(/expected a run and a folder to write, got 1 names/)
})

/** `sluice export`: a trained run as a folder that Hugging Face's transformers loads. */
import { parseArgs } from 'node:util'
import { SluiceError } from '../errors.ts'
import { familyNamed } from '../hub/families/index.ts'
import { writeText } from '../hub/files.ts'
import { type FamilyName, savePretrained, type WeightDType } from '../hub/index.ts'
import { tokenizerFiles } from '../hub/tokenizer-files.ts'
import { loadRun } from '../train/load.ts'

const usage = `usage: sluice export RUN DIR [options]

  RUN              a run's folder, its zip, or one checkpoint file
  DIR              where to write config.json, weights and tokenizer; a new folder
  --family NAME    qwen3, qwen3_next, qwen3_5 or qwen3_5_moe (default: the first that can express the model)
  --dtype NAME     float32 (default), bfloat16 or float16`

export const exportCommand = {
  summary: 'write a trained run as a folder that transformers loads',
  usage,
  async run(given: string[]): Promise<void> {
    const { values, positionals } = parseArgs({
      args: given,
      allowPositionals: true,
      options: { family: { type: 'string' }, dtype: { type: 'string' } },
    })
    const [run, folder, ...rest] = positionals
    if (folder === undefined || rest.length > 0) {
      throw new SluiceError('sluice export', `expected a run and a folder to write, got ${positionals.length} names`)
    }
    const { model, tokenizer } = await loadRun(run, 'cpu')
    try {
      const dtype = (values.dtype ?? 'float32') as WeightDType
      const name = await savePretrained(model, folder, { family: values.family as FamilyName | undefined, dtype })
      const files = {
        // Drawn from the model's own probabilities, as `sluice sample` draws at temperature 1.
        'generation_config.json': `${JSON.stringify({ do_sample: true, temperature: 1, top_k: 0 }, null, 2)}\n`,
        ...(tokenizer ? tokenizerFiles(tokenizer.toJSON(), model.config.contextLength) : {}),
      }
      for (const [file, text] of Object.entries(files)) await writeText('sluice export', `${folder}/${file}`, text)
      console.log(`${folder}: ${name}, ${model.parameterCount.toLocaleString('en')} parameters in ${dtype}`)
      if (!tokenizer) console.log('There is no tokenizer: the run learned a generated task, whose tokens are numbers.')
      const foreign = familyNamed('sluice export', name).foreign(model.config)
      if (foreign !== null) console.log(`Note: ${foreign}.`)
    } finally {
      model.dispose()
    }
  },
}

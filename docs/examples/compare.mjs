/**
 * Holds a model's logits to those that another program computed: node compare.mjs FOLDER FILE
 *
 * FOLDER is a run's folder, or one as Hugging Face lays it out; FILE is a safetensors file with `tokens`, int32 [B, T], and
 * `logits` [B, T, V]. Says how far the logits are apart at most; more than 1e-4 of their largest is a failure.
 */
import { existsSync } from 'node:fs'
import { tensor } from 'sluice'
import { loadPretrained, loadSafetensors } from 'sluice/hub'
import { loadRun } from 'sluice/train'

const [folder, file] = process.argv.slice(2)
if (!file) throw new Error('usage: node compare.mjs FOLDER FILE')
const model = existsSync(`${folder}/config.json`) ? await loadPretrained(folder) : (await loadRun(folder)).model
const { tensors } = await loadSafetensors(file)
const tokens = tensors.get('tokens')
const theirs = tensors.get('logits').data
const ours = await model.forward(tensor(tokens.data, { shape: tokens.shape, dtype: 'int32' })).data()
if (ours.length !== theirs.length) throw new Error(`${ours.length} logits here, ${theirs.length} in ${file}`)

let [largest, apart] = [0, 0]
for (const [i, logit] of ours.entries()) {
  largest = Math.max(largest, Math.abs(theirs[i]))
  // A NaN stays one.
  apart = Math.max(apart, Math.abs(logit - theirs[i]))
}
console.log(`${ours.length} logits, the largest ${largest.toFixed(3)}; at most ${apart.toExponential(1)} apart`)
if (!(apart <= 1e-4 * Math.max(1, largest))) process.exit(1)

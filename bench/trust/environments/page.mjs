/** The page: the same models, saved and read in memory. */
import { device } from 'sluice'
import { encodeSafetensors, loadSafetensors } from 'sluice/hub'
import { trainAndSave } from './models.mjs'

const inMemory = async ({ tensors }) => (await loadSafetensors(new Blob([encodeSafetensors(tensors)]))).tensors

globalThis.run = async () => {
  const losses = await trainAndSave(inMemory)
  const { settings, pool } = await device('cpu')
  return { losses, simd: settings.simd, threads: pool.threads, ready: pool.ready }
}

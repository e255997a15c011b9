/**
 * Run in each environment: prints one line of JSON, or of a SluiceError what a user is told, its message. Any other error
 * is not caught.
 *
 *   program.mjs train DEVICE FOLDER   trains, saves into the folder, reads: { losses, simd, threads, ready }
 *   program.mjs moved BY SEED...       losses in float64: exact, then with the weights moved, a draw a seed
 *   program.mjs fill                  makes tensors until no more are given
 */
import { device, SluiceError, setDevice, zeros } from 'sluice'
import { loadSafetensors, saveSafetensors } from 'sluice/hub'
import { readCheckpoint, writeCheckpoint } from 'sluice/train'
import { trainAndSave, trainMoved } from './models.mjs'

/** Through a checkpoint, and through a file for other programs. */
const onDisk =
  (folder) =>
  async ({ name, tensors }) => {
    await writeCheckpoint(`${folder}/${name}`, { step: 1, tensors, config: {}, generator: null })
    const checkpoint = await readCheckpoint(`${folder}/${name}`)
    const path = await saveSafetensors(`${folder}/${name}/model.safetensors`, checkpoint.tensors)
    return (await loadSafetensors(path)).tensors
  }

const commands = {
  async train(name, folder) {
    await setDevice(name)
    const losses = await trainAndSave(onDisk(folder))
    const { settings, pool } = await device(name)
    return { losses, simd: settings?.simd, threads: pool?.threads, ready: pool?.ready }
  },
  async moved(by, ...seeds) {
    await setDevice('reference')
    const found = [await trainMoved(0, 0)]
    for (const seed of seeds) found.push(await trainMoved(Number(by), Number(seed)))
    return found
  },
  async fill() {
    const kept = []
    for (;;) kept.push(zeros([2 ** 24]))
  },
}

const [name, ...given] = process.argv.slice(2)
try {
  console.log(JSON.stringify(await commands[name](...given)))
} catch (error) {
  if (!(error instanceof SluiceError)) throw error
  console.error(error.message)
  process.exitCode = 1
}

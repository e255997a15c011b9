/** Checkpoints that are not to be read: of other versions, of other programs, with one bit flipped. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeSafetensors, encodeSafetensors } from '../../../src/hub/safetensors.ts'
import { readCheckpoint, writeCheckpoint } from '../../../src/train/checkpoint.ts'
import { MemoryFiles } from '../../../src/train/memory-files.ts'
import { checkpointFolder, newestCheckpoint } from '../../../src/train/run.ts'
import { openSession } from '../../../src/train/session.ts'
import type { TrustRow } from '../row.ts'
import type { Whole } from './chain.ts'
import { trainedText } from './runs.ts'

const notOurs = 'its metadata have no version, it is not a checkpoint'

const versions = ['0', '2', '10', '1.0', ' 1', '', '-1', '1e0', 'one']

type Metadata = Readonly<Record<string, string>>

/** The metadata of a file that is no checkpoint of this version, by what it is; and what must be said of it. */
const foreign: readonly (readonly [name: string, of: (ours: Metadata) => Metadata, said: string])[] = [
  ...versions.map((version) => {
    const said = `its version is ${version}, this Sluice reads version 1`
    return [`of version '${version}'`, (ours: Metadata) => ({ ...ours, version }), said] as const
  }),
  ['without version', ({ version, ...rest }) => rest, notOurs],
  ['of PyTorch', () => ({ format: 'pt' }), notOurs],
  ['of another trainer', () => ({ step: '2', epoch: '1', optimizer: 'adam' }), notOurs],
  ['without metadata', () => ({}), notOurs],
]

/** Each is the newest file in the folder of a run, which is to be resumed. */
export async function foreignFiles(cwd: string, whole: Whole, note: (line: string) => void): Promise<TrustRow> {
  const path = (await newestCheckpoint(checkpointFolder(whole.folder)))!
  const { tensors, metadata } = decodeSafetensors(await readFile(path))
  let losses = 0
  for (const [i, [name, change, expected]] of foreign.entries()) {
    const folder = join(cwd, String(i))
    await mkdir(checkpointFolder(folder), { recursive: true })
    const file = join(checkpointFolder(folder), 'step-000900.safetensors')
    const bytes = encodeSafetensors(tensors, change(metadata))
    await writeFile(file, bytes)
    const said = await openSession({ folder, resume: true, text: trainedText }).then(
      () => 'it is resumed',
      (error: Error) => error.message,
    )
    const isWhole = (await readFile(file)).equals(bytes)
    if (said.startsWith(`readCheckpoint: ${file} cannot be used: ${expected}`) && isWhole) continue
    losses++
    note(`a checkpoint ${name}: ${isWhole ? '' : 'the file was changed, '}${said}`)
  }
  return {
    test: 'a checkpoint of another version or program is refused, and its version named',
    tries: foreign.length,
    faults: `${versions.length} versions, ${foreign.length - versions.length} foreign files`,
    losses,
    worst: '',
  }
}

/** Bits that are not flipped, in the short form, for each that is. */
const skipped = { short: 36, whole: 0 } as const

/** `test/train/checkpoint.test.ts` draws such flips; here each bit of one file is. */
export async function flippedBits(scale: 'short' | 'whole', note: (line: string) => void): Promise<TrustRow> {
  const files = new MemoryFiles([])
  const tensors = new Map([
    ['model.weight', { dtype: 'float32' as const, shape: [4, 4], data: Float32Array.from({ length: 16 }, Math.sqrt) }],
    ['optimizer.moment', { dtype: 'float64' as const, shape: [], data: Float64Array.of(Math.PI) }],
    ['ids', { dtype: 'int32' as const, shape: [3], data: Int32Array.of(1, 2, 3) }],
  ])
  const checkpoint = { step: 2, tensors, config: { rate: 0.001, layers: ['two', null] }, generator: { draws: 7 } }
  const path = await writeCheckpoint('run', checkpoint, { files })
  const whole = files.contents.get(path)!
  let [tries, losses] = [0, 0]
  for (let bit = 0; bit < 8 * whole.length; bit += 1 + skipped[scale]) {
    const flipped = whole.slice()
    flipped[bit >> 3] ^= 1 << (bit & 7)
    tries++
    const taken = await readCheckpoint(path, { files: new MemoryFiles([[path, flipped]]) }).then(
      () => true,
      () => false,
    )
    if (!taken) continue
    losses++
    note(`a checkpoint with bit ${bit} flipped is read`)
  }
  return {
    test: 'a checkpoint with one bit flipped is refused',
    tries,
    faults: `${tries} of the ${8 * whole.length} bits of a file`,
    losses,
    worst: '',
  }
}

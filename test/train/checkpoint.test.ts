import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import { decodeSafetensors, encodeSafetensors } from '../../src/hub/safetensors.ts'
import type { HostTensor } from '../../src/tensor/host.ts'
import {
  type Checkpoint,
  type CheckpointFiles,
  nodeFiles,
  readCheckpoint,
  writeCheckpoint,
} from '../../src/train/checkpoint.ts'

function checkpointOf(step: number): Checkpoint {
  const tensors = new Map<string, HostTensor>([
    ['weight', { dtype: 'float32', shape: [2, 3], data: Float32Array.from({ length: 6 }, (_, i) => step + i / 3) }],
    ['moment', { dtype: 'float64', shape: [], data: Float64Array.of(step / 7) }],
    ['ids', { dtype: 'int32', shape: [0, 2], data: new Int32Array(0) }],
  ])
  return { step, tensors, config: { rate: 1e-3, layers: [1, 'two', null] }, generator: { seed: 3, draws: step } }
}

class Crash extends Error {}

/** A file: what programs see of it, and what a power cut leaves. */
interface Node {
  seen: Uint8Array
  synced: Uint8Array
}

/**
 * A folder in memory that keeps apart what programs see and what is on the disk.
 *
 * `call` runs before every call, with its number and name; what it throws is the call's failure (a failing write has
 * written half). After `powerCut` unsynced contents are some prefix, and of the changes of names since the last
 * `syncFolder` any part has reached the disk: worse than real disks, so that nothing rests on their kindness.
 */
class MemoryFolder implements CheckpointFiles {
  names = new Map<string, Node>()
  #syncedNames = new Map<string, Node>()
  #changes: ((names: Map<string, Node>) => void)[] = []
  calls = 0
  call: (number: number, name: string) => void = () => {}

  #enter(name: string): void {
    this.call(this.calls++, name)
  }

  #change(change: (names: Map<string, Node>) => void): void {
    change(this.names)
    this.#changes.push(change)
  }

  async makeFolder(): Promise<void> {
    this.#enter('makeFolder')
  }

  async list(folder: string): Promise<string[]> {
    this.#enter('list')
    return [...this.names.keys()].map((path) => path.slice(folder.length + 1))
  }

  async read(path: string): Promise<Uint8Array> {
    this.#enter('read')
    const node = this.names.get(path)
    if (!node) throw new Error(`ENOENT: no such file, open '${path}'`)
    return node.seen
  }

  async create(path: string) {
    this.#enter('create')
    const node: Node = { seen: new Uint8Array(0), synced: new Uint8Array(0) }
    this.#change((names) => names.set(path, node))
    return {
      write: async (bytes: Uint8Array) => {
        node.seen = bytes.slice(0, bytes.length >> 1)
        this.#enter('write')
        node.seen = bytes.slice()
      },
      sync: async () => {
        this.#enter('sync')
        node.synced = node.seen
      },
      close: async () => this.#enter('close'),
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.#enter('rename')
    const node = this.names.get(from)!
    this.#change((names) => {
      names.set(to, node)
      names.delete(from)
    })
  }

  async syncFolder(): Promise<void> {
    this.#enter('syncFolder')
    this.#syncedNames = new Map(this.names)
    this.#changes = []
  }

  async remove(path: string): Promise<void> {
    this.#enter('remove')
    this.#change((names) => names.delete(path))
  }

  /** The folder after a power cut; bit i of `changes` says whether change i reached the disk. */
  powerCut(changes: number, share: number): MemoryFolder {
    const after = new MemoryFolder()
    after.names = new Map(this.#syncedNames)
    this.#changes.forEach((change, index) => {
      if ((changes >> index) & 1) change(after.names)
    })
    for (const [path, { seen, synced }] of after.names) {
      const content = synced.length > 0 ? synced : seen.slice(0, Math.floor(share * seen.length))
      after.names.set(path, { seen: content, synced: content })
    }
    after.#syncedNames = new Map(after.names)
    return after
  }

  content(): [string, string][] {
    return [...this.names].map(([path, { seen }]): [string, string] => [path, Buffer.from(seen).toString('hex')]).sort()
  }
}

async function folderWith(...steps: number[]): Promise<MemoryFolder> {
  const files = new MemoryFolder()
  for (const step of steps) await writeCheckpoint('run', checkpointOf(step), { keep: 100, files })
  files.calls = 0
  return files
}

const noSpace = () => new Error('ENOSPC: no space left on device')

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-checkpoint-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}

test('on a real disk: what was written is read, older ones are pruned, nothing else is touched', async () => {
  const run = join(await temporaryFolder(), 'new', 'run')
  const path = await writeCheckpoint(run, checkpointOf(7))
  expect(path).toBe(`${run}/step-000007.safetensors`)
  await writeFile(join(run, 'log.jsonl'), 'kept')
  await writeFile(join(run, 'step-000001.safetensors.bak'), 'kept')
  await writeFile(join(run, 'step-1.safetensors'), 'kept')
  await writeFile(join(run, 'step-000005.safetensors.partial'), 'left by a crash')
  for (const step of [100, 1_234_567, 200]) await writeCheckpoint(run, checkpointOf(step), { keep: 2 })
  expect((await readdir(run)).sort()).toEqual([
    'log.jsonl',
    'step-000001.safetensors.bak',
    'step-000100.safetensors',
    'step-000200.safetensors',
    'step-1.safetensors',
    'step-1234567.safetensors',
  ])
  expect(await readCheckpoint(run)).toEqual(checkpointOf(1_234_567))
  expect(await readCheckpoint(`${run}/step-000100.safetensors`)).toEqual(checkpointOf(100))
})

test('the file is safetensors with the run’s state as texts', async () => {
  const run = await temporaryFolder()
  const { tensors, metadata } = decodeSafetensors(await readFile(await writeCheckpoint(run, checkpointOf(200))))
  expect(tensors).toEqual(checkpointOf(200).tensors)
  expect(metadata).toEqual({
    step: '200',
    config: '{"rate":0.001,"layers":[1,"two",null]}',
    generator: '{"seed":3,"draws":200}',
    version: '1',
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  })
})

test('a step that is written again takes the place of its file', async () => {
  const files = await folderWith(100, 200)
  const again = { ...checkpointOf(200), config: 'second' }
  await writeCheckpoint('run', again, { files })
  expect(await readCheckpoint('run', { files })).toEqual(again)
  expect([...files.names.keys()]).toEqual(['run/step-000100.safetensors', 'run/step-000200.safetensors'])
})

test('pruning keeps the newest `keep`, and never a later step than the one written', async () => {
  for (const keep of [1, 2, 3]) {
    const files = await folderWith(10, 20, 30, 40, 90)
    await writeCheckpoint('run', checkpointOf(50), { keep, files })
    const kept = [20, 30, 40, 50].slice(-keep)
    expect([...files.names.keys()].sort()).toEqual([...kept, 90].map((step) => `run/step-0000${step}.safetensors`))
  }
})

test('values are those at the time of the call, also from shared memory', async () => {
  const files = new MemoryFolder()
  const data = new Float32Array(new SharedArrayBuffer(8))
  data.set([1, 2])
  const tensors = new Map<string, HostTensor>([['w', { dtype: 'float32', shape: [2], data }]])
  const writing = writeCheckpoint('run', { step: 1, tensors, config: 0, generator: 0 }, { files })
  data.fill(9)
  await writing
  expect([...(await readCheckpoint('run', { files })).tensors.get('w')!.data]).toEqual([1, 2])
})

/** The calls of writing step 300 beside 100 and 200, in order. */
const writingCalls = ['makeFolder', 'list', 'create', 'write', 'sync', 'close', 'rename', 'syncFolder', 'remove']

test('these are the calls of a write', async () => {
  const files = await folderWith(100, 200)
  const calls: string[] = []
  files.call = (_, name) => calls.push(name)
  await writeCheckpoint('run', checkpointOf(300), { files })
  expect(calls).toEqual(writingCalls)
})

test.each(writingCalls.map((name, number) => [name, number] as const))(
  'a disk full at %s: the previous checkpoints stay, nothing unfinished is left, the error names the kept one',
  async (name, failing) => {
    const files = await folderWith(100, 200)
    const before = files.content()
    files.call = (number) => {
      if (number === failing) throw noSpace()
    }
    const error = await writeCheckpoint('run', checkpointOf(300), { files }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(SluiceError)
    const { message } = error as SluiceError
    expect(message).toMatch(
      /^writeCheckpoint: run\/step-000300\.safetensors: .* failed: ENOSPC: no space left on device; /,
    )
    files.call = () => {}
    const whole = failing > writingCalls.indexOf('rename')
    expect(message).toContain(
      whole ? 'run/step-000300.safetensors itself is whole' : 'run/step-000200.safetensors is kept as it was',
    )
    expect(files.content().filter(([path]) => path !== 'run/step-000300.safetensors')).toEqual(before)
    expect(files.names.has('run/step-000300.safetensors')).toBe(whole)
    expect(await readCheckpoint('run', { files })).toEqual(checkpointOf(whole ? 300 : 200))
    expect(name).toBe(writingCalls[failing])
  },
)

test('when the unfinished file cannot be removed either, the error says so, and the next write removes it', async () => {
  const files = await folderWith(200)
  files.call = (_, name) => {
    if (name === 'write') throw noSpace()
    if (name === 'remove') throw new Error('EIO: i/o error')
  }
  await expect(writeCheckpoint('run', checkpointOf(300), { files })).rejects.toThrow(
    /writing failed: ENOSPC.*; run\/step-000200.* is kept as it was; the unfinished run\/step-000300\.safetensors\.partial could not be removed: EIO/,
  )
  files.call = () => {}
  expect(await readCheckpoint('run', { files })).toEqual(checkpointOf(200))
  await writeCheckpoint('run', checkpointOf(400), { files })
  expect([...files.names.keys()]).toEqual(['run/step-000200.safetensors', 'run/step-000400.safetensors'])
})

test('a folder that cannot be listed even afterwards was not changed', async () => {
  const files = await folderWith(200)
  files.call = () => {
    throw new Error('EIO: i/o error')
  }
  await expect(writeCheckpoint('run', checkpointOf(300), { files })).rejects.toThrow(
    /making the folder failed: EIO: i\/o error; no checkpoint in run was changed; the unfinished .* could not be removed/,
  )
})

test('the first checkpoint of a run fails with the remark that there is none before', async () => {
  const files = new MemoryFolder()
  files.call = (_, name) => {
    if (name === 'sync') throw noSpace()
  }
  await expect(writeCheckpoint('run', checkpointOf(1), { files })).rejects.toThrow(/there is no earlier checkpoint/)
  expect(files.names.size).toBe(0)
})

test('a power cut at any call leaves a whole checkpoint, and the run can go on', async () => {
  const found = { 200: 0, 300: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.nat(writingCalls.length + 1),
      fc.noBias(fc.nat(255)),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (keep, crashing, changes, share) => {
        const files = await folderWith(100, 200)
        files.call = (number) => {
          if (number >= crashing) throw new Crash()
        }
        await writeCheckpoint('run', checkpointOf(300), { keep, files }).catch(() => {})
        const after = files.powerCut(changes, share)
        const { step, ...rest } = await readCheckpoint('run', { files: after })
        expect({ step, ...rest }).toEqual(checkpointOf(step))
        found[step as 200 | 300]++
        await writeCheckpoint('run', checkpointOf(400), { keep: 1, files: after })
        expect([...after.names.keys()]).toEqual(['run/step-000400.safetensors'])
      },
    ),
    { numRuns: 1000 },
  )
  // About half of the crashes come after the rename, and of those some keep it.
  expect(found[200]).toBeGreaterThan(100)
  expect(found[300]).toBeGreaterThan(100)
})

test('any flipped bit and any truncation of the newest is found, and the newest whole one is named', async () => {
  const files = await folderWith(100, 200, 300)
  const path = 'run/step-000300.safetensors'
  const { seen } = files.names.get(path)!
  const damage = (bytes: Uint8Array) => files.names.set(path, { seen: bytes, synced: bytes })
  await fc.assert(
    fc.asyncProperty(fc.noBias(fc.nat(seen.length - 1)), fc.nat(7), fc.boolean(), async (at, bit, cut) => {
      damage(cut ? seen.slice(0, at) : seen.map((byte, index) => (index === at ? byte ^ (1 << bit) : byte)))
      for (const place of ['run', path]) {
        const error = await readCheckpoint(place, { files }).catch((thrown: unknown) => thrown)
        expect(error).toBeInstanceOf(SluiceError)
        expect((error as Error).message).toMatch(
          /^readCheckpoint: run\/step-000300\.safetensors cannot be used: .+; resume from run\/step-000200\.safetensors/,
        )
      }
    }),
    { numRuns: 500 },
  )
  damage(seen)
  expect(await readCheckpoint('run', { files })).toEqual(checkpointOf(300))
})

test('damaged ones are passed over in naming the one to resume from, later ones too', async () => {
  const files = await folderWith(100, 200, 300)
  const empty = { seen: new Uint8Array(3), synced: new Uint8Array(3) }
  files.names.set('run/step-000200.safetensors', empty)
  await expect(readCheckpoint('run/step-000200.safetensors', { files })).rejects.toThrow(
    /step-000200\.safetensors cannot be used: decodeSafetensors: the file has 3 bytes.*; resume from run\/step-000100/,
  )
  files.names.set('run/step-000300.safetensors', empty)
  await expect(readCheckpoint('run', { files })).rejects.toThrow(/resume from run\/step-000100\.safetensors/)
  files.names.set('run/step-000100.safetensors', empty)
  await expect(readCheckpoint('run', { files })).rejects.toThrow(/there is no whole checkpoint before it/)
})

test('a value changed consistently with the format is found by the checksum', async () => {
  const files = await folderWith(100)
  const path = 'run/step-000100.safetensors'
  const { tensors, metadata } = decodeSafetensors(files.names.get(path)!.seen)
  const rewrite = (change: object, more = new Map<string, HostTensor>()) => {
    const bytes = encodeSafetensors(new Map([...tensors, ...more]), { ...metadata, ...change })
    files.names.set(path, { seen: bytes, synced: bytes })
    return readCheckpoint('run', { files })
  }
  await expect(rewrite({})).resolves.toEqual(checkpointOf(100))
  const flat = { ...tensors.get('weight')!, shape: [6] }
  const changes: [object, Map<string, HostTensor>?][] = [
    [{ step: '101' }],
    [{ config: '{}' }],
    [{ generator: 'null' }],
    [{ note: '' }],
    [{}, new Map([['weight', flat]])],
    [{}, new Map([['other', flat]])],
  ]
  for (const [change, more] of changes) {
    await expect(rewrite(change, more)).rejects.toThrow(
      /its checksum is [0-9a-f]{64}, it was written with [0-9a-f]{64}/,
    )
  }
  await expect(rewrite({ version: '2' })).rejects.toThrow(/its version is 2, this Sluice reads version 1/)
  const bytes = encodeSafetensors(tensors, { format: 'pt' })
  files.names.set(path, { seen: bytes, synced: bytes })
  await expect(readCheckpoint(path, { files })).rejects.toThrow(/its metadata have no version, it is not a checkpoint/)
})

test('what is not there, and what cannot be written, is said', async () => {
  const folder = await temporaryFolder()
  await expect(readCheckpoint(folder)).rejects.toThrow(/readCheckpoint: there is no checkpoint in /)
  const other = new MemoryFolder()
  for (const name of ['step-1.safetensors', 'step-0000200.safetensors', 'step-000200.safetensors.partial', 'a']) {
    other.names.set(`run/${name}`, { seen: new Uint8Array(0), synced: new Uint8Array(0) })
  }
  await expect(readCheckpoint('run', { files: other })).rejects.toThrow(/there is no checkpoint in run/)
  await expect(readCheckpoint(join(folder, 'none'))).rejects.toThrow(/the folder .*none cannot be listed: ENOENT/)
  const missing = readCheckpoint(join(folder, 'step-000001.safetensors'))
  await expect(missing).rejects.toThrow(/cannot be used: ENOENT.*there is no whole checkpoint before it/)
  await expect(readCheckpoint('step-000001.safetensors', { files: new MemoryFolder() })).rejects.toThrow(SluiceError)

  const write = (change: object, keep = 2) => writeCheckpoint(folder, { ...checkpointOf(1), ...change }, { keep })
  await expect(write({ step: -1 })).rejects.toThrow(/step must be an integer from 0, got -1/)
  await expect(write({}, 0)).rejects.toThrow(/keep must be an integer from 1, got 0/)
  await expect(write({ config: undefined })).rejects.toThrow(/config is undefined; give a JSON value/)
  await expect(write({ config: { rate: Number.NaN } })).rejects.toThrow(/config: rate is NaN, which JSON cannot hold/)
  await expect(write({ generator: { seed: 1n } })).rejects.toThrow(/generator: seed is 1, which JSON cannot hold/)
  const wrong: HostTensor = { dtype: 'float32', shape: [3], data: new Float32Array(2) }
  await expect(write({ tensors: new Map([['w', wrong]]) })).rejects.toThrow(/tensor "w": shape \[3\] has 3 values/)
  expect(await readdir(folder)).toEqual([])
})

test('a folder that cannot be made is an error that says so', async () => {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'file'), '')
  await expect(writeCheckpoint(join(folder, 'file', 'run'), checkpointOf(1))).rejects.toThrow(
    /making the folder failed: ENOTDIR/,
  )
  await expect(nodeFiles.remove(join(folder, 'none'))).resolves.toBeUndefined()
})

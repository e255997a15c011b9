/** The trial of wide vectors where it may not be made: Node's and Deno's permissions. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { tryWide } from '../../../src/device/cpu/wide-trial.ts'

// Versions of Node that have no such vectors do not try.
vi.mock('../../../src/device/cpu/v8-flags.ts', async (load) => ({ ...(await load<object>()), nodeMajor: 24 }))

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

const given = process.getBuiltinModule

/** Has the trial find this in place of one of Node's modules. */
function stubModule(name: string, module: object): void {
  vi.spyOn(process, 'getBuiltinModule').mockImplementation(((asked: string) =>
    asked === name ? module : given(asked)) as typeof given)
}

const options =
  process.arch === 'x64'
    ? {}
    : { skip: true, meta: { leftOut: 'vectors of 256 bits are tried on x64 processors only' } }

test('is a reason, and not kept', options, async () => {
  const cache = await mkdtemp(join(tmpdir(), 'sluice-'))
  vi.stubEnv('XDG_CACHE_HOME', cache)
  const spawnSync = () => {
    throw new Error('Access to this API has been restricted\nwith more')
  }
  stubModule('node:child_process', { spawnSync })
  const reason = "V8's 256-bit vectors could not be tried in a child process: Access to this API has been restricted"
  expect(tryWide()).toBe(reason)
  stubModule('node:child_process', { spawnSync: () => ({ status: null, signal: null, error: new Error('EAGAIN') }) })
  expect(tryWide()).toContain('in a child process: EAGAIN')
  expect(await readdir(cache)).toEqual([])
  await rm(cache, { recursive: true })
})

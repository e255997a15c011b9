/** Files on a disk, where not everything is permitted. */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { nodeFiles, writeText } from '../../src/hub/files.ts'

test('Node’s refusal of fsync is told with what to do, and leaves nothing behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-'))
  const handle = await open(join(folder, 'any'), 'w')
  await handle.close()
  const refused = Object.assign(new Error('fsync API is disabled'), { code: 'ERR_ACCESS_DENIED' })
  const sync = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'sync').mockRejectedValue(refused)
  try {
    await expect(writeText('export', join(folder, 'text'), 'to be')).rejects.toThrow(
      /text could not be written: Node refuses fsync under --permission.*; run without --permission/,
    )
    expect(await nodeFiles.list(folder)).toEqual(['any'])
    await expect(nodeFiles.syncFolder(folder)).rejects.toThrow('Node refuses fsync under --permission')
  } finally {
    sync.mockRestore()
    await rm(folder, { recursive: true })
  }
})

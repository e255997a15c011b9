/** What a process holds at one moment, to be held against what it holds many steps later. */
import { existsSync, readdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import type { Device } from '../../src/device/device.ts'

/** What must be equal after any number of steps. */
export interface HeldCounts {
  /** Of the device, and their bytes. */
  readonly buffers: number
  readonly bytes: number
  /** GPU buffers that the pool of webgpu keeps, free ones too, and their bytes; 0 on other devices. */
  readonly blocks: number
  readonly heldBytes: number
  /** Threads that take part in the work of the cpu device, this one among them; 1 on other devices. */
  readonly workingThreads: number
  /** What keeps the process running, by kind: handles and requests that Node counts. */
  readonly resources: string
  /** Threads of the process, where /proc shows them; 0 elsewhere. */
  readonly processThreads: number
}

export interface Held {
  readonly counts: HeldCounts
  /** After garbage collections; null without --expose-gc. Bytes. */
  readonly memory: { readonly heapUsed: number; readonly external: number; readonly arrayBuffers: number } | null
}

interface Pooled {
  readonly pool?: {
    readonly statistics?: { readonly blocks: number; readonly heldBytes: number }
    readonly ready?: number
  }
}

/** What is only collected when finalizers have run takes several turns. */
async function collectGarbage(gc: () => void): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    gc()
    await setImmediate()
  }
}

export async function held(device: Device): Promise<Held> {
  const { pool } = device as Pooled
  const { gc } = globalThis as { gc?: () => void }
  if (gc) await collectGarbage(gc)
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return {
    counts: {
      ...device.statistics(),
      blocks: pool?.statistics?.blocks ?? 0,
      heldBytes: pool?.statistics?.heldBytes ?? 0,
      workingThreads: pool?.ready ?? 1,
      resources: process.getActiveResourcesInfo().sort().join(' '),
      processThreads: existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0,
    },
    memory: gc ? { heapUsed, external, arrayBuffers } : null,
  }
}

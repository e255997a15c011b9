/** What a process holds at one moment, to be held against what it holds many steps later. */
import { existsSync, readdirSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import type { Device } from '../../src/device/device.ts'

/** What must not have become more after any number of steps. */
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
  /** Bytes, caches left out; null without --expose-gc. */
  readonly memory: HeldMemory | null
}

export interface HeldMemory {
  readonly heapUsed: number
  readonly external: number
  readonly arrayBuffers: number
}

interface Pooled {
  readonly pool?: {
    readonly statistics?: { readonly blocks: number; readonly heldBytes: number }
    readonly ready?: number
    readonly threads?: number
    start?(): void
    trim?(): number
  }
}

/** Starts what would start when it is first needed, and waits for it. */
export async function startAll(device: Device): Promise<void> {
  // Node makes them when they are first written to.
  void [process.stdout, process.stderr]
  const { pool } = device as Pooled
  pool?.start?.()
  while (pool?.threads !== pool?.ready) await setTimeout(1)
}

/** The least of several collections: finalizers take turns of their own, and V8 compiles at times. */
async function leastMemory(gc: () => void): Promise<HeldMemory> {
  let least: HeldMemory | undefined
  for (let turn = 0; turn < 6; turn++) {
    gc()
    await setTimeout(10)
    gc()
    const { heapUsed, external, arrayBuffers } = process.memoryUsage()
    if (!least || heapUsed < least.heapUsed) least = { heapUsed, external, arrayBuffers }
  }
  return least!
}

/** What the process holds now, with no work under way. Free buffers and bind groups of webgpu are given up afterwards. */
export async function held(device: Device): Promise<Held> {
  // Files that were read, and pipes that are not used yet, are closed and opened in turns of their own.
  await setTimeout(50)
  const { pool } = device as Pooled
  const { gc } = globalThis as { gc?: () => void }
  const counts = {
    ...device.statistics(),
    blocks: pool?.statistics?.blocks ?? 0,
    heldBytes: pool?.statistics?.heldBytes ?? 0,
    workingThreads: pool?.ready ?? 1,
    resources: process.getActiveResourcesInfo().sort().join(' '),
    processThreads: existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0,
  }
  // An eager step takes its blocks in another order each time, so that bind groups fill their cache for long: up to 16384,
  // which would hide a leak of some MB.
  pool?.trim?.()
  return { counts, memory: gc ? await leastMemory(gc) : null }
}

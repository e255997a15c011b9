/** The pool of GPU buffers, against a model of it: commands in any order, over a device that only counts. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Faults } from '../../src/device/webgpu/faults.ts'
import { type Block, Pool } from '../../src/device/webgpu/pool.ts'

const LARGEST = 1000

interface FakeBuffer {
  readonly size: number
  isDestroyed: boolean
  destroy(): void
}

/** As much of a GPU as the pool asks. */
function fakeDevice(): GPUDevice {
  return {
    limits: { maxBufferSize: 4 * LARGEST, maxStorageBufferBindingSize: LARGEST },
    createBuffer: ({ size }: { size: number }): FakeBuffer => ({
      size,
      isDestroyed: false,
      destroy() {
        this.isDestroyed = true
      },
    }),
    pushErrorScope: () => {},
    popErrorScope: async () => null,
  } as unknown as GPUDevice
}

const isDestroyed = ({ gpu }: Block): boolean => (gpu as unknown as FakeBuffer).isDestroyed

/** What must hold: who holds which block, and which blocks the unfinished batch uses. */
interface Model {
  held: Block[]
  used: Set<Block>
  batch: number
}

interface Real {
  readonly pool: Pool
  readonly model: Model
}

function real(): { model: Model; real: Real } {
  const model: Model = { held: [], used: new Set(), batch: 1 }
  const submit = () => {
    // The commands of a batch must find their buffers when they are submitted.
    for (const block of model.used) expect(isDestroyed(block)).toBe(false)
    model.used.clear()
    model.batch++
  }
  const pool = new Pool(fakeDevice(), new Faults(), submit)
  return { model, real: { pool, model } }
}

function check({ held, used }: Model, pool: Pool): void {
  for (const block of used) expect(isDestroyed(block)).toBe(false)
  expect(new Set(held).size).toBe(held.length)
  expect(new Set(held.map(({ id }) => id)).size).toBe(held.length)
  for (const block of held) expect(isDestroyed(block)).toBe(false)
  const { heldBytes, freeBytes } = pool.statistics
  expect(heldBytes - freeBytes).toBe(held.reduce((sum, { bytes }) => sum + bytes, 0))
}

/** Takes a block and, where it is not for the host to write, uses it in the unfinished batch. */
class Take implements fc.Command<Model, Real> {
  readonly bytes: number
  readonly isIdle: boolean
  constructor(bytes: number, isIdle: boolean) {
    this.bytes = bytes
    this.isIdle = isIdle
  }
  check = () => true
  run(model: Model, { pool }: Real): void {
    const block = this.isIdle ? pool.takeIdle(this.bytes, model.batch) : pool.take(this.bytes)
    expect(model.held).not.toContain(block)
    expect(block.bytes).toBeGreaterThanOrEqual(this.bytes)
    expect(block.bytes).toBeLessThanOrEqual(LARGEST)
    if (this.isIdle) expect(model.used).not.toContain(block)
    model.held.push(block)
    check(model, pool)
  }
  toString = () => `${this.isIdle ? 'takeIdle' : 'take'}(${this.bytes})`
}

class Give implements fc.Command<Model, Real> {
  readonly which: number
  constructor(which: number) {
    this.which = which
  }
  check = ({ held }: Readonly<Model>) => held.length > 0
  run(model: Model, { pool }: Real): void {
    const [block] = model.held.splice(this.which % model.held.length, 1)
    pool.give(block)
    check(model, pool)
  }
  toString = () => `give(${this.which})`
}

/** A dispatch of the unfinished batch on a held block. */
class Use implements fc.Command<Model, Real> {
  readonly which: number
  constructor(which: number) {
    this.which = which
  }
  check = ({ held }: Readonly<Model>) => held.length > 0
  run(model: Model): void {
    const block = model.held[this.which % model.held.length]
    block.lastBatch = model.batch
    model.used.add(block)
  }
  toString = () => `use(${this.which})`
}

class Submit implements fc.Command<Model, Real> {
  check = () => true
  run(model: Model): void {
    model.used.clear()
    model.batch++
  }
  toString = () => 'submit'
}

class Trim implements fc.Command<Model, Real> {
  check = () => true
  run(model: Model, { pool }: Real): void {
    const { freeBytes } = pool.statistics
    expect(pool.trim()).toBe(freeBytes)
    expect(pool.statistics.freeBytes).toBe(0)
    expect(pool.statistics.blocks).toBe(model.held.length)
    check(model, pool)
  }
  toString = () => 'trim'
}

describe('the pool', () => {
  test('never shares a block, never gives the host one in use, and destroys none that the batch uses', () => {
    // Few sizes, so that blocks are found again; 900 and 1000 lie above the last class that fits.
    const bytes = fc.constantFrom(4, 64, 100, 112, 500, 900, LARGEST)
    const commands = [
      bytes.map((n) => new Take(n, false)),
      bytes.map((n) => new Take(n, true)),
      fc.nat(20).map((i) => new Give(i)),
      fc.nat(20).map((i) => new Use(i)),
      fc.constant(new Submit()),
      fc.constant(new Trim()),
    ]
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: 60 }), (cmds) => {
        fc.modelRun(real, cmds)
      }),
      { numRuns: 500 },
    )
  })

  test('reuses what was given back', () => {
    const { pool } = real().real
    const block = pool.take(100)
    pool.give(block)
    expect(pool.take(112)).toBe(block)
    expect(pool.statistics.blocks).toBe(1)
  })

  test('refuses more than one buffer of the adapter holds, and takes what just fits', () => {
    const { pool } = real().real
    expect(pool.take(LARGEST).bytes).toBe(LARGEST)
    expect(() => pool.take(LARGEST + 4)).toThrow(
      `out of memory: asked for ${LARGEST + 4} bytes; one buffer of this adapter holds at most ${LARGEST} ` +
        `(held: ${LARGEST} bytes in 1 buffers, of these free for reuse: 0)`,
    )
  })
})

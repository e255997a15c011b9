/** The cpu device's memory: blocks never overlap, are reused, and keep their contents when the memory grows. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Arena } from '../../src/device/cpu/arena.ts'
import { CpuDevice } from '../../src/device/cpu/cpu.ts'
import { sizeClass } from '../../src/device/size-class.ts'
import { SluiceError } from '../../src/errors.ts'

interface Block {
  offset: number
  bytes: number
  /** The byte written all over it. */
  mark: number
}

interface Model {
  live: Block[]
  /** Offsets given back, by size class. */
  free: Map<number, number[]>
  next: number
}

const bytesOf = (arena: Arena, { offset, bytes }: Block) => new Uint8Array(arena.memory.buffer, offset, bytes)

class Take implements fc.Command<Model, Arena> {
  readonly bytes: number
  constructor(bytes: number) {
    this.bytes = bytes
  }
  check(): boolean {
    return true
  }
  run(model: Model, arena: Arena): void {
    const offset = arena.take(this.bytes)
    const block = { offset, bytes: this.bytes, mark: 1 + (model.next++ % 255) }
    expect(offset % 16).toBe(0)
    expect(offset).toBeGreaterThan(0)
    expect(offset + this.bytes).toBeLessThanOrEqual(arena.memory.buffer.byteLength)
    for (const other of model.live) {
      const apart = offset + this.bytes <= other.offset || other.offset + other.bytes <= offset
      expect(apart || this.bytes === 0 || other.bytes === 0).toBe(true)
      expect(offset).not.toBe(other.offset)
    }
    const free = model.free.get(sizeClass(this.bytes)) ?? []
    if (free.length > 0) {
      expect(free).toContain(offset)
      free.splice(free.indexOf(offset), 1)
    }
    bytesOf(arena, block).fill(block.mark)
    model.live.push(block)
  }
  toString(): string {
    return `take(${this.bytes})`
  }
}

class Give implements fc.Command<Model, Arena> {
  readonly pick: number
  constructor(pick: number) {
    this.pick = pick
  }
  check(model: Model): boolean {
    return model.live.length > 0
  }
  run(model: Model, arena: Arena): void {
    const [block] = model.live.splice(this.pick % model.live.length, 1)
    expect(bytesOf(arena, block).every((byte) => byte === block.mark)).toBe(true)
    arena.give(block.offset, block.bytes)
    const size = sizeClass(block.bytes)
    model.free.set(size, [...(model.free.get(size) ?? []), block.offset])
  }
  toString(): string {
    return `give(${this.pick})`
  }
}

describe('arena', () => {
  test('blocks are aligned, apart, kept and reused, whatever the order of taking and giving', () => {
    const small = fc.integer({ min: 0, max: 600 })
    const large = fc.integer({ min: 100_000, max: 900_000 })
    const commands = fc.commands(
      [
        small.map((bytes) => new Take(bytes)),
        fc.constantFrom(64, 65, 80, 1024).map((bytes) => new Take(bytes)),
        large.map((bytes) => new Take(bytes)),
        fc.nat().map((pick) => new Give(pick)),
        fc.nat().map((pick) => new Give(pick)),
      ],
      { maxCommands: 40 },
    )
    fc.assert(
      fc.property(commands, (list) => {
        const real = new Arena()
        const model: Model = { live: [], free: new Map(), next: 0 }
        fc.modelRun(() => ({ model, real }), list)
        for (const block of model.live) expect(bytesOf(real, block).every((byte) => byte === block.mark)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  test('a size class holds what was asked for, wastes a quarter at most, and keeps the alignment', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (bytes) => {
        const size = sizeClass(bytes)
        expect(size).toBeGreaterThanOrEqual(bytes)
        expect(size).toBeLessThanOrEqual(Math.max(64, 1.25 * bytes))
        expect(size % 16).toBe(0)
        expect(sizeClass(size)).toBe(size)
      }),
      { numRuns: 500 },
    )
  })

  test('a loop of equal steps does not grow the memory', () => {
    const device = new CpuDevice()
    const step = () => {
      const buffers = [1, 1000, 70_000, 200_000].map((n) => device.allocate('float32', n))
      for (const buffer of buffers) device.release(buffer)
    }
    step()
    const after = device.arena.memory.buffer.byteLength
    for (let i = 0; i < 50; i++) step()
    expect(device.arena.memory.buffer.byteLength).toBe(after)
  })

  test('buffers keep their numbers, and their views follow, when the memory grows', () => {
    fc.assert(
      fc.property(fc.array(fc.float(), { minLength: 1, maxLength: 50 }), fc.constantFrom(1, 2), (list, threads) => {
        const device = new CpuDevice({ threads })
        const buffer = device.allocate('float32', list.length)
        device.write(buffer, list)
        const view = buffer.values
        const before = device.arena.memory.buffer
        const large = device.allocate('float32', 1_000_000)
        device.write(large, new Float32Array(large.length).fill(7))
        expect(device.arena.memory.buffer).not.toBe(before)
        // Growing detaches the views of a memory that is not shared.
        if (threads === 1) expect(view.length).toBe(0)
        expect(device.readNow(buffer)).toEqual(Float32Array.from(list))
        device.write(buffer, new Float32Array(list.length).fill(3))
        expect([...buffer.values]).toEqual(list.map(() => 3))
        expect(device.readNow(large).every((x) => x === 7)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })

  test('what WebAssembly cannot hold is refused, and the arena goes on', () => {
    const arena = new Arena()
    const kept = { offset: arena.take(100), bytes: 100, mark: 9 }
    bytesOf(arena, kept).fill(9)
    for (const bytes of [2 ** 32, 2 ** 33, 2 ** 40]) {
      expect(() => arena.take(bytes)).toThrow(SluiceError)
      expect(() => arena.take(bytes)).toThrow(
        new RegExp(`^cpu device: out of memory: asked for ${bytes} bytes with 1048576 bytes reserved; .*smaller batch`),
      )
    }
    const next = { offset: arena.take(100), bytes: 100, mark: 8 }
    bytesOf(arena, next).fill(8)
    expect(bytesOf(arena, kept).every((byte) => byte === 9)).toBe(true)
  })
})

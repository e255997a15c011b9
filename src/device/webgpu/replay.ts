/**
 * Launches made ready to be repeated: their dispatches, with bind groups and scalars prepared once. A replay only encodes
 * them, and is part of one submit.
 */
import type { RecordedLaunch, Replay } from '../device.ts'
import { sizeClass } from '../size-class.ts'
import { GpuBuffer } from './buffer.ts'
import type { Commands, Dispatch, PreparedDispatch } from './commands.ts'
import { checkWorkgroups, writeUniforms } from './commands.ts'
import type { WebGpuDevice } from './device.ts'

const UNIFORM_COPY = 0x40 | 0x8

/** A launch with a number that the host computes anew at every replay: its dispatches are made again each time. */
interface Changing {
  readonly launch: RecordedLaunch
  /** Of its first dispatch in the list. */
  readonly first: number
}

export class GpuReplay implements Replay {
  readonly #device: WebGpuDevice
  readonly #commands: Commands
  readonly #dispatches: PreparedDispatch[] = []
  readonly #changing: Changing[] = []
  readonly #uniforms: GPUBuffer
  readonly #uniformData: ArrayBuffer
  readonly #scratch: GpuBuffer[] = []

  constructor(device: WebGpuDevice, commands: Commands, launches: readonly RecordedLaunch[]) {
    this.#device = device
    this.#commands = commands
    // A block that the unfinished batch uses is exchanged when the host writes its buffer, and bind groups made here would
    // still name the old one. After a submit none is, and replays submit what they encode.
    commands.flush()
    const collected: Dispatch[] = []
    for (const launch of launches) {
      if (launch.parameters.some((p) => typeof p === 'function'))
        this.#changing.push({ launch, first: collected.length })
      collected.push(...this.#collect(launch))
    }
    const alignment = commands.device.limits.minUniformBufferOffsetAlignment
    let size = 0
    const places = collected.map(({ program }) => {
      const compiled = commands.pipelines.get(program)
      const offset = size
      size += alignment * Math.ceil(compiled.uniformBytes / alignment)
      return { compiled, offset }
    })
    this.#uniforms = commands.device.createBuffer({ size: Math.max(size, alignment), usage: UNIFORM_COPY })
    this.#uniformData = new ArrayBuffer(size)
    const view = new DataView(this.#uniformData)
    collected.forEach(({ program, blocks, parameters, workgroups, label }, i) => {
      const { compiled, offset } = places[i]
      checkWorkgroups(program, workgroups)
      writeUniforms(compiled, parameters, view, offset)
      const bindGroup = commands.pipelines.makeBindGroup(compiled, blocks, this.#uniforms)
      this.#dispatches.push({ compiled, bindGroup, offset, workgroups, label })
    })
    if (size > 0) commands.device.queue.writeBuffer(this.#uniforms, 0, this.#uniformData)
  }

  run(): void {
    this.#refresh()
    for (const dispatch of this.#dispatches) this.#commands.replay(dispatch)
  }

  release(): void {
    // The unfinished batch may still use them.
    this.#commands.flush()
    this.#uniforms.destroy()
    for (const { block } of this.#scratch) this.#device.pool.give(block)
    this.#scratch.length = 0
  }

  /** Writes the scalars of launches whose numbers change. */
  #refresh(): void {
    if (this.#changing.length === 0) return
    const view = new DataView(this.#uniformData)
    for (const { launch, first } of this.#changing) {
      this.#collect(launch).forEach(({ parameters }, i) => {
        const { compiled, offset } = this.#dispatches[first + i]
        writeUniforms(compiled, parameters, view, offset)
      })
    }
    this.#commands.device.queue.writeBuffer(this.#uniforms, 0, this.#uniformData)
  }

  #collect({ kernel, outputs, grid, parameters }: RecordedLaunch): Dispatch[] {
    const given = parameters.map((p) => (typeof p === 'function' ? p() : p))
    /** Launches follow one another, so the scratch of one serves the next. */
    const idle = [...this.#scratch]
    const scratch = (length: number): GpuBuffer => {
      const size = sizeClass(4 * length)
      const at = idle.findIndex(({ block }) => block.bytes === size)
      if (at >= 0) return idle.splice(at, 1)[0]
      const made = new GpuBuffer('float32', length, this.#device.pool.take(4 * length))
      this.#scratch.push(made)
      return made
    }
    return this.#device.collect(() => {
      if (kernel.kind === 'fused') this.#device.launchFused(kernel, outputs, given)
      else this.#device.launch(kernel, outputs[0], grid!, given)
    }, scratch)
  }
}

/**
 * One command encoder that collects dispatches until they are worth a submit.
 *
 * The scalars of all dispatches of a batch lie in one uniform buffer, each at its own offset, and are uploaded with one
 * write before the submit. Writes and submits of one queue take effect in order, so the buffer starts afresh every batch.
 */
import type { Program, Workgroups } from '../../../kernels/tuned/wgsl/program.ts'
import { MOST_WORKGROUPS } from '../../../kernels/tuned/wgsl/program.ts'
import { SluiceError } from '../../errors.ts'
import type { Faults } from './faults.ts'
import { type CompiledProgram, Pipelines } from './pipelines.ts'
import type { Block } from './pool.ts'
import type { Profiler } from './profiler.ts'

/** Dispatches after which a batch is submitted, so that the GPU starts while the host goes on. */
const BATCH = 128
const UNIFORM_BYTES = 1 << 18
const UNIFORM_COPY = 0x40 | 0x8

/** Something that runs on the GPU in one dispatch: a program, its buffers and scalars, and how many workgroups. */
export interface Dispatch {
  readonly program: Program
  readonly blocks: readonly Block[]
  readonly parameters: Readonly<Record<string, number>>
  readonly workgroups: Workgroups
  /** The launch that it belongs to, for profiles. */
  readonly label: string
}

/** A dispatch made ready to be repeated. */
export interface PreparedDispatch {
  readonly compiled: CompiledProgram
  readonly bindGroup: GPUBindGroup
  /** Of its scalars in the bind group's uniform buffer. */
  readonly offset: number
  readonly workgroups: Workgroups
  readonly label: string
}

export class Commands {
  readonly device: GPUDevice
  readonly pipelines: Pipelines
  readonly #faults: Faults
  readonly #profiler: Profiler | undefined
  readonly #uniforms: GPUBuffer
  readonly #staging = new ArrayBuffer(UNIFORM_BYTES)
  readonly #view = new DataView(this.#staging)
  readonly #alignment: number
  #used = 0
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  #dispatches = 0
  /** Number of the batch being collected; blocks remember in which one they were last used. */
  #batch = 1
  #submits = 0
  #held = false

  constructor(device: GPUDevice, faults: Faults, profiler: Profiler | undefined) {
    this.device = device
    this.#faults = faults
    this.#profiler = profiler
    this.#uniforms = device.createBuffer({ size: UNIFORM_BYTES, usage: UNIFORM_COPY })
    this.#alignment = device.limits.minUniformBufferOffsetAlignment
    this.pipelines = new Pipelines(device, this.#uniforms, faults)
  }

  get batch(): number {
    return this.#batch
  }

  get submits(): number {
    return this.#submits
  }

  dispatch({ program, blocks, parameters, workgroups, label }: Dispatch): void {
    checkWorkgroups(program, workgroups)
    const compiled = this.pipelines.get(program)
    const size = this.#alignment * Math.ceil(compiled.uniformBytes / this.#alignment)
    if (this.#used + size > UNIFORM_BYTES) this.flush()
    const offset = this.#used
    this.#used += size
    writeUniforms(compiled, parameters, this.#view, offset)
    const pass = this.#passFor(label, program)
    pass.setPipeline(compiled.pipeline)
    pass.setBindGroup(0, this.pipelines.bindGroup(compiled, blocks), [offset])
    pass.dispatchWorkgroups(...workgroups)
    for (const block of blocks) block.lastBatch = this.#batch
    if (++this.#dispatches >= BATCH && !this.#held) this.flush()
  }

  /** Runs a dispatch whose bind group and scalars were made before. */
  replay({ compiled, bindGroup, offset, workgroups, label }: PreparedDispatch): void {
    const pass = this.#passFor(label, compiled.program)
    pass.setPipeline(compiled.pipeline)
    pass.setBindGroup(0, bindGroup, [offset])
    pass.dispatchWorkgroups(...workgroups)
  }

  copy(from: Block, to: Block, bytes: number): void {
    this.copyOut(from, to.gpu, bytes)
    to.lastBatch = this.#batch
  }

  /** Copies a block to a buffer that is no block, such as one the host maps. */
  copyOut(from: Block, to: GPUBuffer, bytes: number): void {
    this.encoder().copyBufferToBuffer(from.gpu, 0, to, 0, bytes)
    from.lastBatch = this.#batch
  }

  /** The open encoder, between passes. */
  encoder(): GPUCommandEncoder {
    this.#pass?.end()
    this.#pass = undefined
    return (this.#encoder ??= this.device.createCommandEncoder())
  }

  /** Runs `body` so that everything it encodes is one submit, together with what was pending. */
  together(body: () => void): void {
    this.#held = true
    try {
      body()
    } finally {
      this.#held = false
    }
    this.flush()
  }

  /** Submits what was collected. */
  flush(): void {
    if (!this.#encoder) return
    this.#pass?.end()
    this.#pass = undefined
    this.#profiler?.resolve(this.#encoder)
    const { device } = this
    device.pushErrorScope('validation')
    device.pushErrorScope('out-of-memory')
    if (this.#used > 0) device.queue.writeBuffer(this.#uniforms, 0, this.#staging, 0, this.#used)
    device.queue.submit([this.#encoder.finish()])
    const scopes = [device.popErrorScope(), device.popErrorScope()]
    this.#faults.watch(
      Promise.all(scopes).then((errors) => {
        const error = errors.find((found) => found !== null)
        return error ? `commands were refused: ${error.message}` : undefined
      }),
    )
    this.#encoder = undefined
    this.#used = 0
    this.#dispatches = 0
    this.#batch++
    this.#submits++
  }

  #passFor(label: string, program: Program): GPUComputePassEncoder {
    // A timestamp belongs to a pass, so each dispatch needs one of its own to be timed.
    const timed = this.#profiler?.passDescriptor(label, program.name)
    if (timed) this.#pass = this.encoder().beginComputePass(timed)
    return (this.#pass ??= this.encoder().beginComputePass())
  }
}

export function checkWorkgroups(program: Program, workgroups: Workgroups): void {
  if (workgroups.some((n) => !(n >= 1 && n <= MOST_WORKGROUPS))) {
    throw new SluiceError(
      'webgpu device',
      `kernel ${program.name}: ${workgroups.join(' x ')} workgroups; each number must be from 1 to ${MOST_WORKGROUPS}`,
    )
  }
}

/** Writes a program's scalars as its uniform struct lies. */
export function writeUniforms(
  { program, parameters: declared }: CompiledProgram,
  parameters: Readonly<Record<string, number>>,
  view: DataView,
  offset: number,
): void {
  for (const [name, type] of declared) {
    const value = parameters[name]
    if (value === undefined) throw new SluiceError('webgpu device', `kernel ${program.name}: no value for ${name}`)
    if (type === 'f32') view.setFloat32(offset, value, true)
    else if (type === 'i32') view.setInt32(offset, value, true)
    else view.setUint32(offset, value, true)
    offset += 4
  }
}

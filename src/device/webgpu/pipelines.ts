/** Programs compiled for one device, and the bind groups that join them to buffers; each made once. */
import { type Program, programCode } from '../../../kernels/tuned/wgsl/program.ts'
import { SluiceError } from '../../errors.ts'
import type { Faults } from './faults.ts'
import type { Block } from './pool.ts'

export interface CompiledProgram {
  readonly program: Program
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
  /** Names of its buffers, in the order of their bindings. */
  readonly buffers: readonly string[]
  readonly parameters: readonly (readonly [name: string, type: 'u32' | 'i32' | 'f32'])[]
  /** Of its uniform struct. */
  readonly uniformBytes: number
  readonly bindGroups: Map<string, GPUBindGroup>
}

/** Where a program stands in a bind group's cache: more are kept than a training step of a deep model needs. */
const MOST_BIND_GROUPS = 16384

const COMPUTE = 4

export class Pipelines {
  readonly #device: GPUDevice
  readonly #uniforms: GPUBuffer
  readonly #faults: Faults
  readonly #compiled = new Map<Program, CompiledProgram>()
  #bindGroups = 0

  /** @param uniforms the buffer that holds every program's scalars, at a dynamic offset */
  constructor(device: GPUDevice, uniforms: GPUBuffer, faults: Faults) {
    this.#device = device
    this.#uniforms = uniforms
    this.#faults = faults
  }

  /** How many programs were compiled. */
  get size(): number {
    return this.#compiled.size
  }

  get(program: Program): CompiledProgram {
    let compiled = this.#compiled.get(program)
    if (!compiled) this.#compiled.set(program, (compiled = this.#compile(program)))
    return compiled
  }

  /** @param blocks in the order of `compiled.buffers` */
  bindGroup(compiled: CompiledProgram, blocks: readonly Block[]): GPUBindGroup {
    let key = ''
    for (const block of blocks) key += `${block.id} `
    const known = compiled.bindGroups.get(key)
    if (known) return known
    if (this.#bindGroups >= MOST_BIND_GROUPS) this.forgetBindGroups()
    const made = this.makeBindGroup(compiled, blocks, this.#uniforms)
    compiled.bindGroups.set(key, made)
    this.#bindGroups++
    return made
  }

  /** A bind group that is not kept here, with the scalars in a buffer of the caller's. */
  makeBindGroup(compiled: CompiledProgram, blocks: readonly Block[], uniforms: GPUBuffer): GPUBindGroup {
    return this.#device.createBindGroup({
      layout: compiled.layout,
      entries: [
        { binding: 0, resource: { buffer: uniforms, size: compiled.uniformBytes } },
        ...blocks.map(({ gpu }, i) => ({ binding: i + 1, resource: { buffer: gpu } })),
      ],
    })
  }

  /** Bind groups keep buffers alive: called when buffers are destroyed. */
  forgetBindGroups(): void {
    for (const { bindGroups } of this.#compiled.values()) bindGroups.clear()
    this.#bindGroups = 0
  }

  #compile(program: Program): CompiledProgram {
    const missing = program.features?.find((feature) => !this.#device.features.has(feature))
    if (missing) {
      throw new SluiceError('webgpu device', `kernel ${program.name} needs the feature ${missing}, which is not there`)
    }
    const reads = Object.keys(program.reads)
    const buffers = [...reads, ...Object.keys(program.writes)]
    const most = this.#device.limits.maxStorageBuffersPerShaderStage
    if (buffers.length > most) {
      throw new SluiceError(
        'webgpu device',
        `kernel ${program.name} binds ${buffers.length} buffers, this adapter takes ${most}; give it fewer operands`,
      )
    }
    const code = programCode(program)
    const device = this.#device
    device.pushErrorScope('validation')
    const module = device.createShaderModule({ code, label: program.name })
    const layout = device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility: COMPUTE, buffer: { type: 'uniform', hasDynamicOffset: true } },
        ...buffers.map(
          (_, i): GPUBindGroupLayoutEntry => ({
            binding: i + 1,
            visibility: COMPUTE,
            buffer: { type: i < reads.length ? 'read-only-storage' : 'storage' },
          }),
        ),
      ],
    })
    const pipeline = device.createComputePipeline({
      label: program.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    })
    const scope = device.popErrorScope()
    this.#faults.watch(scope.then((error) => (error ? compileMessage(program, code, module, error) : undefined)))
    const parameters = Object.entries(program.parameters)
    const uniformBytes = Math.max(16, 16 * Math.ceil(parameters.length / 4))
    return { program, pipeline, layout, buffers, parameters, uniformBytes, bindGroups: new Map() }
  }
}

/** Lines of WGSL shown around a fault. */
const AROUND = 2

/** The kernel's name, the compiler's messages with their lines of WGSL, and the JavaScript it came from. */
async function compileMessage(
  program: Program,
  code: string,
  module: GPUShaderModule,
  error: GPUError,
): Promise<string> {
  const { messages } = await module.getCompilationInfo()
  const lines = code.split('\n')
  const shown = messages
    .filter(({ type }) => type === 'error')
    .map(({ lineNum, message }) => {
      const first = Math.max(1, lineNum - AROUND)
      const context = lines
        .slice(first - 1, lineNum + AROUND)
        .map((text, i) => `  ${first + i === lineNum ? '>' : ' '} ${String(first + i).padStart(4)} ${text}`)
      return `WGSL line ${lineNum}: ${message}\n${context.join('\n')}`
    })
  const what = shown.length > 0 ? shown.join('\n') : error.message
  const source = program.source ? `\nmade from:\n${program.source}` : ''
  return `kernel ${program.name} does not compile: ${what}${source}`
}

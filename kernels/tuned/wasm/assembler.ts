/**
 * WebAssembly modules written as kernels: functions with named parameters, locals, and structured statements.
 *
 * A function's body is TypeScript that runs once, when the module is made, and states what the kernel will do; a `for` of
 * TypeScript therefore unrolls, while `f.loop` and `f.while` loop at run time. Every module imports one memory, in which
 * pointers are byte offsets, and exports all its functions.
 *
 * @example
 * const kernels = new WasmModule()
 * const scale = kernels.function('scale', { x: 'i32', count: 'i32', factor: 'f32' }, (f, { x, count, factor }) => {
 *   f.times(count, () => {
 *     f.store(x, f32.mul(f32.load(x), factor))
 *     f.advance(x, 4)
 *   })
 * })
 * const run = kernels.instantiate(memory)(scale)
 * run(0, 100, 0.5)
 */
import { SluiceError } from '../../../src/errors.ts'
import { type Bytes, join, section, sized, unsigned, utf8, vector } from './encoding.ts'
import {
  address,
  f32x4,
  i32,
  i32x4,
  type Local,
  type Operand,
  operand,
  tee,
  type Value,
  type ValueType,
  v128,
} from './instructions.ts'

const typeCodes = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const satisfies Record<ValueType, number>
const storeCodes = { i32: [0x36], f32: [0x38], v128: [0xfd, 0x0b] } as const satisfies Record<ValueType, Bytes>

const magicAndVersion = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
/** A 32-bit memory has no more pages; a shared one that names this limit takes any module. */
export const mostPages = 65536
const noResult = 0x40
const end = 0x0b

export type Parameters = Readonly<Record<string, ValueType>>
export type Locals<P extends Parameters> = { readonly [K in keyof P]: Local<P[K]> }
type Arguments<P extends Parameters> = { readonly [K in keyof P]: Operand<P[K]> }

/** Parameters that are all pointers, sizes, steps or flags. */
export function integers<const N extends string>(...names: readonly N[]): Readonly<Record<N, 'i32'>> {
  return Object.fromEntries(names.map((name) => [name, 'i32'])) as Record<N, 'i32'>
}

/** Parameters that are all numbers of the launch. */
export function floats<const N extends string>(...names: readonly N[]): Readonly<Record<N, 'f32'>> {
  return Object.fromEntries(names.map((name) => [name, 'f32'])) as Record<N, 'f32'>
}

/** A function of a module, as its callers see it. */
export interface Callee<P extends Parameters = Parameters> {
  readonly module: WasmModule
  readonly name: string
  readonly index: number
  readonly parameters: P
}

/** What the machine's WebAssembly can do beyond plain SIMD. */
export interface Features {
  /** Relaxed SIMD: `madd` is one instruction that rounds once, where the machine has it. */
  readonly relaxed: boolean
  /** The engine makes 256-bit operations of pairs of 128-bit ones, in modules that are compiled for it: see `WasmModule.wide`. */
  readonly wide?: boolean
}

/** A function that a module calls but does not define. */
interface Import {
  /** The module that defines it; undefined for a function of JavaScript. */
  readonly from: Callee | undefined
  readonly name: string
  readonly parameters: Parameters
}

/** The statements of one function, in the order in which they are stated. */
export class FunctionBuilder {
  readonly #module: WasmModule
  readonly #name: string
  readonly #locals: ValueType[] = []
  readonly #code: number[] = []

  constructor(module: WasmModule, name: string) {
    this.#module = module
    this.#name = name
  }

  /** A new variable. It is zero when the function is entered; an initial value is assigned where this is stated. */
  local<T extends ValueType>(type: T, initial?: Operand<T>): Local<T> {
    const index = this.#locals.push(type) - 1
    const local = { type, index, code: [0x20, ...unsigned(index)], owner: this }
    if (initial !== undefined) this.set(local, initial)
    return local
  }

  set<T extends ValueType>(local: Local<T>, value: Operand<T>): void {
    this.#evaluate(operand('set', local.type, value))
    this.#own(local)
    this.#emit([0x21, ...unsigned(local.index)])
  }

  /** x y + z a lane: rounded once where the module has relaxed SIMD and the machine a fused multiply-add, else twice. */
  madd(x: Operand<'v128'>, y: Operand<'v128'>, z: Operand<'v128'>): Value<'v128'> {
    return this.#module.features.relaxed ? f32x4.relaxed_madd(x, y, z) : f32x4.add(f32x4.mul(x, y), z)
  }

  /** z - x y a lane, rounded as `madd` rounds. */
  nmadd(x: Operand<'v128'>, y: Operand<'v128'>, z: Operand<'v128'>): Value<'v128'> {
    return this.#module.features.relaxed ? f32x4.relaxed_nmadd(x, y, z) : f32x4.sub(z, f32x4.mul(x, y))
  }

  /** `yes` in the lanes where `mask` is all ones, `no` where it is all zeros; both are computed. */
  choose(mask: Operand<'v128'>, yes: Operand<'v128'>, no: Operand<'v128'>): Value<'v128'> {
    return this.#module.features.relaxed ? i32x4.relaxed_laneselect(yes, no, mask) : v128.bitselect(yes, no, mask)
  }

  /** Evaluates an instruction that is made for its effect, and forgets its result. */
  drop(value: Value<ValueType>): void {
    this.#evaluate(value)
    this.#emit([0x1a])
  }

  /** Moves a pointer or a counter: local += step. */
  advance(local: Local<'i32'>, step: Operand<'i32'>): void {
    this.set(local, i32.add(local, step))
  }

  /** memory[pointer + offset] = value; how many bytes are written follows from the value's type. */
  store<T extends ValueType>(pointer: Operand<'i32'>, value: Value<T>, offset = 0): void {
    this.#evaluate(operand('store', 'i32', pointer))
    this.#evaluate(value)
    this.#emit([...storeCodes[value.type], ...address(offset)])
  }

  if(condition: Operand<'i32'>, then: () => void, otherwise?: () => void): void {
    this.#evaluate(operand('if', 'i32', condition))
    this.#emit([0x04, noResult])
    then()
    if (otherwise) {
      this.#emit([0x05])
      otherwise()
    }
    this.#emit([end])
  }

  /** The body once, then again as long as `again` is not zero after it: the cheapest loop, one branch a turn. */
  loop(body: () => void, again: Operand<'i32'>): void {
    this.#emit([0x03, noResult])
    body()
    this.#evaluate(operand('loop', 'i32', again))
    this.#emit([0x0d, 0, end])
  }

  /** The body as long as `condition` is not zero before it. */
  while(condition: Operand<'i32'>, body: () => void): void {
    this.if(condition, () => this.loop(body, condition))
  }

  /** The body `count` times; the count is taken once, as unsigned. */
  times(count: Operand<'i32'>, body: () => void): void {
    const left = this.local('i32', count)
    this.if(left, () => this.loop(body, tee(left, i32.sub(left, 1))))
  }

  call<P extends Parameters>(callee: Callee<P>, values: Arguments<P>): void {
    if (callee.module !== this.#module) {
      throw new SluiceError('wasm', `${this.#name} calls ${callee.name}, which is a function of another module`)
    }
    for (const [name, type] of Object.entries(callee.parameters)) {
      this.#evaluate(operand(`${callee.name}(${name})`, type, values[name]!))
    }
    this.#emit([0x10, ...unsigned(callee.index)])
  }

  /** Declarations of the locals after the parameters, which are the first locals, then the code. */
  body(parameterCount: number): Bytes {
    const declared = this.#locals.slice(parameterCount).map((type) => [1, typeCodes[type]])
    return join(vector(declared), this.#code, [end])
  }

  #evaluate(value: Value<ValueType>): void {
    this.#own(value)
    this.#emit(value.code)
  }

  #own({ owner }: Value<ValueType>): void {
    if (owner && owner !== this) throw new SluiceError('wasm', `${this.#name} uses a local of another function`)
  }

  #emit(code: Bytes): void {
    for (const byte of code) this.#code.push(byte)
  }
}

/** Kernels that share one memory and may call each other. */
export class WasmModule {
  readonly features: Features
  /** Whether the module must be compiled while the engine pairs vectors: its kernels are shaped for that alone. */
  readonly wide: boolean
  readonly #functions: { name: string; parameters: Parameters; body: Bytes }[] = []
  /** The module's own functions. */
  readonly callees: Callee[] = []
  readonly #imports: Import[] = []

  constructor(features: Features = { relaxed: false }) {
    this.features = features
    this.wide = features.wide ?? false
  }

  /** Modules whose functions this one calls; they must be instantiated before it. */
  get dependencies(): readonly WasmModule[] {
    return [...new Set(this.#imports.flatMap(({ from }) => from?.module ?? []))]
  }

  /**
   * A function of another module, for `f.call`. Imports come before the module's own functions, whose numbers follow.
   */
  import<const P extends Parameters>(callee: Callee<P>): Callee<P> {
    if (callee.module === this) return callee
    const index = this.#imports.findIndex(({ from }) => from === callee)
    if (index >= 0) return { ...callee, module: this, index }
    return this.#import({ from: callee, name: callee.name, parameters: callee.parameters }, callee.parameters)
  }

  /** A function of JavaScript, given under this name at instantiation. */
  importHost<const P extends Parameters>(name: string, parameters: P): Callee<P> {
    return this.#import({ from: undefined, name, parameters }, parameters)
  }

  #import<P extends Parameters>(given: Import, parameters: P): Callee<P> {
    if (this.#functions.length > 0) {
      throw new SluiceError(
        'wasm',
        `import ${given.name} before the module's first function, whose number it would change`,
      )
    }
    const index = this.#imports.push(given) - 1
    return { module: this, name: given.name, index, parameters }
  }

  /** Adds a function and gives back what `f.call` takes. It has no result: kernels leave theirs in memory. */
  function<const P extends Parameters>(
    name: string,
    parameters: P,
    state: (f: FunctionBuilder, parameters: Locals<P>) => void,
  ): Callee<P> {
    if (this.#functions.some((other) => other.name === name)) {
      throw new SluiceError('wasm', `the module already has a function ${name}; give this one another name`)
    }
    const f = new FunctionBuilder(this, name)
    const names = Object.entries(parameters)
    const locals = Object.fromEntries(names.map(([key, type]) => [key, f.local(type)]))
    state(f, locals as Locals<P>)
    this.#functions.push({ name, parameters, body: f.body(names.length) })
    const index = this.#imports.length + this.#functions.length - 1
    const callee = { module: this, name, index, parameters }
    this.callees.push(callee)
    return callee
  }

  /**
   * The module in WebAssembly's binary format.
   *
   * @param maximumPages the memory's limit where it is shared; undefined where it is not
   */
  bytes(maximumPages?: number): Uint8Array<ArrayBuffer> {
    const signatures = [...this.#imports, ...this.#functions]
    const types = signatures.map(({ parameters }) => {
      const codes = Object.values(parameters).map((type) => [typeCodes[type]])
      return join([0x60], vector(codes), vector([]))
    })
    const limits = maximumPages === undefined ? [0x00, 0] : [0x03, 0, ...unsigned(maximumPages)]
    const memory = join(utf8('env'), utf8('memory'), [0x02], limits)
    const imported = this.#imports.map(({ from }, type) =>
      join(utf8(from ? 'module' : 'host'), utf8(importName(type)), [0x00], unsigned(type)),
    )
    const first = this.#imports.length
    const exported = this.#functions.map(({ name }, i) => join(utf8(name), [0x00], unsigned(first + i)))
    const code = join(
      magicAndVersion,
      section(1, vector(types)),
      section(2, vector([memory, ...imported])),
      section(3, vector(this.#functions.map((_, i) => unsigned(first + i)))),
      section(7, vector(exported)),
      section(10, vector(this.#functions.map(({ body }) => sized(body)))),
    )
    return new Uint8Array(code)
  }

  /** The imported functions in order: each with the name under which the instance expects it. */
  get imports(): readonly { readonly key: string; readonly from: Callee | undefined; readonly name: string }[] {
    return this.#imports.map(({ from, name }, i) => ({ key: importName(i), from, name }))
  }

  /** Compiles the module over `memory`; the result gives a kernel's exported function, arguments in the parameters' order. */
  instantiate(memory: WebAssembly.Memory): (kernel: Callee) => (...values: number[]) => void {
    const foreign = this.#imports[0]
    if (foreign)
      throw new SluiceError('wasm', `the module calls ${foreign.name}, which is not its own; load it with a library`)
    const isShared = typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer
    const compiled = new WebAssembly.Module(this.bytes(isShared ? mostPages : undefined))
    const { exports } = new WebAssembly.Instance(compiled, { env: { memory } })
    return ({ name }) => exports[name] as (...values: number[]) => void
  }
}

const importName = (index: number): string => `f${index}`

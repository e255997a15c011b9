/**
 * The WebAssembly functions of the cpu device: each module is compiled once, when one of its functions is first asked for,
 * and instantiated by every thread over the one memory.
 */
import type { Callee, WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import type { ValueType } from '../../../kernels/tuned/wasm/instructions.ts'
import { compileOptimized } from './v8-flags.ts'

/** A function, ready to be called on this thread; other threads know it by its number. */
export interface LoadedFunction {
  readonly id: number
  /** Types of the parameters, in order. */
  readonly types: readonly ValueType[]
  /** Whether its last parameters are those of the runner, see kernels/tuned/wasm/task.ts. */
  readonly takesScratch: boolean
  readonly takesRange: boolean
  readonly call: (...values: number[]) => void
}

/** What another thread needs to instantiate a module. Functions are numbered in the order of `names`, from `first`. */
export interface ModuleMessage {
  readonly module: WebAssembly.Module
  /** For each imported function, the key it is expected under, and its number. */
  readonly imports: readonly { readonly key: string; readonly id: number }[]
  /** Keys of imported functions of the main thread's JavaScript; other threads never call them. */
  readonly hostImports: readonly string[]
  readonly first: number
  readonly names: readonly string[]
  readonly types: readonly (readonly ValueType[])[]
}

type Host = Readonly<Record<string, (...values: number[]) => void>>

export class Library {
  readonly #memory: WebAssembly.Memory
  readonly #maximumPages: number | undefined
  readonly #loaded = new Map<Callee, LoadedFunction>()
  readonly #instances = new Map<WasmModule, Record<string, unknown>>()
  /** The modules, in the order in which other threads must load them. */
  readonly messages: ModuleMessage[] = []
  /** Modules that other threads may forget. */
  readonly dropped: ModuleMessage[] = []
  #functions = 0

  /** @param maximumPages the memory's limit, if it is shared */
  constructor(memory: WebAssembly.Memory, maximumPages: number | undefined) {
    this.#memory = memory
    this.#maximumPages = maximumPages
  }

  get(callee: Callee): LoadedFunction {
    const loaded = this.#loaded.get(callee)
    if (loaded) return loaded
    this.load(callee.module)
    return this.#loaded.get(callee)!
  }

  /**
   * Compiles and instantiates a module and those it calls. Kernels are compiled by the optimizing compiler at once; a
   * program, which only calls them, need not be.
   *
   * @param host the functions of JavaScript that a program imports
   */
  load(module: WasmModule, host?: Host): void {
    if (this.#instances.has(module)) return
    const functions: Record<string, WebAssembly.ImportValue> = {}
    const imports: { key: string; id: number }[] = []
    const hostImports: string[] = []
    for (const { key, from, name } of module.imports) {
      if (from) {
        const { id, call } = this.get(from)
        functions[key] = call
        imports.push({ key, id })
      } else {
        hostImports.push(key)
        functions[key] = host![name]!
      }
    }
    const bytes = module.bytes(this.#maximumPages)
    const compiled = host ? new WebAssembly.Module(bytes) : compileOptimized(bytes, module.wide)
    const { exports } = new WebAssembly.Instance(compiled, {
      env: { memory: this.#memory },
      module: functions,
      host: functions,
    })
    this.#instances.set(module, exports)
    const first = this.#functions
    const callees = module.callees
    for (const callee of callees) {
      this.#loaded.set(callee, {
        id: this.#functions++,
        types: Object.values(callee.parameters),
        takesScratch: 'scratch' in callee.parameters,
        takesRange: 'from' in callee.parameters,
        call: exports[callee.name] as (...values: number[]) => void,
      })
    }
    this.messages.push({
      module: compiled,
      imports,
      hostImports,
      first,
      names: callees.map(({ name }) => name),
      types: callees.map(({ parameters }) => Object.values(parameters)),
    })
  }

  /** Forgets a module that no other calls. */
  unload(module: WasmModule): void {
    this.#instances.delete(module)
    const [callee] = module.callees
    const { id } = this.#loaded.get(callee)!
    for (const each of module.callees) this.#loaded.delete(each)
    this.dropped.push(this.messages.find(({ first }) => first === id)!)
  }
}

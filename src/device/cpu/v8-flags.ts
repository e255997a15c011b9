/**
 * Flags of V8, where it runs in Node: they can be set in a running process, and take effect on what is compiled next.
 * Elsewhere there is nothing to set.
 */

type Builtins = typeof import('node:v8')

const v8 = (): Builtins | undefined =>
  globalThis.process?.versions?.v8 === undefined
    ? undefined
    : (globalThis.process.getBuiltinModule?.('node:v8') as Builtins | undefined)

/** The major version of Node; 0 elsewhere. */
export const nodeMajor: number = Number(globalThis.process?.versions?.node?.split('.')[0] ?? 0)

export function setFlags(...flags: readonly string[]): void {
  for (const flag of flags) v8()?.setFlagsFromString(flag)
}

/**
 * Has the optimizing compiler compile the whole module at once. Otherwise V8 first makes quick code and replaces it function
 * by function, at its own time: the first steps are slow, and a function that is called seldom stays so.
 *
 * @param wide pairs vector operations into ones of 256 bits: a flag of V8 that is still experimental
 */
export function compileOptimized(bytes: Uint8Array<ArrayBuffer>, wide: boolean): WebAssembly.Module {
  // Node 26 aborts when quick code is switched off while inlining, which goes by what quick code has counted, is on.
  if (nodeMajor >= 24) setFlags('--no-wasm-inlining-call-indirect', '--no-wasm-inlining')
  setFlags('--no-liftoff', '--no-wasm-lazy-compilation')
  if (wide) setFlags('--experimental-wasm-revectorize')
  try {
    return new WebAssembly.Module(bytes)
  } finally {
    if (wide) setFlags('--no-experimental-wasm-revectorize')
    setFlags('--liftoff', '--wasm-lazy-compilation')
  }
}

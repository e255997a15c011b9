/** What must not happen while a file is read: code made from text or bytes, changed prototypes, files elsewhere. */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What was done that must not be, in the order in which it was done; emptied by whoever reports it. */
export const offences: string[] = []

type Callable = (...args: unknown[]) => unknown

/** Makes every way to turn text or bytes into code an offence. */
export function guardCode(): void {
  const forbid = (holder: object, name: string, what: string): void => {
    const original = Reflect.get(holder, name) as Callable
    const guarded = function guarded(): never {
      offences.push(`${what} was called`)
      throw new Error(`${what} was called`)
    }
    Object.defineProperty(guarded, 'prototype', { value: original.prototype })
    Object.defineProperty(holder, name, { value: guarded, writable: true, configurable: true })
  }
  const makers = [() => {}, async () => {}, function* () {}, async function* () {}]
  for (const one of makers) forbid(Object.getPrototypeOf(one), 'constructor', 'a function constructor')
  forbid(globalThis, 'Function', 'Function')
  forbid(globalThis, 'eval', 'eval')
  for (const name of ['compile', 'instantiate', 'compileStreaming', 'instantiateStreaming', 'Module']) {
    forbid(WebAssembly, name, `WebAssembly.${name}`)
  }
}

const prototypes: readonly [string, object][] = [
  ['Object', Object.prototype],
  ['Array', Array.prototype],
  ['String', String.prototype],
  ['Number', Number.prototype],
  ['Map', Map.prototype],
  ['Uint8Array', Object.getPrototypeOf(Uint8Array.prototype)],
  ['Object (the constructor)', Object],
]
const shown = (): string[] => prototypes.map(([, prototype]) => Reflect.ownKeys(prototype).map(String).join())
const atFirst = shown()
const chains = prototypes.map(([, prototype]) => Object.getPrototypeOf(prototype))

/** Notes a prototype that has other keys, or another prototype, than when the program began. */
export function lookAtPrototypes(): void {
  const now = shown()
  prototypes.forEach(([name, prototype], i) => {
    if (now[i] !== atFirst[i] || Object.getPrototypeOf(prototype) !== chains[i]) {
      offences.push(`the prototype of ${name} was changed`)
    }
  })
  for (const _ in {}) offences.push('Object.prototype has an enumerable key')
}

/** Calls of node:fs that take a path, and how many. */
const calls: readonly [string, number][] = [
  ...['open', 'readFile', 'writeFile', 'appendFile', 'stat', 'lstat', 'access', 'readdir', 'opendir', 'mkdir'].map(
    (name): [string, number] => [name, 1],
  ),
  ...['rm', 'rmdir', 'unlink', 'truncate', 'utimes', 'chmod', 'readlink', 'realpath', 'mkdtemp', 'watch'].map(
    (name): [string, number] => [name, 1],
  ),
  ...['rename', 'copyFile', 'link', 'symlink', 'cp'].map((name): [string, number] => [name, 2]),
  ...['createReadStream', 'createWriteStream'].map((name): [string, number] => [name, 1]),
]

/** Makes it an offence to touch a path outside of `folder`. */
export function guardFiles(folder: string): void {
  const inside = resolve(folder)
  const check = (name: string, path: unknown): void => {
    if (typeof path !== 'string' && !(path instanceof URL) && !Buffer.isBuffer(path)) return
    const asked = resolve(path instanceof URL ? fileURLToPath(path) : String(path))
    if (asked !== inside && !asked.startsWith(inside + sep)) offences.push(`${name} of ${JSON.stringify(asked)}`)
  }
  const guard = (holder: object, name: string, paths: number): void => {
    const original = Reflect.get(holder, name) as Callable | undefined
    if (typeof original !== 'function') return
    Reflect.set(holder, name, function guarded(this: unknown, ...args: unknown[]): unknown {
      for (const path of args.slice(0, paths)) check(name, path)
      return Reflect.apply(original, this, args)
    })
  }
  for (const [name, paths] of calls) {
    for (const variant of [name, `${name}Sync`]) guard(fs, variant, paths)
    guard(fs.promises, name, paths)
  }
  syncBuiltinESMExports()
}

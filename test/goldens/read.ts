/**
 * Reads operations.json: float64 values and gradients of every operation, written by operations.py.
 *
 * The whole structure is checked while reading, so that a test may trust the types below.
 */
import { readFileSync } from 'node:fs'

export interface ShapedData {
  shape: number[]
  /** Row-major. */
  data: number[]
}

export interface GoldenTensor extends ShapedData {
  dtype: 'float64' | 'int32'
}

/** A plain argument: number, string, boolean, null, or lists of these (shapes, axes, ranges). */
export type GoldenValue = number | string | boolean | null | GoldenValue[]

export type GoldenArgument =
  | { tensor: GoldenTensor }
  | { tensors: GoldenTensor[] }
  | { options: { [name: string]: GoldenValue | { tensor: GoldenTensor } } }
  | { value: GoldenValue }

export interface GoldenCase {
  op: string
  case: string
  /** In the order of the call: `op(...arguments)`. */
  arguments: GoldenArgument[]
  /** `out`; the delta rules have `out` and `state`, topK has `values` and `indices`. */
  outputs: { [name: string]: GoldenTensor }
  /** One for each float output; none when nothing is differentiated. */
  cotangents: { [name: string]: ShapedData }
  /** One for each tensor of the arguments, depth first; null where none is taken. */
  gradients: (ShapedData | null)[]
}

/** All cases, in the file's order. */
export function readGoldens(): GoldenCase[] {
  return parseGoldens(readFileSync(new URL('operations.json', import.meta.url), 'utf8'))
}

/** The tensors among a case's arguments, depth first: the order of `gradients`. */
export function tensorsOf(golden: Pick<GoldenCase, 'arguments'>): GoldenTensor[] {
  return golden.arguments.flatMap((argument) => {
    if ('tensor' in argument) return [argument.tensor]
    if ('tensors' in argument) return argument.tensors
    if ('options' in argument)
      return Object.values(argument.options).flatMap((o) => (isTensorEntry(o) ? [o.tensor] : []))
    return []
  })
}

/** Whether an option's value is a tensor. */
export function isTensorEntry(option: GoldenValue | { tensor: GoldenTensor }): option is { tensor: GoldenTensor } {
  return typeof option === 'object' && option !== null && !Array.isArray(option)
}

/**
 * Reads and checks the text of a golden file.
 *
 * @throws Error that names the case and the entry that is malformed
 */
export function parseGoldens(text: string): GoldenCase[] {
  const cases = list(JSON.parse(text), 'file').map((entry, i) => parseCase(entry, `case ${i}`))
  const seen = new Set<string>()
  for (const golden of cases) {
    const name = `${golden.op}: ${golden.case}`
    if (seen.has(name)) throw new Error(`goldens: ${name}: there are two of them`)
    seen.add(name)
  }
  return cases
}

function parseCase(entry: unknown, position: string): GoldenCase {
  const fields = keyed(entry, position, ['op', 'case', 'arguments', 'outputs', 'cotangents', 'gradients'])
  const op = nonEmpty(fields.op, `${position}.op`)
  const name = nonEmpty(fields.case, `${position}.case`)
  const at = `${op}: ${name}`
  const parsed: GoldenCase = {
    op,
    case: name,
    arguments: list(fields.arguments, `${at}.arguments`).map((item, i) => parseArgument(item, `${at}.arguments[${i}]`)),
    outputs: mapped(fields.outputs, `${at}.outputs`, parseTensor),
    cotangents: mapped(fields.cotangents, `${at}.cotangents`, parseShaped),
    gradients: list(fields.gradients, `${at}.gradients`).map((item, i) =>
      item === null ? null : parseShaped(item, `${at}.gradients[${i}]`),
    ),
  }
  checkConsistency(parsed, at)
  return parsed
}

/** Gradients fit the tensors, cotangents fit the float outputs, and one exists exactly when the other does. */
function checkConsistency(golden: GoldenCase, at: string): void {
  const tensors = tensorsOf(golden)
  if (tensors.length === 0) throw new Error(`goldens: ${at}: no tensor among the arguments`)
  if (Object.keys(golden.outputs).length === 0) throw new Error(`goldens: ${at}: no output`)
  if (tensors.length !== golden.gradients.length) {
    throw new Error(`goldens: ${at}: ${tensors.length} tensors but ${golden.gradients.length} gradients`)
  }
  tensors.forEach((tensor, i) => {
    const gradient = golden.gradients[i]
    if (!gradient) return
    if (tensor.dtype === 'int32') throw new Error(`goldens: ${at}: int32 tensor ${i} has a gradient`)
    requireSameShape(gradient, tensor, `${at}.gradients[${i}]`)
  })
  const differentiated = golden.gradients.some((gradient) => gradient !== null)
  const floats = Object.keys(golden.outputs).filter((key) => golden.outputs[key]?.dtype === 'float64')
  const expected = differentiated ? floats : []
  const given = Object.keys(golden.cotangents)
  if (given.join() !== expected.join()) {
    throw new Error(`goldens: ${at}: cotangents for [${given}], expected [${expected}]`)
  }
  for (const key of given) requireSameShape(golden.cotangents[key]!, golden.outputs[key]!, `${at}.cotangents.${key}`)
}

function requireSameShape(a: ShapedData, b: ShapedData, at: string): void {
  if (a.shape.join() !== b.shape.join()) throw new Error(`goldens: ${at}: shape [${a.shape}], expected [${b.shape}]`)
}

function parseArgument(entry: unknown, at: string): GoldenArgument {
  const [kind, ...others] = Object.keys(object(entry, at))
  const content = object(entry, at)[kind ?? '']
  if (others.length === 0 && kind === 'tensor') return { tensor: parseTensor(content, at) }
  if (others.length === 0 && kind === 'tensors') {
    const tensors = list(content, at).map((item, i) => parseTensor(item, `${at}[${i}]`))
    if (tensors.length === 0) throw new Error(`goldens: ${at}: an empty list of tensors`)
    return { tensors }
  }
  if (others.length === 0 && kind === 'options') return { options: mapped(content, at, parseOption) }
  if (others.length === 0 && kind === 'value') return { value: parseValue(content, at) }
  throw new Error(`goldens: ${at}: expected one of tensor, tensors, options, value, got ${JSON.stringify(entry)}`)
}

function parseOption(entry: unknown, at: string): GoldenValue | { tensor: GoldenTensor } {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return parseValue(entry, at)
  return { tensor: parseTensor(keyed(entry, at, ['tensor']).tensor, at) }
}

function parseValue(entry: unknown, at: string): GoldenValue {
  if (entry === null || typeof entry === 'number' || typeof entry === 'string' || typeof entry === 'boolean')
    return entry
  return list(entry, at).map((item, i) => parseValue(item, `${at}[${i}]`))
}

function parseTensor(entry: unknown, at: string): GoldenTensor {
  const { dtype, ...shaped } = keyed(entry, at, ['shape', 'dtype', 'data'])
  if (dtype !== 'float64' && dtype !== 'int32') throw new Error(`goldens: ${at}: dtype ${JSON.stringify(dtype)}`)
  const { shape, data } = parseShaped(shaped, at)
  if (dtype === 'int32' && data.some((value) => (value | 0) !== value)) {
    throw new Error(`goldens: ${at}: an int32 tensor holds something else`)
  }
  return { shape, dtype, data }
}

function parseShaped(entry: unknown, at: string): ShapedData {
  const fields = keyed(entry, at, ['shape', 'data'])
  const shape = numbers(fields.shape, `${at}.shape`)
  const data = numbers(fields.data, `${at}.data`)
  if (shape.some((size) => !Number.isInteger(size) || size < 1)) throw new Error(`goldens: ${at}: shape [${shape}]`)
  const size = shape.reduce((product, length) => product * length, 1)
  if (data.length !== size) throw new Error(`goldens: ${at}: ${data.length} numbers for shape [${shape}]`)
  return { shape, data }
}

function object(entry: unknown, at: string): Record<string, unknown> {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw new Error(`goldens: ${at}: expected an object, got ${JSON.stringify(entry)}`)
  }
  return Object.fromEntries(Object.entries(entry))
}

/** An object with exactly these keys. */
function keyed<K extends string>(entry: unknown, at: string, keys: readonly K[]): Record<K, unknown> {
  const fields = object(entry, at)
  const found = Object.keys(fields).toSorted().join()
  if (found !== keys.toSorted().join()) throw new Error(`goldens: ${at}: has [${found}], expected [${keys}]`)
  return fields
}

function mapped<T>(entry: unknown, at: string, parse: (item: unknown, at: string) => T): { [name: string]: T } {
  const items = Object.entries(object(entry, at))
  return Object.fromEntries(items.map(([key, item]) => [key, parse(item, `${at}.${key}`)]))
}

function list(entry: unknown, at: string): unknown[] {
  if (!Array.isArray(entry)) throw new Error(`goldens: ${at}: expected a list, got ${JSON.stringify(entry)}`)
  return entry
}

function numbers(entry: unknown, at: string): number[] {
  return list(entry, at).map((item) => {
    if (typeof item !== 'number') throw new Error(`goldens: ${at}: expected numbers, got ${JSON.stringify(item)}`)
    return item
  })
}

function nonEmpty(entry: unknown, at: string): string {
  if (typeof entry !== 'string' || entry === '') throw new Error(`goldens: ${at}: expected a name`)
  return entry
}

/** Named tensors to and from host memory: what models and optimizers save, and how strictly they load. */
import type { TypedArray } from '../device/device.ts'
import { SluiceError, showShape } from '../errors.ts'
import { sameShape } from './shape.ts'
import { fromData, type Tensor } from './tensor.ts'

/** A tensor in host memory: `data` is row-major and holds the product of `shape` values of the named type. */
export interface HostTensor {
  /** Of the elements. */
  readonly dtype: 'float32' | 'float64' | 'int32'
  /** [] for a single number. */
  readonly shape: readonly number[]
  /** The elements, row-major, in an array of their type. */
  readonly data: Float32Array | Float64Array | Int32Array
}

/** A copy in host memory. */
export async function toHost(t: Tensor): Promise<HostTensor> {
  const data: TypedArray = await t.data()
  return { dtype: t.dtype, shape: [...t.shape], data }
}

/** Copies in host memory of all `tensors`, under their names. */
export async function allToHost(tensors: ReadonlyMap<string, Tensor>): Promise<Map<string, HostTensor>> {
  const names = [...tensors.keys()]
  const copies = await Promise.all([...tensors.values()].map(toHost))
  return new Map(names.map((name, i) => [name, copies[i]]))
}

/** At most this many entries of a kind are named in one message. */
const NAMED = 5

const listed = (entries: readonly string[]): string =>
  entries.slice(0, NAMED).join(', ') + (entries.length > NAMED ? ` and ${entries.length - NAMED} more` : '')

/**
 * Replaces the value of every tensor of `targets` by the entry of its name; float32 and float64 are converted.
 *
 * Everything is checked first: either all values are replaced, or none.
 *
 * @throws SluiceError naming what is missing, what is not expected, and what has another shape or kind of number
 */
export function assignAll(
  operation: string,
  targets: ReadonlyMap<string, Tensor>,
  given: ReadonlyMap<string, HostTensor>,
): void {
  checkEntries(operation, targets, given)
  for (const [name, target] of targets) {
    target.assign(fromData(given.get(name)!.data, target.shape, target.dtype, target.storage.device))
  }
}

function checkEntries(
  operation: string,
  targets: ReadonlyMap<string, Tensor>,
  given: ReadonlyMap<string, HostTensor>,
): void {
  const complaints: string[] = []
  const missing = [...targets.keys()].filter((name) => !given.has(name))
  const unexpected = [...given.keys()].filter((name) => !targets.has(name))
  if (missing.length > 0) complaints.push(`missing: ${listed(missing)}`)
  if (unexpected.length > 0) complaints.push(`unexpected: ${listed(unexpected)}`)
  const misshapen: string[] = []
  for (const [name, target] of targets) {
    const entry = given.get(name)
    if (!entry) continue
    const fits = sameShape(entry.shape, target.shape) && entry.data.length === target.size
    if (fits && (entry.dtype === 'int32') === (target.dtype === 'int32')) continue
    misshapen.push(
      `${name} is ${showShape(entry.shape)} ${entry.dtype}, expected ${showShape(target.shape)} ${target.dtype}`,
    )
  }
  if (misshapen.length > 0) complaints.push(`misshapen: ${listed(misshapen)}`)
  if (complaints.length > 0) {
    throw new SluiceError(
      operation,
      `the entries do not fit (${complaints.join('; ')}); load them into what has the same configuration as what saved them`,
    )
  }
}

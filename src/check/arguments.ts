/** The arguments of an operation as data: their tensors found, replaced, moved to another device and printed. */
import { findDevice } from '../device/registry.ts'
import { tensorsAmong } from '../ops/record.ts'
import { defaultGenerator } from '../tensor/random.ts'
import { stridesOf } from '../tensor/shape.ts'
import { fromData, isTensor, type Tensor } from '../tensor/tensor.ts'

const isPlain = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype

/** `value` with every tensor in it, in lists and plain objects too, replaced. */
export function replaceTensors(value: unknown, replace: (t: Tensor) => Tensor): unknown {
  if (isTensor(value)) return replace(value)
  if (Array.isArray(value)) return value.map((item) => replaceTensors(item, replace))
  if (!isPlain(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, replaceTensors(item, replace)]))
}

/** A copy on `device`, which need not be in host memory. The caller owns it. */
async function copyTo(t: Tensor, device: string): Promise<Tensor> {
  const target = findDevice(device)
  const data = t.storage.device.readNow ? t.dataNow() : await t.data()
  return fromData(data, t.shape, t.dtype === 'int32' ? 'int32' : target.floatType, target)
}

/** Arguments copied deep to a device, and the copies of their tensors in order. */
export async function moveArguments(
  given: readonly unknown[],
  device: string,
): Promise<{ given: unknown[]; tensors: Tensor[] }> {
  const copies = new Map<Tensor, Tensor>()
  for (const t of tensorsAmong(given)) if (!copies.has(t)) copies.set(t, await copyTo(t, device))
  return {
    given: replaceTensors(given, (t) => copies.get(t)!) as unknown[],
    tensors: [...copies.values()],
  }
}

/** The float tensors among what an operation returned: one, or those of a list or record. */
export function floatsAmong(result: unknown): Tensor[] {
  return tensorsAmong([result]).filter((t) => t.dtype !== 'int32')
}

/** Runs `body` with the default generator where it stands, and puts it back there: every run draws the same. */
export function pinned<R>(body: () => R): R {
  const before = defaultGenerator.state
  try {
    return body()
  } finally {
    defaultGenerator.state = before
  }
}

/** A value as the JavaScript that makes it: `tensor([[1, 2]])`, `{ axis: 1 }`. */
export function showValue(value: unknown): string {
  if (isTensor(value)) return showTensor(value)
  if (Array.isArray(value)) return `[${value.map(showValue).join(', ')}]`
  if (isPlain(value)) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    return entries.length === 0
      ? '{}'
      : `{ ${entries.map(([name, item]) => `${name}: ${showValue(item)}`).join(', ')} }`
  }
  return typeof value === 'string' ? `'${value}'` : String(value)
}

function showTensor(t: Tensor): string {
  if (t.isDisposed) return `<disposed tensor [${t.shape.join(', ')}]>`
  if (!t.storage.device.readNow) return `<tensor [${t.shape.join(', ')}] on ${t.device}>`
  if (t.size === 0) return `zeros([${t.shape.join(', ')}])`
  const data = t.dataNow()
  const strides = stridesOf(t.shape)
  const block = (axis: number, offset: number): string =>
    axis === t.rank
      ? String(data[offset])
      : `[${Array.from({ length: t.shape[axis] }, (_, i) => block(axis + 1, offset + i * strides[axis])).join(', ')}]`
  return t.dtype === 'int32' ? `tensor(${block(0, 0)}, { dtype: 'int32' })` : `tensor(${block(0, 0)})`
}

/** A call as one could type it: `add(tensor([1]), 2)`. */
export function showCall(name: string, given: readonly unknown[]): string {
  return `${name}(${given.map(showValue).join(', ')})`
}

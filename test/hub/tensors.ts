/** Tensors for the tests of files, and what it means that two are the same. */
import fc from 'fast-check'
import { expect } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import type { HostTensor } from '../../src/tensor/host.ts'

export const types = { float32: Float32Array, float64: Float64Array, int32: Int32Array }

const bytesOf = ({ buffer, byteOffset, byteLength }: HostTensor['data']) => Buffer.from(buffer, byteOffset, byteLength)

/** Bit for bit, so that NaN payloads and -0 count. */
export function expectEqualTensors(
  found: ReadonlyMap<string, HostTensor>,
  wanted: ReadonlyMap<string, HostTensor>,
): void {
  expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort())
  for (const [name, { dtype, shape, data }] of wanted) {
    const tensor = found.get(name)!
    expect([tensor.dtype, tensor.shape]).toEqual([dtype, shape])
    expect(tensor.data).toBeInstanceOf(types[dtype])
    expect(bytesOf(tensor.data).equals(bytesOf(data))).toBe(true)
  }
}

export const anyTensor: fc.Arbitrary<HostTensor> = fc
  .record({
    dtype: fc.constantFrom('float32' as const, 'float64' as const, 'int32' as const),
    shape: fc.array(fc.nat(3), { maxLength: 4 }),
    seed: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  })
  .map(({ dtype, shape, seed }) => {
    const length = shape.reduce((product, size) => product * size, 1)
    const bytes = Uint8Array.from({ length: 8 * length }, (_, index) => seed[index % 8]! ^ (index >> 3))
    return { dtype, shape, data: new types[dtype](bytes.buffer, 0, length) }
  })

export const anyName = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }).filter((name) => name !== '__metadata__'),
  fc.constantFrom('__proto__', 'constructor', 'toString', '0', '10', '"', '\\', '{}'),
)
export const anyTensors = fc.array(fc.tuple(anyName, anyTensor), { maxLength: 6 }).map((list) => new Map(list))
export const anyMetadata = fc.dictionary(anyName, fc.string({ unit: 'binary' }), { maxKeys: 4, noNullPrototype: true })

/** float32 of this shape, value i being `of(i)`. */
export function floats(shape: readonly number[], of: (index: number) => number = (i) => i + 0.5): HostTensor {
  const length = shape.reduce((product, size) => product * size, 1)
  return { dtype: 'float32', shape, data: Float32Array.from({ length }, (_, i) => of(i)) }
}

/** What stands for an error that is a SluiceError; any other fails the test. */
export function refused(error: unknown): undefined {
  expect(error).toBeInstanceOf(SluiceError)
}

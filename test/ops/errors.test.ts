/** Every bad input of every record is refused in words, at the user's own line, and harms nothing. */
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { operations, SluiceError, scope, type Tensor } from '../../src/index.ts'
import { tensorsAmong } from '../../src/ops/record.ts'

function thrownBy(body: () => unknown): unknown {
  try {
    body()
  } catch (error) {
    return error
  }
  return null
}

describe('bad input', () => {
  for (const record of operations.values()) {
    for (const { what, arguments: make, message } of record.errors) {
      it(`${record.name} given ${what}`, () => {
        scope(() => {
          const given = make()
          const tensors = tensorsAmong(given)
          const before = tensors.map((t) => [...t.dataNow()])
          const { buffers } = findDevice('reference').statistics()
          const call = record.call as (...given: unknown[]) => unknown
          const error = thrownBy(() => scope(() => call(...given)))
          expect(error).toBeInstanceOf(SluiceError)
          expect((error as SluiceError).message).toMatch(message)
          expect((error as SluiceError).message).toMatch(/ \(at errors\.test\.ts:\d+\)$/)
          expect(tensors.map((t) => [...t.dataNow()])).toEqual(before)
          expect(findDevice('reference').statistics().buffers).toBe(buffers)
        })
      })
    }
  }

  it('is described by every public record', () => {
    const without = [...operations.values()].filter(({ internal, errors }) => !internal && errors.length === 0)
    expect(without.map(({ name }) => name)).toEqual([])
  })

  it('names the operation that was called', () => {
    const unnamed = [...operations.values()].flatMap((record) =>
      record.errors.flatMap(({ what, arguments: make }) => {
        const call = record.call as (...given: unknown[]) => Tensor
        const error = scope(() => thrownBy(() => call(...make()))) as SluiceError
        return typeof error.operation === 'string' && error.operation.length > 0 ? [] : [`${record.name}: ${what}`]
      }),
    )
    expect(unnamed).toEqual([])
  })
})

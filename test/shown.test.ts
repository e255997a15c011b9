/** Names and values out of files, in messages. */
import { expect, test } from 'vitest'
import { SluiceError } from '../src/errors.ts'
import { decodeSafetensors } from '../src/hub/safetensors.ts'
import { nearest } from '../src/nearest.ts'
import { transformerConfig } from '../src/nn/index.ts'
import { showName, showValue } from '../src/shown.ts'
import { trainConfig } from '../src/train/config.ts'
import { tokenizerFromJSON } from '../src/train/tokenizer.ts'

const deep = (): unknown => JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))

test('are short, whatever they are', () => {
  expect(showName('a'.repeat(1000))).toBe(`${'a'.repeat(100)}...`)
  expect(showValue({ a: 1 })).toBe('{"a":1}')
  expect(showValue(undefined)).toBe('undefined')
  expect(showValue('b'.repeat(1000))).toBe(`"${'b'.repeat(59)}...`)
  expect(showValue(deep())).toBe('an object in an object, and so on')
  expect(showValue(1n)).toBe('1')
})

test('a value in a hundred thousand others is refused as any other', () => {
  const refusals = [
    () => trainConfig({ steps: deep() }),
    () => trainConfig({ data: { taskOptions: { a: deep() } } }),
    () => trainConfig(deep()),
    () => transformerConfig({ vocabularySize: 4, gate: deep() as 'none' }),
    () => tokenizerFromJSON({ kind: deep() }),
    () => {
      const header = Buffer.from(`{"a":{"dtype":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`)
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(BigInt(header.length))
      decodeSafetensors(Buffer.concat([length, header]))
    },
  ]
  for (const refusal of refusals) expect(refusal).toThrow(SluiceError)
})

test('a key of megabytes is compared by its beginning', () => {
  expect(nearest(`steps${'x'.repeat(5_000_000)}`, ['steps', 'seed', 'text'])).toBe('steps')
  expect(() => trainConfig({ ['steps'.repeat(1_000_000)]: 1 })).toThrow(
    /^trainConfig: unknown key (steps){20}\.\.\.; the/,
  )
})

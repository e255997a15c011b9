/** Pages of operations say what is so: examples run, shapes are those of the records' own samples. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { promised, runExample } from '../../.ci/examples.mjs'
import { publicNames, withImports } from '../../docs/reference/imports.ts'
import { operationGroups, operationPages } from '../../docs/reference/operations.ts'
import { drawFrom } from '../../src/check/index.ts'
import type { OpRecord, Tensor } from '../../src/index.ts'
import * as sluice from '../../src/index.ts'
import { noGrad, operations, scope } from '../../src/index.ts'
import { broadcastShapes } from '../../src/tensor/shape.ts'
import { SEED } from '../check/runs.ts'

const names = publicNames({ sluice })
const records = [...operations.values()].filter(({ internal }) => !internal)
const isTensor = (value: unknown): value is Tensor => value instanceof sluice.Tensor

/** '[B, T]: meaning' or '[B] or [B, T]' as lists of letters; none for what has no shape. */
function shapesIn(text: string): string[][] {
  const head = text.split(':')[0]
  if (!head.startsWith('[')) return []
  return [...head.matchAll(/\[([^\]]*)\]/g)].map(([, inner]) => inner.split(/,\s*/).filter(Boolean))
}

/** What a letter stands for: its size, or the sizes behind '...'. */
type Sizes = Map<string, string>

const list = (sizes: string) => (sizes === '' ? [] : sizes.split(',').map(Number))

/** Leading axes may repeat one another, as operands of `matmul` do. */
function broadcast(a: string, b: string): string | undefined {
  try {
    return broadcastShapes('a page', list(a), list(b)).join()
  } catch {
    return undefined
  }
}

/** Whether a shape fits letters, given what they stand for; the letters that it decides are added. */
function fits(shape: readonly number[], letters: readonly string[], sizes: Sizes): boolean {
  const dots = letters.indexOf('...')
  if (dots < 0 ? shape.length !== letters.length : shape.length < letters.length - 1) return false
  const hidden = shape.length - letters.length + 1
  const found =
    dots < 0
      ? shape.map(String)
      : [
          ...shape.slice(0, dots).map(String),
          shape.slice(dots, dots + hidden).join(),
          ...shape.slice(dots + hidden).map(String),
        ]
  const next = new Map(sizes)
  for (const [i, letter] of letters.entries()) {
    const difference = /^(\w+) - (\d+)$/.exec(letter)
    if (difference) {
      if (Number(sizes.get(difference[1])) - Number(difference[2]) !== Number(found[i])) return false
      continue
    }
    const known = next.get(letter) ?? found[i]
    const size = letter === '...' ? broadcast(known, found[i]) : found[i]
    if (size === undefined || (letter !== '...' && known !== size)) return false
    next.set(letter, size)
  }
  for (const [letter, size] of next) sizes.set(letter, size)
  return true
}

/** What of a call or its result does not look as the page says. */
function misfit(name: string, text: string, value: unknown, sizes: Sizes): string | undefined {
  const shapes = shapesIn(text)
  if (shapes.length === 0) return undefined
  if (!isTensor(value)) return `${name} is said to be ${text}, and is no tensor`
  if (!shapes.some((letters) => fits(value.shape, letters, sizes))) {
    return `${name} is said to be ${text}, and is [${value.shape.join(', ')}] where ${[...sizes].join(' ')}`
  }
  if (text.includes('int32') !== (value.dtype === 'int32')) return `${name} is ${value.dtype}, against ${text}`
}

function misfits(record: OpRecord, given: readonly unknown[]): string[] {
  const page = operationPages[record.name as keyof typeof operationPages]
  const keys = Object.keys(page.arguments)
  const positional = keys.filter((key) => !key.startsWith('options.'))
  const isOptions = (value: unknown) =>
    value !== null && typeof value === 'object' && !isTensor(value) && !Array.isArray(value)
  const options = (given.find(isOptions) ?? {}) as Record<string, unknown>
  const values = given.filter((value) => !isOptions(value))
  const sizes: Sizes = new Map()
  const wrong: (string | undefined)[] = []
  if (values.length > positional.length && !keys.some((key) => key.startsWith('...'))) {
    wrong.push(`${values.length} arguments, of which the page names ${positional.length}`)
  }
  for (const [i, key] of positional.entries()) wrong.push(misfit(key, page.arguments[key], values[i], sizes))
  for (const [key, value] of Object.entries(options)) {
    const text = page.arguments[`options.${key}`]
    if (text === undefined) wrong.push(`the page does not name options.${key}`)
    else if (value !== undefined) wrong.push(misfit(`options.${key}`, text, value, sizes))
  }
  const result = noGrad(() => (record.call as (...given: unknown[]) => unknown)(...given))
  if (typeof page.result === 'string') wrong.push(misfit('the result', page.result, result, sizes))
  else {
    for (const [key, text] of Object.entries(page.result)) {
      wrong.push(misfit(key, text, (result as Record<string, unknown>)[key], sizes))
    }
  }
  return wrong.filter((text) => text !== undefined)
}

describe('the page of', () => {
  for (const record of records) {
    const page = operationPages[record.name as keyof typeof operationPages]
    describe(record.name, () => {
      it('has an example that prints what it says', async () => {
        const text = withImports(page.example, names)
        expect(text).toMatch(/^import /)
        expect(text).toContain(record.name)
        const said = promised(text)
        expect(said.length).toBeGreaterThan(0)
        expect(await runExample(text, { sluice })).toEqual(said)
      })

      it('tells the shapes that its samples have', () => {
        fc.assert(
          fc.property(fc.gen(), (draw) => {
            scope(() => expect(misfits(record, record.samples(drawFrom(draw)))).toEqual([]))
          }),
          { numRuns: 50, seed: SEED },
        )
      })

      it('has a gradient where the record has one', () => {
        expect(page.gradient !== null).toBe(record.differentiable)
      })
    })
  }
})

it('every operation is in one group of the index', () => {
  const listed = operationGroups.flatMap(({ pages }) => Object.keys(pages))
  expect(listed.toSorted()).toEqual(records.map(({ name }) => name).toSorted())
})

describe('a shape that is said', () => {
  it('is compared with the one that is', () => {
    const sizes: Sizes = new Map()
    expect(fits([2, 3, 4], ['...', 'C'], sizes)).toBe(true)
    expect([...sizes]).toEqual([
      ['...', '2,3'],
      ['C', '4'],
    ])
    expect(fits([5], ['C'], sizes)).toBe(false)
    expect(fits([4], ['C'], sizes)).toBe(true)
    expect(fits([3], ['C - 1'], sizes)).toBe(true)
    expect(fits([4], ['C - 1'], sizes)).toBe(false)
    expect(fits([4, 4], ['C'], sizes)).toBe(false)
    expect(fits([], [], sizes)).toBe(true)
    expect(fits([2, 1, 4], ['...', 'C'], sizes)).toBe(true)
    expect(fits([2, 2, 4], ['...', 'C'], sizes)).toBe(false)
  })
})

/** Every operation on the reference device against float64 goldens that were made without this engine. */
import { describe, expect, it } from 'vitest'
import * as sluice from '../../src/index.ts'
import { operations, Tensor, tensor } from '../../src/index.ts'
import {
  type GoldenArgument,
  type GoldenCase,
  type GoldenTensor,
  isTensorEntry,
  parseGoldens,
  readGoldens,
  type ShapedData,
  tensorsOf,
} from './read.ts'

/**
 * Largest error allowed, relative to max(1, |expected|).
 *
 * One unit roundoff (1.1e-16) in the inputs moves a golden value or gradient by 3.5e-13 at most and by 1e-14 in all but a
 * few ill-conditioned cases; operations.py measures it and refuses more than 1e-12. A cell is a sum of at most 70 terms
 * or a recurrence of at most 70 steps, so a stable evaluation is exact for inputs off by about 100 roundoffs: 4e-11 in the
 * worst case. A single rounding to float32 anywhere is 6e-8, and does not pass.
 */
const TOLERANCE = 1e-10

const goldens = readGoldens()

const functions: Readonly<Record<string, unknown>> = sluice

function make({ shape, data }: ShapedData, dtype: GoldenTensor['dtype'], requiresGrad: boolean): Tensor {
  const flat = dtype === 'int32' ? Int32Array.from(data) : Float64Array.from(data)
  return tensor(flat, { shape, dtype, device: 'reference', requiresGrad })
}

/** The arguments with their tensors made, and those tensors in the order of the gradients. */
function build(golden: GoldenCase): { call: unknown[]; tensors: Tensor[] } {
  const tensors: Tensor[] = []
  const next = (given: GoldenTensor): Tensor => {
    const made = make(given, given.dtype, golden.gradients[tensors.length] !== null)
    tensors.push(made)
    return made
  }
  const convert = (argument: GoldenArgument): unknown => {
    if ('tensor' in argument) return next(argument.tensor)
    if ('tensors' in argument) return argument.tensors.map(next)
    if ('value' in argument) return argument.value
    const options = Object.entries(argument.options)
    return Object.fromEntries(options.map(([name, value]) => [name, isTensorEntry(value) ? next(value.tensor) : value]))
  }
  return { call: golden.arguments.map(convert), tensors }
}

/** What the operation returned, under the names of the golden's outputs. */
function outputsOf(result: unknown, golden: GoldenCase): Record<string, Tensor> {
  const named: Readonly<Record<string, unknown>> = result instanceof Tensor ? { out: result } : { ...Object(result) }
  return Object.fromEntries(
    Object.keys(golden.outputs).map((name) => {
      const value = named[name]
      if (!(value instanceof Tensor)) throw new Error(`${golden.op} returned no tensor '${name}'`)
      return [name, value]
    }),
  )
}

async function expectClose(got: Tensor, want: ShapedData, what: string): Promise<void> {
  expect([...got.shape], `${what}: shape`).toEqual(want.shape)
  const data = await got.data()
  expect(data.length, `${what}: size`).toBe(want.data.length)
  const wrong = want.data.flatMap((expected, i) => {
    const error = Math.abs(data[i]! - expected) / Math.max(1, Math.abs(expected))
    // Written so that NaN is wrong.
    return error <= TOLERANCE ? [] : [`[${i}] is ${data[i]}, expected ${expected}`]
  })
  expect(wrong, what).toEqual([])
}

/** The sum over outputs of <output, cotangent>: its gradient is the vector-Jacobian product of all of them. */
function backward(outputs: Record<string, Tensor>, cotangents: GoldenCase['cotangents']): void {
  const pairs = Object.entries(cotangents).map(([name, given]): [Tensor, Tensor] => [
    outputs[name]!,
    make(given, 'float64', false),
  ])
  if (pairs.length === 1) {
    const [[output, cotangent]] = pairs as [[Tensor, Tensor]]
    output.backward(cotangent)
    return
  }
  pairs
    .map(([output, cotangent]) => sluice.sum(sluice.mul(output, cotangent)))
    .reduce((total, part) => sluice.add(total, part))
    .backward()
}

async function check(golden: GoldenCase): Promise<void> {
  const operation = functions[golden.op]
  if (typeof operation !== 'function') throw new Error(`there is no operation '${golden.op}'`)
  const { call, tensors } = build(golden)
  const outputs = outputsOf(operation(...call), golden)
  for (const [name, want] of Object.entries(golden.outputs)) {
    expect(outputs[name]!.dtype, `${name}: dtype`).toBe(want.dtype)
    await expectClose(outputs[name]!, want, name)
  }
  if (golden.gradients.every((gradient) => gradient === null)) return
  backward(outputs, golden.cotangents)
  for (const [i, want] of golden.gradients.entries()) {
    const got = tensors[i]!.grad
    if (want === null) {
      expect(got, `tensor ${i} takes no gradient`).toBeNull()
    } else {
      if (!got) throw new Error(`tensor ${i} has no gradient`)
      await expectClose(got, want, `gradient of tensor ${i}`)
    }
  }
}

describe('goldens', () => {
  for (const golden of goldens) {
    it(`${golden.op}: ${golden.case}`, () => check(golden))
  }
})

describe('the goldens themselves', () => {
  const covered = new Set(goldens.map(({ op }) => op))
  const withGradient = new Set(
    goldens.filter((g) => g.gradients.some((gradient) => gradient !== null)).map(({ op }) => op),
  )
  const records = [...operations.values()].filter(({ internal }) => !internal)

  it('cover every operation of the engine, and its gradient where it has one', () => {
    expect(records.length).toBeGreaterThan(50)
    expect(records.filter(({ name }) => !covered.has(name)).map(({ name }) => name)).toEqual([])
    const unproved = records.filter(({ name, differentiable }) => differentiable && !withGradient.has(name))
    expect(unproved.map(({ name }) => name)).toEqual([])
  })

  it('are only of operations that the engine exports', () => {
    expect([...covered].filter((op) => typeof functions[op] !== 'function')).toEqual([])
  })

  it.each([
    ['a value off by 1e-9', (golden: GoldenCase) => (golden.outputs.out!.data[2]! += 1e-9)],
    ['a gradient off by 1e-9', (golden: GoldenCase) => (golden.gradients[1]!.data[0]! += 1e-9)],
    ['another shape', (golden: GoldenCase) => golden.outputs.out!.shape.push(1)],
    ['another dtype', (golden: GoldenCase) => (golden.outputs.out!.dtype = 'int32')],
  ])('are refused by the comparison when they have %s', async (_what, spoil) => {
    const golden = goldens.find(({ op }) => op === 'mul')!
    await check(golden)
    const spoiled = structuredClone(golden)
    spoil(spoiled)
    await expect(check(spoiled)).rejects.toThrow()
  })

  const whole = {
    op: 'neg',
    case: 'one element',
    arguments: [{ tensor: { shape: [1], dtype: 'float64', data: [2] } }],
    outputs: { out: { shape: [1], dtype: 'float64', data: [-2] } },
    cotangents: { out: { shape: [1], data: [3] } },
    gradients: [{ shape: [1], data: [-3] }],
  }

  it('read back as they are written', () => {
    expect(parseGoldens(JSON.stringify([whole]))).toEqual([whole])
    expect(tensorsOf(parseGoldens(JSON.stringify([whole]))[0]!)).toEqual([whole.arguments[0]!.tensor])
  })

  it.each([
    ['is no list', whole, /file: expected a list/],
    [
      'lacks a field',
      [{ ...whole, gradients: undefined }],
      /expected \[op,case,arguments,outputs,cotangents,gradients\]/,
    ],
    ['has a case twice', [whole, whole], /neg: one element: there are two of them/],
    ['has an unknown kind of argument', [{ ...whole, arguments: [{ tensr: 1 }] }], /expected one of tensor, tensors/],
    ['has too few gradients', [{ ...whole, gradients: [] }], /1 tensors but 0 gradients/],
    [
      'has a gradient of another shape',
      [{ ...whole, gradients: [{ shape: [2], data: [1, 1] }] }],
      /shape \[2\], expected \[1\]/,
    ],
    [
      'has too few numbers',
      [{ ...whole, outputs: { out: { shape: [2], dtype: 'float64', data: [1] } } }],
      /1 numbers for shape \[2\]/,
    ],
    [
      'has an unknown dtype',
      [{ ...whole, outputs: { out: { shape: [1], dtype: 'float16', data: [1] } } }],
      /dtype "float16"/,
    ],
    [
      'has a string for a number',
      [{ ...whole, gradients: [{ shape: [1], data: ['1'] }] }],
      /expected numbers, got "1"/,
    ],
    ['lacks a cotangent', [{ ...whole, cotangents: {} }], /cotangents for \[\], expected \[out\]/],
    [
      'differentiates integers',
      [{ ...whole, arguments: [{ tensor: { shape: [1], dtype: 'int32', data: [2] } }] }],
      /int32 tensor 0 has a gradient/,
    ],
  ])('are refused by the reader when the file %s', (_what, content, message) => {
    expect(() => parseGoldens(JSON.stringify(content))).toThrow(message)
  })
})

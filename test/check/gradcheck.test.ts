/** The checks find what is wrong: planted faults, each with the message that names it. */
import { afterEach, describe, expect, it } from 'vitest'
import { checkAll, checkOp, formatTable, gradcheck, gradgradcheck, parity } from '../../src/check/index.ts'
import { findDevice } from '../../src/device/registry.ts'
import {
  checkLeaks,
  crossEntropy,
  defaultGenerator,
  defineOp,
  dropout,
  gatedDeltaRule,
  manualSeed,
  matmul,
  noGrad,
  operations,
  SluiceError,
  type Tensor,
  tensor,
} from '../../src/index.ts'
import { removeOp } from '../../src/ops/record.ts'
import { defineCube, rightCube } from './planted.ts'

const reference = { device: 'reference' } as const

/** The error that a promise rejects with. */
async function rejection(promise: Promise<unknown>): Promise<SluiceError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(SluiceError)
  return error as SluiceError
}

/** x unchanged, with `spoil` applied to the gradient. */
const withGradient = (name: string, spoil: (dy: Tensor) => Tensor) => {
  removeOp(name)
  return defineOp({
    name,
    doc: 'x, with another gradient.',
    internal: true,
    shape: (x: Tensor) => x.shape,
    forward: (shape, x) => x.alias(shape),
    vjp: (dy) => [() => spoil(dy)],
    samples: (draw) => [draw.tensor(draw.shape())] as [Tensor],
  })
}

const plantedNames = ['planted', 'plantedA', 'plantedB']
afterEach(() => {
  for (const name of plantedNames) removeOp(name)
})

describe('gradcheck', () => {
  it('passes a right gradient and says what it saw', async () => {
    const x = tensor([[1, -2, 0.5]], reference)
    const w = tensor([[2], [1], [-1]], reference)
    const result = await gradcheck((a, b) => matmul(a, b).tanh(), [x, w])
    expect(result.elements).toBe(6)
    // Central differences with eps = 1e-6 are right to about 1e-9, of 1e-5 + 1e-3 |slope| allowed.
    expect(result.worst).toBeLessThan(1e-3)
  })

  it('takes lists and records of outputs, and int32 inputs', async () => {
    const x = tensor([[0.5, -1, 2]], reference)
    expect((await gradcheck((a) => [a.sin(), { twice: a.mul(2) }], [x])).elements).toBe(3)
    expect((await gradcheck((a) => a.topK(2), [x])).elements).toBe(3)
    const targets = tensor(new Int32Array([2]), reference)
    expect((await gradcheck((a, t) => crossEntropy(a, t), [x, targets])).elements).toBe(3)
    const state = await gradcheck(
      (q, k, v, beta) => gatedDeltaRule(q, k, v, beta.mul(-1), beta),
      [
        tensor([[[[1, 2]], [[0.5, -1]]]], reference),
        tensor([[[[0.5, 0.25]], [[-0.5, 0.5]]]], reference),
        tensor([[[[1]], [[2]]]], reference),
        tensor([[[0.5], [1]]], reference),
      ],
    )
    expect(state.elements).toBe(12)
  })

  it('moves float32 inputs to the reference device and leaves them usable', async () => {
    const x = tensor([1, 2, 3])
    await gradcheck(
      (a) => {
        expect(a.dtype).toBe('float64')
        return a.square()
      },
      [x],
    )
    expect(x.device).toBe('cpu')
    expect(await x.array()).toEqual([1, 2, 3])
  })

  it('names a wrong sign: input, index, analytic, numeric, allowed, and the inputs', async () => {
    const wrong = withGradient('planted', (dy) => dy.mul(-1))
    const x = tensor([[0.5, 2]], reference)
    const { message } = await rejection(gradcheck((a, b) => a.mul(wrong(b)).sum(), [x, x.mul(2)]))
    expect(message).toMatch(
      /^gradcheck: the gradient of input 1, \[1, 2\], at \[0, 1\] is analytic (-?[\d.]+), numeric (-?[\d.]+)/,
    )
    const [, analytic, numeric] = /analytic (-?[\d.]+), numeric (-?[\d.]+)/.exec(message)!
    expect(Number(analytic)).toBeCloseTo(-Number(numeric), 4)
    expect(message).toMatch(/they differ by [\d.]+, allowed 0\.00\d+; 2 of 4 are off/)
    expect(message).toContain('input 0, [1, 2]: tensor([[0.5, 2]])')
    expect(message).toContain('input 1, [1, 2]: tensor([[1, 4]])')
    expect(message).toContain('gradcheck.test.ts')
  })

  it('finds a missing factor', async () => {
    const wrong = defineCube('planted', (dy, x) => dy.mul(x.square()))
    const { message } = await rejection(gradcheck((a) => wrong(a), [tensor([1, 2], reference)]))
    const [, analytic, numeric] = /analytic (-?[\d.]+), numeric (-?[\d.]+)/.exec(message)!
    expect(Number(numeric) / Number(analytic)).toBeCloseTo(3, 4)
  })

  it('finds a transposed index', async () => {
    const wrong = withGradient('planted', (dy) => dy.transpose())
    const x = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      reference,
    )
    const { message } = await rejection(gradcheck((a) => wrong(a), [x]))
    expect(message).toMatch(/at \[(0, 1|1, 0)\] is analytic .*2 of 4 are off/)
  })

  it('finds what is wrong at one element only', async () => {
    const spoiled = tensor(
      [
        [0, 0, 0],
        [0, 0, 0.01],
      ],
      reference,
    )
    const wrong = withGradient('planted', (dy) => dy.add(spoiled))
    const { message } = await rejection(
      gradcheck(
        (a) => wrong(a),
        [
          tensor(
            [
              [1, 2, 3],
              [4, 5, 6],
            ],
            reference,
          ),
        ],
      ),
    )
    expect(message).toMatch(/input 0, \[2, 3\], at \[1, 2\] is analytic .*differ by 0\.01, .*1 of 6 are off/)
  })

  it('finds a result cut from the tape, and one from nowhere', async () => {
    const x = tensor([1, 2], reference)
    expect((await rejection(gradcheck((a) => a.mul(a.detach()), [x]))).message).toMatch(/input 0, \[2\], at \[1\]/)
    expect((await rejection(gradcheck((a) => noGrad(() => a.mul(2)), [x]))).message).toMatch(/analytic 0, numeric/)
  })

  it('refuses what it cannot check', async () => {
    const x = tensor([1, 2], reference)
    expect((await rejection(gradcheck(() => 3, [x]))).message).toMatch(/returned no float tensor/)
    expect((await rejection(gradcheck((a) => a, [tensor(new Int32Array([1]))]))).message).toMatch(
      /no float tensor among/,
    )
  })

  it('draws the same random numbers in every evaluation and leaves the generator where it was', async () => {
    manualSeed(3)
    const before = defaultGenerator.state
    await gradcheck((a) => dropout(a, 0.5), [tensor([1, 2, 3, 4, 5, 6], reference)])
    expect(defaultGenerator.state).toEqual(before)
  })

  it('leaves nothing behind, whether it passes or not', async () => {
    const x = tensor([1, 2], reference)
    const wrong = defineCube('planted', (dy) => dy)
    const { buffers } = findDevice('reference').statistics()
    const named = checkLeaks().length
    await gradcheck((a) => a.exp(), [x])
    await gradgradcheck((a) => a.exp(), [x])
    await rejection(gradcheck((a) => wrong(a), [x]))
    expect(findDevice('reference').statistics().buffers).toBe(buffers)
    expect(checkLeaks().length).toBe(named)
  })
})

describe('gradgradcheck', () => {
  it('passes what gradcheck passes, one order up', async () => {
    const x = tensor([0.5, -1, 2], reference)
    // 3 inputs and 3 cotangents.
    expect((await gradgradcheck((a) => a.tanh(), [x])).elements).toBe(6)
  })

  it('finds a fault of second order only, which gradcheck cannot see', async () => {
    // The right value, held as a constant: its own gradient is missing.
    const wrong = defineCube('planted', (dy, x) => dy.mul(x.detach().square()).mul(3))
    const x = tensor([1, 2], reference)
    await gradcheck((a) => wrong(a), [x])
    const { message } = await rejection(gradgradcheck((a) => wrong(a), [x]))
    expect(message).toMatch(/^gradgradcheck: the gradient of input 0, \[2\], at \[\d\] is analytic 0, numeric -?\d/)
  })
})

describe('checkOp', () => {
  it('passes a right operation, kind by kind', async () => {
    const cube = defineCube('planted', rightCube)
    const rows = await checkOp(cube, { seed: 1 })
    expect(rows.map(({ kind, cases }) => [kind, cases])).toEqual([
      ['gradient', 200],
      ['second order', 200],
      ['linearity', 200],
      ['parity', 200],
    ])
    for (const { ratio } of rows) expect(ratio).toBeLessThan(1)
  })

  it('shrinks a wrong sign to one element, with seed, path, analytic and numeric value', async () => {
    const cube = defineCube('planted', (dy, x) => dy.mul(x.square()).mul(-3))
    const { message } = await rejection(checkOp(cube, { seed: 1 }))
    expect(message).toMatch(/^checkOp: 'planted' fails the check 'gradient' on reference: the gradient of input 0/)
    expect(message).toMatch(/analytic -?[\d.]+, numeric -?[\d.]+: they differ by/)
    // One element, and the simplest number at which the sign shows: 0 hides it.
    expect(message).toMatch(/shrunk in \d+ steps to: planted\(tensor\(\[*-?1\]*\)\)/)
    const [, seed, path] = /\{ seed: (\d+), path: '([\d:]+)', maxSize: 1 \}/.exec(message)!
    expect(seed).toBe('1')
    const again = await rejection(checkOp(cube, { seed: 1, path, maxSize: 1 }))
    expect(again.message).toContain(/planted\(tensor\(\[*-?1\]*\)\)/.exec(message)![0])
    expect(message).toContain('gradcheck.test.ts')
  })

  it('shrinks a fault of large values to the smallest that shows it', async () => {
    const cube = defineCube('planted', (dy, x) => dy.mul(x.square()).mul(3).add(x.greater(1).mul(dy)))
    const { message } = await rejection(checkOp(cube, { seed: 2 }))
    expect(message).toMatch(/planted\(tensor\(\[*2\]*\)\)/)
  })

  it('finds a fault of second order only', async () => {
    const cube = defineCube('planted', (dy, x) => dy.mul(x.detach().square()).mul(3))
    const { message } = await rejection(checkOp(cube, { seed: 1 }))
    expect(message).toMatch(
      /fails the check 'second order' on reference: of the gradient as a function: the gradient of input 0/,
    )
    expect(message).toMatch(/planted\(tensor\(\[*-?1\]*\)\)/)
  })

  it('finds a gradient that is not linear in the cotangent, even where its values are right for one', async () => {
    // Right for cotangents up to 1.6 in size, which is all that finite differences use; wrong beyond.
    const cube = defineCube('planted', (dy, x) => dy.clamp(-1.6, 1.6).mul(x.square()).mul(3))
    const { message } = await rejection(checkOp(cube, { seed: 1 }))
    expect(message).toMatch(
      /'linearity'.*the gradient is not linear in the cotangent: of input 0 at \[.*\], vjp\(a u \+ b w\) is/,
    )
  })

  it('finds a wrong sum back over a broadcast', async () => {
    const spoil = (x: Tensor) => x.mul(1)
    removeOp('plantedA')
    const op = defineOp({
      name: 'plantedA',
      doc: 'a + b, where the gradient of a repeated b is a mean instead of a sum.',
      shape: (a: Tensor, _b: Tensor) => a.shape,
      forward: (_shape, a, b) => a.add(b),
      vjp: (dy, _y, _a, b) => [dy, () => spoil(dy.mul(b.size / dy.size))],
      samples: (draw) => {
        const shape = draw.shape({ minRank: 1, maxRank: 2 })
        return [draw.tensor(shape), draw.tensor([1])] as [Tensor, Tensor]
      },
    })
    const { message } = await rejection(checkOp(op, { seed: 1 }))
    expect(message).toMatch(/gradient of input 1, \[1\], at \[0\]/)
  })

  it('finds a bad input that is accepted, one with another message, and one that is no SluiceError', async () => {
    const bad = (message: RegExp, thrown: Error | null) => {
      removeOp('plantedB')
      return defineOp({
        name: 'plantedB',
        doc: 'x.',
        shape: (x: Tensor) => {
          if (x.rank === 0 && thrown) throw thrown
          return x.shape
        },
        forward: (shape, x) => x.alias(shape),
        vjp: (dy) => [dy],
        samples: (draw) => [draw.tensor([1])] as [Tensor],
        errors: [{ what: 'rank 0', arguments: () => [tensor(1, reference)], message }],
      })
    }
    const messageOf = async (message: RegExp, thrown: Error | null) =>
      (await rejection(checkOp(bad(message, thrown)))).message
    expect(await messageOf(/rank/, null)).toMatch(/'bad input'.*given rank 0, plantedB\(tensor\(1\)\): it was accepted/)
    expect(await messageOf(/rank/, new SluiceError('plantedB', 'no'))).toMatch(/the message was «plantedB: no/)
    expect(await messageOf(/rank/, new TypeError('no'))).toMatch(/it threw TypeError: no, expected a SluiceError/)
  })

  it('tells of an operation that throws on its own samples', async () => {
    const cube = defineCube('planted', (dy, x) => dy.mul(x.square().reshape([7])))
    const { message } = await rejection(checkOp(cube, { seed: 1 }))
    expect(message).toMatch(/it threw SluiceError: reshape: .* do not fit \[7\]/)
  })

  it('refuses what is no operation', async () => {
    expect((await rejection(checkOp('nothing'))).message).toMatch(/there is no operation 'nothing'/)
  })
})

describe('parity', () => {
  it('gives statistics, the float64 device first', async () => {
    const seen = await parity('exp', 'cpu', 'reference', { numRuns: 50, seed: 1 })
    expect(seen).toMatchObject({ op: 'exp', devices: ['reference', 'cpu'], cases: 50 })
    expect(seen.worst).toBeGreaterThan(0)
    expect(seen.worst).toBeLessThan(1)
    expect(seen.worstError / seen.bound).toBeCloseTo(seen.worst, 10)
  })

  it('names the worst element of the smallest sample that differs', async () => {
    const record = { ...operations.get('exp')!, tolerance: { absolute: 1e-9, relative: 0, why: 'planted' } }
    const { message } = await rejection(parity(record, 'reference', 'cpu', { seed: 1 }))
    expect(message).toMatch(
      /^parity: 'exp': the result, \[.*\], at \[.*\] is [\d.]+ on reference and [\d.]+ on cpu: they differ by/,
    )
    expect(message).toMatch(
      /to: exp\(tensor\(\[*-?[\d.]+\]*\)\)\n {2}again with: \{ seed: 1, path: '[\d:]+', maxSize: 1 \}/,
    )
  })

  it('finds a gradient that differs on one device', async () => {
    const cube = defineCube('planted', (dy, x) => (x.device === 'cpu' ? dy.mul(x) : rightCube(dy, x)))
    const { message } = await rejection(parity(cube, 'reference', 'cpu', { seed: 1 }))
    expect(message).toMatch(/the gradient of input 0, .* on reference and .* on cpu/)
  })
})

describe('the table', () => {
  it('has every check of every operation named, and tells failures in full', async () => {
    defineCube('planted', (dy, x) => dy.mul(x.square()))
    const rows = []
    for await (const row of checkAll({ names: ['add', 'argmax', 'planted'], numRuns: 10, seed: 1 })) rows.push(row)
    expect(rows.filter(({ op }) => op === 'add').map(({ kind }) => kind)).toEqual([
      'bad input',
      'gradient',
      'second order',
      'linearity',
      'broadcast',
      'parity',
    ])
    expect(rows.filter(({ op }) => op === 'argmax').map(({ kind }) => kind)).toEqual([
      'bad input',
      'no gradient',
      'parity',
    ])
    const table = formatTable(rows)
    expect(table).toMatch(/^operation +check +device +cases +worst error +bound +of bound\n/)
    expect(table).toMatch(/\nadd +bad input +reference +2 /)
    expect(table).toMatch(/\n +parity +cpu +10 /)
    expect(table).toMatch(/\nplanted +gradient .*FAILS/)
    expect(table).toMatch(/3 operations, 13 checks, \d+ cases: 1 checks failed/)
    expect(table).toMatch(/'planted' fails the check 'gradient' on reference: the gradient of input 0/)
  })
})

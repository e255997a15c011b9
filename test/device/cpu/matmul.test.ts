/** The matrix product and the fused linear layers on the cpu device: against float64, and the same bits for all threads. */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as elementwise from '../../../kernels/elementwise.ts'
import {
  type Activation,
  linearActivations,
  linearKernel,
  matmulAdd,
  needsPreactivation,
} from '../../../kernels/fused-linear.ts'
import { matmul } from '../../../kernels/matmul.ts'
import { CpuDevice } from '../../../src/device/cpu/cpu.ts'

const devices = [1, 2, 3].map((threads) => new CpuDevice({ threads }))
afterAll(() => {
  for (const device of devices) device.destroy()
})

type Given = readonly (Float32Array | number)[]

/** Runs a launch on a device, with results of these lengths that held NaN before. */
function results(device: CpuDevice, lengths: readonly number[], given: Given, launch: Launch): Float32Array[] {
  const buffers = [...lengths.map((length) => new Float32Array(length).fill(Number.NaN)), ...given].map((values) => {
    if (typeof values === 'number') return values
    const buffer = device.allocate('float32', values.length)
    device.write(buffer, values)
    return buffer
  })
  const outputs = buffers.slice(0, lengths.length) as Buffer[]
  launch(device, outputs, buffers.slice(lengths.length))
  const read = outputs.map((output) => Float32Array.from(output.values))
  for (const buffer of buffers) if (typeof buffer !== 'number') device.release(buffer)
  return read
}

type Buffer = ReturnType<CpuDevice['allocate']>
type Launch = (device: CpuDevice, outputs: readonly Buffer[], parameters: readonly (Buffer | number)[]) => void

/** The results, which must be the same on all devices. */
function onAll(lengths: readonly number[], given: Given, launch: Launch): Float32Array[] {
  const [one, ...others] = devices.map((device) => results(device, lengths, given, launch))
  for (const other of others) {
    for (const [i, values] of one.entries()) {
      const differs = values.findIndex((value, cell) => !Object.is(value, other[i][cell]))
      if (differs >= 0) throw new Error(`cell ${differs} depends on the number of threads`)
    }
  }
  return one
}

function random(seed: number): (length: number) => Float32Array {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return (length) => Float32Array.from({ length }, () => 4 * uniform() - 2)
}

/** A cell of a b + addend in float64, and the sum of the terms' sizes. */
function cell(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  k: number,
  addend: number,
  at: (d: number) => readonly number[],
) {
  let sum = addend
  let size = Math.abs(addend)
  for (let d = 0; d < k; d++) {
    const [i, j] = at(d)
    sum += a[i] * b[j]
    size += Math.abs(a[i] * b[j])
  }
  // |computed - exact| <= g(k + 1) size, g(q) = q u / (1 - q u), u = 2^-24 (Higham 2002, lemma 3.1), for any order.
  const q = (k + 2) * 2 ** -24
  return { sum, bound: (q / (1 - q)) * size }
}

function needWithin(got: number, expected: number, bound: number): void {
  if (!(Math.abs(got - expected) <= bound)) throw new Error(`${got}, expected ${expected} within ${bound}`)
}

beforeAll(async () => {
  // Workers start with the first task that is worth them.
  const all = new Float32Array(64 * 64).fill(1)
  const start = Date.now()
  onAll([64 * 64], [all, all, 64, 0, 64, 1, 0, 64, 1], (device, [out], given) =>
    device.launch(matmul, out, [64, 64, 1], given),
  )
  for (const device of devices) {
    while (device.pool.ready < device.settings.threads && Date.now() - start < 10_000) {
      await new Promise((done) => setTimeout(done, 5))
    }
    expect(device.pool.ready).toBe(device.settings.threads)
  }
})

const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 80 }))

test('products of a batch, with and without an addend, transposed or not', () => {
  const flag = fc.boolean()
  fc.assert(
    fc.property(fc.tuple(size, size, size), fc.integer({ min: 1, max: 4 }), flag, flag, flag, fc.nat(), (...drawn) => {
      const [[m, n, k], batch, ta, tb, adds, seed] = drawn
      const draw = random(seed)
      const [a, b, residual] = [batch * m * k, batch * k * n, batch * m * n].map(draw)
      const [ay, ak] = ta ? [1, m] : [k, 1]
      const [bk, bx] = tb ? [1, k] : [n, 1]
      const strides = [k, m * k, ay, ak, k * n, bk, bx]
      const [got] = onAll(
        [batch * m * n],
        adds ? [a, b, residual, ...strides, m, n, batch] : [a, b, ...strides],
        (device, [out], given) => {
          if (adds) device.launchFused(matmulAdd, [out], given)
          else device.launch(matmul, out, [n, m, batch], given)
        },
      )
      for (let i = 0; i < got.length; i++) {
        const [z, y, x] = [Math.floor(i / (m * n)), Math.floor(i / n) % m, i % n]
        const at = (d: number) => [z * m * k + y * ay + d * ak, z * k * n + d * bk + x * bx]
        const { sum, bound } = cell(a, b, k, adds ? residual[i] : 0, at)
        needWithin(got[i], sum, bound)
      }
    }),
    { numRuns: 200 },
  )
})

const scalar: Readonly<Record<Activation, (x: number) => number>> = {
  identity: (x) => x,
  relu: (x) => elementwise.relu.scalar(x),
  sigmoid: (x) => elementwise.sigmoid.scalar(x),
  silu: (x) => elementwise.silu.scalar(x),
  gelu: (x) => elementwise.gelu.scalar(x),
}

/** How much steeper than 1 the activations are at most, and their errors in units of 2^-24 of the result where |x| < 200. */
const steepest = 1.13
const units = (activation: Activation, x: number) =>
  activation === 'gelu' ? 7 + 8 * (Math.abs(x) + 0.045 * Math.abs(x) ** 3) : 7

test('linear layers, with all activations, with and without bias and the value before', () => {
  fc.assert(
    fc.property(
      fc.tuple(size, size, size),
      fc.constantFrom(...linearActivations),
      fc.boolean(),
      fc.boolean(),
      fc.nat(),
      (...drawn) => {
        const [[m, n, k], activation, hasBias, asks, seed] = drawn
        const saves = asks && needsPreactivation(activation)
        const kernel = linearKernel({ activation, hasBias: hasBias || activation === 'identity', saves })!
        const draw = random(seed)
        const [x, w, bias] = [m * k, n * k, n].map(draw)
        const withBias = kernel.parameters.bias !== undefined
        const given = [x, w, ...(withBias ? [bias] : []), m, n, k]
        const lengths = saves ? [m * n, m * n] : [m * n]
        const [got, before] = onAll(lengths, given, (device, outputs, parameters) =>
          device.launchFused(kernel, outputs, parameters),
        )
        for (let i = 0; i < got.length; i++) {
          const [y, j] = [Math.floor(i / n), i % n]
          const { sum, bound } = cell(x, w, k, withBias ? bias[j] : 0, (d) => [y * k + d, j * k + d])
          if (saves) needWithin(before[i], sum, bound)
          const expected = scalar[activation](sum)
          const own = units(activation, sum) * 2 ** -24 * Math.abs(expected) + 2 ** -138
          needWithin(got[i], expected, steepest * bound + 1.01 * own)
        }
      },
    ),
    { numRuns: 300 },
  )
})

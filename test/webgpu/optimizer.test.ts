/** AdamW and clipping over all parameters in a few launches: against the cpu device and float64, and what they promise. */
import fc from 'fast-check'
import { beforeAll, expect, test, vi } from 'vitest'
import { MOST_TENSORS, squareBlocks } from '../../kernels/fused-optimizer.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import { capture, scope, type Tensor, tensor } from '../../src/index.ts'
import { AdamW, clipGradNorm, Muon, type Optimizer } from '../../src/optim/index.ts'
import { describeWebgpu } from './adapter.ts'
import { openWebgpu } from './launch.ts'

let gpu: WebGpuDevice

function numbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Of size 1/2 to 2, of either sign. */
const gradientValues = (next: () => number, n: number) =>
  Float32Array.from({ length: n }, () => (next() < 0.5 ? -1 : 1) * (0.5 + 1.5 * next()))

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])))
}

const leaf = (data: Float32Array, device: string): Tensor => tensor(data, { device, requiresGrad: true })

function setGradient(parameter: Tensor, data: Float32Array): void {
  parameter.grad?.dispose()
  parameter.grad = tensor(data, { shape: parameter.shape, device: parameter.device })
}

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1023, 1024, 1025, 2500)), {
  minLength: 1,
  maxLength: 18,
})

/** Every step some parameters, by their places, have no gradient. */
function train(
  device: string,
  lengths: readonly number[],
  seed: number,
  make: (parameters: Tensor[]) => Optimizer,
  steps: number,
): { parameters: Tensor[]; optimizer: Optimizer } {
  const next = numbers(seed)
  const parameters = lengths.map((n) => leaf(gradientValues(next, n), device))
  const optimizer = make(parameters)
  for (let step = 0; step < steps; step++) {
    optimizer.lr = 0.1 / (1 + step)
    for (const parameter of parameters) {
      const values = gradientValues(next, parameter.size)
      if (next() < 0.9) setGradient(parameter, values)
    }
    optimizer.step()
    optimizer.zeroGrad()
  }
  return { parameters, optimizer }
}

async function finish({ parameters, optimizer }: { parameters: Tensor[]; optimizer: Optimizer }) {
  const values = await Promise.all(parameters.map((parameter) => parameter.data()))
  const state = await optimizer.state()
  optimizer.dispose()
  for (const parameter of parameters) parameter.dispose()
  return { values, state }
}

const grouped = (parameters: Tensor[]) => {
  const half = Math.ceil(parameters.length / 2)
  const groups = [
    { params: parameters.slice(0, half), weightDecay: 0.1 },
    { params: parameters.slice(half), weightDecay: 0, lr: 0.05 },
  ]
  return new AdamW(
    groups.filter(({ params }) => params.length > 0),
    { lr: 0.1, betas: [0.9, 0.95] },
  )
}

describeWebgpu('optimizers', () => {
  beforeAll(async () => {
    gpu = await openWebgpu()
  })

  /**
   * Gradients lie in [1/2, 2], so |m / c1| <= 2 and sqrt(v / c2) >= 1/2, and the ratio is at most 4. m carries at most 20
   * steps of 3 roundings of numbers up to 2, so do sqrt(v) and the corrections: 100 u with the 3 ulp that WGSL allows a
   * square root and a division, u = 2^-24, relative to the ratio. p stays below 4, and a step adds 4 roundings of it. The
   * rates sum to 0.1 (1 + 1/2 + ... + 1/20) < 0.36: 0.36 x 4 x 100 u + 20 x 4 x 4 u = 464 u = 2.8e-5.
   */
  const BOUND = 2.8e-5

  test('20 steps of AdamW are those of the cpu device', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), sizes, async (seed, lengths) => {
        const got = await finish(train('webgpu', lengths, seed, grouped, 20))
        const expected = await finish(train('cpu', lengths, seed, grouped, 20))
        got.values.forEach((values, i) => {
          expect(largestDifference(values, expected.values[i])).toBeLessThan(BOUND)
        })
        expect(got.state.get('steps')).toEqual(expected.state.get('steps'))
        for (const [name, { data }] of got.state) {
          expect(largestDifference(data, expected.state.get(name)!.data)).toBeLessThan(BOUND)
        }
      }),
      // Each is 40 optimizer steps: 200 runs would take half a minute.
      { numRuns: 60 },
    )
  })

  test('a step is a few launches, in place', () => {
    const next = numbers(1)
    const parameters = Array.from({ length: 20 }, (_, i) => leaf(gradientValues(next, 3 + i), 'webgpu'))
    for (const parameter of parameters) setGradient(parameter, gradientValues(next, parameter.size))
    const optimizer = new AdamW(parameters)
    const [launches, fused] = [vi.spyOn(gpu, 'launch'), vi.spyOn(gpu, 'launchFused')]
    const buffers = parameters.map((parameter) => parameter.storage.buffer)
    clipGradNorm(parameters, 1).dispose()
    optimizer.step()
    expect(launches).not.toHaveBeenCalled()
    expect(fused).toHaveBeenCalledTimes(3 * Math.ceil(20 / MOST_TENSORS) + 1)
    vi.restoreAllMocks()
    expect(parameters.map((parameter) => parameter.storage.buffer)).toEqual(buffers)
    optimizer.dispose()
    for (const parameter of parameters) parameter.dispose()
  })

  test('never changes a value that another tensor holds', async () => {
    const [parameter, other] = [new Float32Array([1, 2, 3]), new Float32Array([4, 5])].map((x) => leaf(x, 'webgpu'))
    const before = parameter.detach()
    setGradient(parameter, new Float32Array([3, 0, 4]))
    // One gradient on two buffers' worth of tensors: a view kept by the program.
    const gradient = parameter.grad!.detach()
    clipGradNorm([parameter, other], 1).dispose()
    const optimizer = new AdamW([parameter, other], { lr: 0.5, weightDecay: 0 })
    optimizer.step()
    expect([...(await before.data())]).toEqual([1, 2, 3])
    expect([...(await gradient.data())]).toEqual([3, 0, 4])
    expect([...(await other.data())]).toEqual([4, 5])
    const clipped = [...(await parameter.grad!.data())]
    for (const [i, value] of [0.6, 0, 0.8].entries()) expect(clipped[i]).toBeCloseTo(value, 5)
    const moved = [...(await parameter.data())]
    for (const [i, value] of [0.5, 2, 2.5].entries()) expect(moved[i]).toBeCloseTo(value, 5)
    optimizer.dispose()
    for (const t of [parameter, other, before, gradient]) t.dispose()
  })

  test('goes on bit for bit from a saved state, and gives the same bits again', async () => {
    const lengths = [5, 1100, 1, 33, 2, 7, 9, 10, 4]
    const [one, two] = await Promise.all([0, 1].map(() => finish(train('webgpu', lengths, 9, grouped, 5))))
    expect(one).toEqual(two)
    const next = numbers(3)
    const [a, b] = [one, two].map(({ values }) => values.map((data) => leaf(data as Float32Array, 'webgpu')))
    const optimizers = [a, b].map((parameters) => grouped(parameters))
    for (const optimizer of optimizers) optimizer.loadState(one.state)
    for (const [i, parameter] of a.entries()) {
      const gradient = gradientValues(next, parameter.size)
      for (const p of [parameter, b[i]]) setGradient(p, gradient)
    }
    for (const optimizer of optimizers) optimizer.step()
    expect(await finish({ parameters: a, optimizer: optimizers[0] })).toEqual(
      await finish({ parameters: b, optimizer: optimizers[1] }),
    )
  })

  test('gives the same bits where the adapter binds few buffers', async () => {
    const run = async (storageBuffers: number) => {
      const next = numbers(2)
      const parameters = [5, 1, 4100, 20, 3, 9].map((n) => leaf(gradientValues(next, n), 'webgpu'))
      for (const parameter of parameters) setGradient(parameter, gradientValues(next, parameter.size))
      const offered = gpu.storageBuffers
      Object.assign(gpu, { storageBuffers })
      const optimizer = grouped(parameters)
      using norm = clipGradNorm(parameters, 1)
      optimizer.step()
      Object.assign(gpu, { storageBuffers: offered })
      return { norm: await norm.item(), ...(await finish({ parameters, optimizer })) }
    }
    const all = await run(gpu.storageBuffers)
    for (const few of [5, 8]) expect(await run(few)).toEqual(all)
  })

  test('a captured step follows the rate and the count of steps, bit for bit', async () => {
    const run = async (isCaptured: boolean) => {
      const next = numbers(8)
      const parameters = [4, 1030, 7].map((n) => leaf(gradientValues(next, n), 'webgpu'))
      const optimizer = grouped(parameters)
      const body = (...gradients: Tensor[]) => {
        parameters.forEach((parameter, i) => {
          parameter.grad = gradients[i].mul(1)
        })
        const norm = clipGradNorm(parameters, 1)
        optimizer.step()
        optimizer.zeroGrad()
        return norm
      }
      const program = capture(body)
      const norms: number[] = []
      for (let step = 0; step < 5; step++) {
        optimizer.lr = 0.1 / (1 + step)
        const gradients = parameters.map(({ size }) => tensor(gradientValues(next, size), { device: 'webgpu' }))
        const norm = isCaptured ? program(...gradients) : scope(() => body(...gradients))
        norms.push(await norm.item())
        for (const t of [norm, ...gradients]) t.dispose()
      }
      program.dispose()
      return { norms, ...(await finish({ parameters, optimizer })) }
    }
    expect(await run(true)).toEqual(await run(false))
  })

  test("Muon's rest takes the same few launches", async () => {
    const matrix = new Float32Array([1, 2, 3, 4, 5, 6])
    const run = async (device: string) => {
      const hidden = tensor(matrix, { shape: [2, 3], device, requiresGrad: true })
      const rest = [2, 3, 4].map((n) => leaf(matrix.slice(0, n), device))
      const optimizer = new Muon({ hidden: [hidden], rest }, { lr: 0.02 })
      for (let step = 0; step < 3; step++) {
        for (const parameter of [hidden, ...rest]) setGradient(parameter, matrix.slice(0, parameter.size).reverse())
        optimizer.step()
      }
      return finish({ parameters: [hidden, ...rest], optimizer })
    }
    const fused = vi.spyOn(gpu, 'launchFused')
    const got = await run('webgpu')
    expect(fused.mock.calls.filter(([kernel]) => kernel.name === 'adamW of 3')).toHaveLength(3)
    vi.restoreAllMocks()
    const expected = await run('cpu')
    // Newton and Schulz's five steps magnify rounding by at most 3.4445^5 = 485, and the rate of 0.02 takes it back by 50.
    got.values.forEach((values, i) => {
      expect(largestDifference(values, expected.values[i])).toBeLessThan(BOUND)
    })
  })

  test('clipGradNorm scales all gradients together, within its rounding', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.oneof(sizes, fc.constantFrom([5000, 3], [20000])),
        fc.constantFrom(0.5, 3, 1000, Infinity),
        async (seed, lengths, maxNorm) => {
          const next = numbers(seed)
          const given = lengths.map((n) => gradientValues(next, n))
          const parameters = given.map((values) => leaf(values, 'webgpu'))
          parameters.forEach((parameter, i) => {
            setGradient(parameter, given[i])
          })
          using norm = clipGradNorm(parameters, maxNorm)
          const expected = Math.sqrt(given.reduce((sum, list) => sum + list.reduce((s, g) => s + g * g, 0), 0))
          // Squares of one sign; a chain of sums is at most 16 in an invocation, 8 in a tree, as many partial sums as one
          // invocation of the last kernel takes, and 8 again. Then a root of 3 ulp, a sum and a quotient of 3 ulp.
          const partial = Math.ceil(lengths.reduce((sum, n) => sum + squareBlocks(n), 0) / 256)
          const bound = (16 + 8 + partial + 8 + 12) * 2 ** -24
          expect(Math.abs((await norm.item()) - expected)).toBeLessThanOrEqual(bound * expected)
          const scale = Math.min(1, maxNorm / (expected + 1e-6))
          const clipped = await Promise.all(parameters.map((parameter) => parameter.grad!.data()))
          clipped.forEach((values, i) => {
            // Gradients are at most 2; the product is one more rounding.
            const allowed = (bound + 2 ** -24) * 2 * scale
            expect(Math.max(...Array.from(values, (g, j) => Math.abs(g - given[i][j] * scale)))).toBeLessThanOrEqual(
              allowed,
            )
          })
          for (const parameter of parameters) parameter.dispose()
        },
      ),
      { numRuns: 200 },
    )
  })

  test('leaves small gradients as they are, counts a shared one once, and gives 0 without any', async () => {
    const [a, b, c] = [1, 2, 3].map((n) => leaf(new Float32Array(n), 'webgpu'))
    using none = clipGradNorm([a, b, c], 1)
    expect(await none.item()).toBe(0)
    setGradient(b, new Float32Array([0.25, 0.5]))
    a.grad = b.grad
    using norm = clipGradNorm([a, b, c], 1)
    expect(await norm.item()).toBeCloseTo(Math.hypot(0.25, 0.5), 6)
    expect([...(await b.grad!.data())]).toEqual([0.25, 0.5])
    expect(c.grad).toBeNull()
    a.grad = null
    for (const t of [a, b, c]) t.dispose()
  })

  test('makes the norm and the gradients NaN when one is', async () => {
    const [a, b] = [leaf(new Float32Array(2), 'webgpu'), leaf(new Float32Array(1), 'webgpu')]
    setGradient(a, new Float32Array([1, Number.NaN]))
    setGradient(b, new Float32Array([1]))
    using norm = clipGradNorm([a, b], 1)
    expect(await norm.item()).toBeNaN()
    for (const t of [a, b]) t.dispose()
  })

  test('passes over parameters without elements', () => {
    const [empty, one] = [leaf(new Float32Array(0), 'webgpu'), leaf(new Float32Array(1), 'webgpu')]
    for (const t of [empty, one]) setGradient(t, new Float32Array(t.size))
    const optimizer = new AdamW([empty, one])
    clipGradNorm([empty, one], 1).dispose()
    optimizer.step()
    clipGradNorm([empty], 1).dispose()
    expect(optimizer.steps).toBe(1)
    optimizer.dispose()
    for (const t of [empty, one]) t.dispose()
  })

  test('holds the number of buffers constant, and leaves none', () => {
    const before = gpu.statistics()
    const { parameters, optimizer } = train('webgpu', [3, 4, 1030], 1, grouped, 1)
    const held = gpu.statistics()
    const gradients = parameters.map((parameter) => new Float32Array(parameter.size).fill(1))
    for (let step = 0; step < 20; step++) {
      parameters.forEach((parameter, i) => {
        setGradient(parameter, gradients[i])
      })
      clipGradNorm(parameters, 1).dispose()
      optimizer.step()
      optimizer.zeroGrad()
      expect(gpu.statistics()).toEqual(held)
    }
    optimizer.dispose()
    for (const parameter of parameters) parameter.dispose()
    expect(gpu.statistics()).toEqual(before)
  })
})

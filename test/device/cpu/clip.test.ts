/** Clipping by the norm of all gradients on the cpu device, and that the fused kernels are what runs. */
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { clipFactor, scaleInPlace, squareBlocks, sumsOfSquares } from '../../../kernels/fused-optimizer.ts'
import { clipKernels } from '../../../kernels/tuned/wasm/clip.ts'
import { capture } from '../../../src/autograd/capture.ts'
import { CpuDevice } from '../../../src/device/cpu/cpu.ts'
import { scope, tensor } from '../../../src/index.ts'
import { AdamW, clipGradNorm } from '../../../src/optim/index.ts'
import { launcherOf, numbers, runBoth, runLauncher } from './run-launcher.ts'
import { variants } from './variants.ts'

const u = 2 ** -24
const seed = fc.integer({ min: 0, max: 1e9 })
const size = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 4000, max: 9000 }))
const add = (values: ArrayLike<number>, term: (x: number) => number): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += term(values[i])
  return sum
}

describe.each(variants)('clipping on the cpu device, relaxed $relaxed', (features) => {
  // clip.ts: a block has n <= 4096 terms here, 256 a lane, then the lanes, and the square's own rounding.
  test('sums of squares', () => {
    const property = fc.property(
      fc.array(size, { minLength: 1, maxLength: 4 }),
      seed,
      fc.nat({ max: 5 }),
      (sizes, from, offset) => {
        const tensors = sizes.map((n, i) => numbers(from + i, n))
        const blocks = sizes.map(squareBlocks)
        const total = offset + blocks.reduce((a, b) => a + b)
        const launcher = launcherOf(sumsOfSquares.further[sizes.length - 1], clipKernels, features)
        const before = new Float32Array(total).fill(3)
        const parameters = [offset, ...tensors.flatMap((x) => [x, x.length])]
        const [sums] = runBoth(launcher, { outputs: [before], parameters })
        expect([...sums.slice(0, offset)]).toEqual(new Array(offset).fill(3))
        let at = offset
        for (const [i, x] of tensors.entries()) {
          const exact = add(x, (v) => v * v)
          const got = add(sums.slice(at, at + blocks[i]), (v) => v)
          expect(Math.abs(got - exact)).toBeLessThanOrEqual((256 + 1 + 8 + 1) * u * exact)
          at += blocks[i]
        }
      },
    )
    fc.assert(property, { numRuns: 200 })
  })

  test('a tensor of more blocks than there are sums, and NaN wherever it is', () => {
    const n = 1024 * 4096 + 9
    const x = new Float32Array(n).fill(1)
    const launcher = launcherOf(sumsOfSquares.first[0], clipKernels, features)
    const run = () => runLauncher(launcher, { outputs: [new Float32Array(1024)], parameters: [0, x, n] }, 2)[0]
    expect(add(run(), (v) => v)).toBe(n)
    x[n - 1] = Number.NaN
    expect(add(run(), (v) => v)).toBeNaN()
  })

  // The sum's error, halved by the root, which rounds once; then the sum with 1e-6 and the quotient.
  test('the norm and the factor', () => {
    const launcher = launcherOf(clipFactor, clipKernels, features)
    const property = fc.property(
      size,
      seed,
      fc.float({ min: Math.fround(0.01), max: 100, noNaN: true }),
      (count, from, maxNorm) => {
        const sums = numbers(from, count).map(Math.abs)
        const outputs = [new Float32Array(1), new Float32Array(1)]
        const [[norm], [factor]] = runBoth(launcher, { outputs, parameters: [sums, count, maxNorm] })
        const exact = Math.sqrt(add(sums, (v) => v))
        const bound = (256 + 3 + 8) / 2 + 1
        expect(Math.abs(norm - exact)).toBeLessThanOrEqual(bound * u * exact)
        const exactFactor = Math.min(1, maxNorm / (exact + 1e-6))
        expect(Math.abs(factor - exactFactor)).toBeLessThanOrEqual((bound + 3) * u * exactFactor)
      },
    )
    fc.assert(property, { numRuns: 200 })
    const [[norm], [factor]] = runBoth(launcher, {
      outputs: [new Float32Array(1), new Float32Array(1)],
      parameters: [new Float32Array([1, Number.NaN]), 2, 1],
    })
    expect([norm, factor]).toEqual([Number.NaN, Number.NaN])
  })

  test('scaling, and none by 1', () => {
    const property = fc.property(
      fc.array(size, { minLength: 1, maxLength: 8 }),
      seed,
      fc.constantFrom(1, 0.3, Number.NaN),
      (sizes, from, factor) => {
        const outputs = sizes.map((n, i) => numbers(from + i, n))
        const launcher = launcherOf(scaleInPlace[sizes.length - 1], clipKernels, features)
        const got = runBoth(launcher, { outputs, parameters: [new Float32Array([factor]), ...sizes] })
        expect(got.map((x) => [...x])).toEqual(outputs.map((x) => [...x.map((v) => v * Math.fround(factor))]))
      },
    )
    fc.assert(property, { numRuns: 50 })
  })
})

describe('clipping and AdamW on the cpu device', () => {
  const launched: string[] = []
  const { launchFused } = CpuDevice.prototype
  CpuDevice.prototype.launchFused = function (kernel, ...rest) {
    launched.push(kernel.name)
    return launchFused.call(this, kernel, ...rest)
  }
  afterEach(() => {
    launched.length = 0
  })

  const step = (parameters: ReturnType<typeof tensor>[], optimizer: AdamW) => () => {
    parameters
      .map((p) => p.square().sum())
      .reduce((a, b) => a.add(b))
      .backward()
    const norm = clipGradNorm(parameters, 1)
    optimizer.step()
    optimizer.zeroGrad()
    return norm
  }
  const make = () => {
    const parameters = [1, 5, 4099].map((n) => tensor(numbers(n, n), { device: 'cpu' }))
    for (const p of parameters) p.requiresGrad = true
    return { parameters, optimizer: new AdamW(parameters, { lr: 0.1 }) }
  }
  const expected = ['first sums of squares of 3', 'clipFactor', 'scaleInPlace of 3', 'adamW of 3']

  test('take the fused kernels, eagerly', () => {
    const { parameters, optimizer } = make()
    scope(step(parameters, optimizer))
    expect(launched).toEqual(expected)
  })

  test('take the fused kernels, captured', async () => {
    const eager = make()
    const captured = make()
    const run = capture(step(captured.parameters, captured.optimizer))
    for (let i = 0; i < 3; i++) {
      const norm = await step(eager.parameters, eager.optimizer)().item()
      expect(await run().item()).toBe(norm)
    }
    for (const [i, p] of captured.parameters.entries()) expect(await p.data()).toEqual(await eager.parameters[i].data())
    for (const name of expected) expect(run.explain()).toContain(`= ${name}(`)
  })
})

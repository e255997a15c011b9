/** Fused attention on webgpu against its composition in float64: forward, every gradient, and the gradient's gradient. */
import fc from 'fast-check'
import { beforeAll, expect, test, vi } from 'vitest'
import { attentionForward } from '../../kernels/fused-attention.ts'
import type { WebGpuDevice } from '../../src/device/webgpu/device.ts'
import {
  type AttentionOptions,
  attention,
  device,
  Generator,
  grad,
  scope,
  type Tensor,
  tensor,
} from '../../src/index.ts'
import { describeWebgpu } from './adapter.ts'

interface Case {
  readonly B: number
  readonly T: number
  readonly more: number
  readonly KV: number
  readonly share: number
  readonly D: number
  readonly causal: boolean
  readonly scale: number | undefined
  readonly gate: 'none' | 'elementwise' | 'headwise'
  readonly gateAct: 'sigmoid' | 'silu' | 'identity' | 'nsSigmoid'
  readonly gateOp: 'mul' | 'add'
  readonly seed: number
}

/** Lengths around the edges of blocks of 32. */
const lengths = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 12 }) },
  { weight: 2, arbitrary: fc.constantFrom(31, 32, 33, 65) },
)
const cases: fc.Arbitrary<Case> = fc.record({
  B: fc.constantFrom(1, 1, 2),
  T: lengths,
  more: fc.constantFrom(0, 0, 1, 7, 33),
  KV: fc.integer({ min: 1, max: 2 }),
  share: fc.constantFrom(1, 1, 2, 3),
  D: fc.constant(4),
  causal: fc.boolean(),
  scale: fc.constantFrom(undefined, 0.5),
  gate: fc.constantFrom('none', 'elementwise', 'headwise'),
  gateAct: fc.constantFrom('sigmoid', 'silu', 'identity', 'nsSigmoid'),
  gateOp: fc.constantFrom('mul', 'add'),
  seed: fc.nat(),
})

/** Multiples of 1/64 in [-1, 1), which float32 and float64 hold exactly. */
function draw(given: Case, place: string): Tensor[] {
  const generator = new Generator(given.seed)
  const { B, T, more, KV, share, D, gate } = given
  const H = KV * share
  const shapes = [
    [B, T, H, D],
    [B, T + more, KV, D],
    [B, T + more, KV, D],
    ...(gate === 'none' ? [] : [gate === 'headwise' ? [B, T, H] : [B, T, H, D]]),
    [B, T, H, D],
  ]
  return shapes.map((shape) => {
    const size = shape.reduce((n, s) => n * s, 1)
    return tensor(
      generator.uniform(size).map((x) => Math.floor(x * 128) / 64 - 1),
      { shape, device: place },
    )
  })
}

function optionsOf({ causal, scale, gateAct, gateOp }: Case, gate: Tensor | undefined): AttentionOptions {
  return { causal, scale, gate, gateAct, gateOp }
}

/** The result and the gradients of every operand, for a cotangent. */
async function resultsOn(given: Case, place: string): Promise<Float64Array[]> {
  const tensors = draw(given, place)
  const cotangent = tensors.pop()!
  const found = scope(() => {
    for (const t of tensors) t.requiresGrad = true
    const [q, k, v, gate] = tensors
    const y = attention(q, k, v, optionsOf(given, gate))
    y.backward(cotangent)
    return [y.detach(), ...tensors.map((t) => t.grad!)]
  })
  const values = await Promise.all(found.map(async (t) => Float64Array.from(await t.data())))
  for (const t of [found[0], ...tensors, cotangent]) t.dispose()
  return values
}

describeWebgpu('fused attention', () => {
  let gpu: WebGpuDevice
  beforeAll(async () => {
    gpu = (await device('webgpu')) as WebGpuDevice
  })

  /**
   * Sums of at most 98 keys, 128 of D and 195 queries of a group, of values up to 1, in float32: a score of D products is
   * off by (D + 2) u times D^0.5 after scaling, 1e-4 at most in the worst case and sqrt of that seen; weights by as much
   * again. 2e-5 of the largest value of each result is 30 times what was seen, and a tenth of what one wrong key gives.
   */
  const BOUND = 2e-5

  // A program for each number of 32 columns; the float64 side of a large case takes half a second, hence fewer there.
  test.each([
    ['up to 32', [4, 8, 16, 32], 80],
    ['40 and 64', [40, 64], 12],
    ['128', [128], 6],
  ] as const)('is the composition, forwards and back: D of %s', { timeout: 300_000 }, async (_, widths, numRuns) => {
    const launched = vi.spyOn(gpu, 'launchFused')
    await fc.assert(
      fc.asyncProperty(cases, fc.constantFrom(...widths), async (drawn, D) => {
        const given = { ...drawn, D }
        launched.mockClear()
        const [expected, got] = [await resultsOn(given, 'reference'), await resultsOn(given, 'webgpu')]
        expect(launched.mock.calls.map(([kernel]) => kernel.name)).toEqual(
          given.gate === 'none'
            ? ['attentionForward', 'attentionBackward']
            : ['gatedAttentionForward', 'gatedAttentionBackward'],
        )
        expected.forEach((values, i) => {
          const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
          values.forEach((x, j) => {
            const error = Math.abs(got[i][j] - x)
            if (!(error <= BOUND * largest))
              expect.fail(`result ${i} at ${j} is ${got[i][j]}, expected ${x}: off by ${error} of ${largest}`)
          })
        })
      }),
      { numRuns },
    )
    launched.mockRestore()
  })

  test('large scores neither overflow nor lose the softmax', async () => {
    const given: Case = {
      ...{ B: 1, T: 40, more: 0, KV: 1, share: 2, D: 8, causal: true, scale: 400, gate: 'none' },
      ...{ gateAct: 'sigmoid', gateOp: 'mul', seed: 4 },
    }
    const [expected, got] = [await resultsOn(given, 'reference'), await resultsOn(given, 'webgpu')]
    // Scores up to 3200 are exact multiples of 400 / 4096 up to 2^-24 of themselves: weights within 3200 2^-23 = 4e-4.
    expected.forEach((values, i) => {
      const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
      values.forEach((x, j) => {
        expect(Math.abs(got[i][j] - x)).toBeLessThanOrEqual(1e-3 * largest)
      })
    })
  })

  test('no buffer has T x S elements', async () => {
    const given: Case = {
      ...{ B: 1, T: 200, more: 0, KV: 1, share: 1, D: 8, causal: true, scale: undefined, gate: 'elementwise' },
      ...{ gateAct: 'sigmoid', gateOp: 'mul', seed: 2 },
    }
    const allocated = vi.spyOn(gpu, 'allocate')
    const scratch = vi.spyOn(gpu, 'scratch')
    await resultsOn(given, 'webgpu')
    const lengths = [...allocated.mock.calls.map(([, length]) => length), ...scratch.mock.calls.map(([n]) => n)]
    allocated.mockRestore()
    scratch.mockRestore()
    expect(lengths.length).toBeGreaterThan(5)
    expect(Math.max(...lengths)).toBeLessThan(200 * 200)
  })

  test('what the kernels do not take runs the composition', async () => {
    const launched = vi.spyOn(gpu, 'launchFused')
    const names = () => launched.mock.calls.map(([kernel]) => kernel)
    const zeros = (shape: number[]) =>
      tensor(new Float32Array(shape.reduce((n, s) => n * s, 1)), { shape, device: 'webgpu' })
    scope(() => {
      const [q, wide] = [zeros([1, 3, 2, 8]), zeros([1, 3, 2, 12])]
      attention(q, q, q, { mask: zeros([3, 3]) })
      attention(q, q, wide)
      attention(zeros([1, 3, 2, 6]), zeros([1, 3, 2, 6]), zeros([1, 3, 2, 6]))
      attention(q, q, q, { gate: q, gateShared: true })
      attention(q, q, q, { gate: zeros([2, 8]) })
      expect(names()).not.toContain(attentionForward)
      attention(q, q, q)
      expect(names()).toContain(attentionForward)
    })
    launched.mockRestore()
  })

  test('the gradient of the gradient goes through the composition', async () => {
    const second = async (place: string) => {
      const given: Case = {
        ...{ B: 1, T: 5, more: 1, KV: 1, share: 2, D: 4, causal: true, scale: undefined, gate: 'elementwise' },
        ...{ gateAct: 'sigmoid', gateOp: 'mul', seed: 9 },
      }
      const [q, k, v, gate] = draw(given, place)
      const slope = grad((x: Tensor) => attention(x, k, v, optionsOf(given, gate)).square().sum())
      const curvature = grad((x: Tensor) => slope(x).square().sum())(q)
      return [...(await curvature.data())]
    }
    const [expected, got] = [await second('reference'), await second('webgpu')]
    const largest = Math.max(...expected.map(Math.abs))
    expect(largest).toBeGreaterThan(1e-3)
    expected.forEach((x, i) => {
      // Three passes over the composition, each off by a few dozen roundings.
      expect(Math.abs(got[i] - x)).toBeLessThanOrEqual(1e-4 * Math.max(1, largest))
    })
  })
})

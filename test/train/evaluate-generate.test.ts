/** Held-out losses against sums by hand; generation against full forward passes, draws against exact probabilities. */
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../src/device/registry.ts'
import { manualSeed, scope, tensor } from '../../src/index.ts'
import { Transformer, type TransformerConfigInput } from '../../src/nn/index.ts'
import { Generator } from '../../src/tensor/random.ts'
import { evaluate } from '../../src/train/evaluate.ts'
import { type GenerateOptions, generate, sampleToken } from '../../src/train/generate.ts'
import type { TokenBatch } from '../../src/train/text.ts'
import { failure } from './small-run.ts'

const V = 11
const CONTEXT = 8
const statistics = () => findDevice('cpu').statistics()

/** A model with weights large enough that its choices are clear. */
function modelOf(settings: Partial<TransformerConfigInput> = {}, device = 'cpu'): Transformer {
  manualSeed(3)
  const shape = { vocabularySize: V, width: 16, layers: 2, heads: 2, contextLength: CONTEXT, initStd: 0.5 }
  return new Transformer({ ...shape, ...settings }, { device })
}

/** Logits [T][V] of a full forward pass, without a cache. */
async function logitsOf(model: Transformer, tokens: ArrayLike<number>): Promise<number[][]> {
  const shape = [1, tokens.length]
  const logits = scope(() => model.forward(tensor(Int32Array.from(tokens), { shape, device: model.device })).detach())
  const [rows] = (await logits.array()) as number[][][]
  logits.dispose()
  return rows
}

const indexOfLargest = (row: readonly number[]) => row.indexOf(Math.max(...row))

describe('evaluate', () => {
  const batch = (inputs: number[], targets: number[], T: number): TokenBatch => ({
    inputs: Int32Array.from(inputs),
    targets: Int32Array.from(targets),
    B: inputs.length / T,
    T,
  })
  const batches = [
    batch([1, 2, 3, 4, 5, 6], [2, 3, -100, 5, -100, -100], 3),
    batch([7, 8, 9, 10, 0, 1], [-100, -100, -100, -100, -100, -100], 3),
    batch([2, 4, 6, 8, 10, 1, 3, 5, 7], [4, 6, 8, 10, 1, 3, 5, 7, 9], 3),
    batch([5, 0], [-100, 3], 2),
  ]

  it.each([
    ['with', -100],
    ['with another', 3],
  ])('is the mean over all counted positions, %s ignored target', async (_what, ignoreIndex) => {
    // In float64, where both ways agree to rounding: 1e-12 is some 2000 ulp of a loss of about 3.
    const model = modelOf({}, 'reference')
    const chosen = batches.map(({ targets, ...rest }) => ({
      ...rest,
      targets: targets.map((target) => (target === -100 ? ignoreIndex : target)),
    }))
    let [total, right, count] = [0, 0, 0]
    for (const { inputs, targets, B, T } of chosen) {
      for (let b = 0; b < B; b++) {
        const rows = await logitsOf(model, inputs.subarray(b * T, (b + 1) * T))
        rows.forEach((row, t) => {
          const target = targets[b * T + t]
          if (target === ignoreIndex) return
          total += Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0)) - row[target]
          right += indexOfLargest(row) === target ? 1 : 0
          count++
        })
      }
    }
    const { loss, accuracy } = await evaluate(model, chosen, { ignoreIndex })
    expect(Math.abs(loss - total / count)).toBeLessThan(1e-12)
    expect(accuracy).toBe(right / count)
    model.dispose()
  })

  it('counts every position without an ignored target', async () => {
    const model = modelOf()
    const one = batches[2]
    const { loss } = await evaluate(model, [one])
    const expected = scope(() =>
      model
        .loss(...([one.inputs, one.targets].map((ids) => tensor(ids, { shape: [3, 3] })) as [never, never]))
        .detach(),
    )
    // The same operations on the same numbers; times and by the count of 9 rounds twice.
    expect(Math.abs(loss - (await expected.item()))).toBeLessThan(1e-14)
    expected.dispose()
    model.dispose()
  })

  it('leaves no buffer, no gradient and no history behind', async () => {
    const model = modelOf({ dropout: 0.5 })
    const before = statistics()
    const first = await evaluate(model, batches, { ignoreIndex: -100 })
    expect(statistics()).toEqual(before)
    expect(model.parameters().every(({ grad }) => grad === null)).toBe(true)
    // Dropout is for training alone.
    expect(await evaluate(model, batches, { ignoreIndex: -100 })).toEqual(first)
    model.dispose()
  })

  it('refuses batches that ask nothing', async () => {
    const model = modelOf()
    for (const none of [[], [batches[1]]]) {
      const error = await failure(evaluate(model, none, { ignoreIndex: -100 }))
      expect(error.message).toContain(`evaluate: no position of the ${none.length} batches has a target`)
    }
    model.dispose()
  })
})

describe('generate', () => {
  const positions = ['rope', 'learned', 'none'] as const

  it.each(positions)('without temperature takes what a full forward pass finds most likely: %s', async (position) => {
    const model = modelOf({ position, tied: false })
    const prompt = [3, 1, 4]
    const all = [...prompt]
    // Beyond the context, from its second half: what the model sees is then all from `from` on.
    let from = 0
    for (let i = 0; i < 20; i++) {
      if (all.length - from > CONTEXT) from = all.length - CONTEXT / 2
      all.push(indexOfLargest((await logitsOf(model, all.slice(from))).at(-1)!))
    }
    const greedy = await generate(model, prompt, { length: 20, temperature: 0 })
    expect([...greedy]).toEqual(all.slice(prompt.length))
    expect(new Set(greedy).size).toBeGreaterThan(1)
    expect(await generate(model, prompt, { length: 20, temperature: 1.5, topK: 1 })).toEqual(greedy)
    expect(await generate(model, prompt, { length: 20, topP: 1e-9 })).toEqual(greedy)
    model.dispose()
  })

  it('reads the end of a prompt that is longer than the context', async () => {
    const model = modelOf({ position: 'learned' })
    const long = Array.from({ length: 30 }, (_, i) => (i * 7) % V)
    const options = { length: 5, temperature: 0 }
    const [first] = await generate(model, long, options)
    expect(first).toBe(indexOfLargest((await logitsOf(model, long.slice(-CONTEXT))).at(-1)!))
    expect(await generate(model, long, options)).toEqual(await generate(model, long.slice(-CONTEXT), options))
    model.dispose()
  })

  it('goes on when the context is a single token', async () => {
    const model = modelOf({ contextLength: 1, position: 'learned' })
    const greedy = await generate(model, [2], { length: 4, temperature: 0 })
    const all = [2]
    for (let i = 0; i < 4; i++) all.push(indexOfLargest((await logitsOf(model, all.slice(-1)))[0]))
    expect([...greedy]).toEqual(all.slice(1))
    model.dispose()
  })

  it('gives the same text for the same seed, and hands over each token as it comes', async () => {
    const model = modelOf()
    const seen: number[] = []
    const options = { length: 30, temperature: 1.2, topP: 0.9 }
    const first = await generate(model, [1], { ...options, generator: new Generator(4), onToken: (t) => seen.push(t) })
    expect(first).toHaveLength(30)
    expect(seen).toEqual([...first])
    expect(await generate(model, [1], { ...options, generator: new Generator(4) })).toEqual(first)
    expect(await generate(model, [1], { ...options, generator: new Generator(5) })).not.toEqual(first)
    // Seed 0 unless given.
    expect(await generate(model, [1])).toEqual(await generate(model, [1], { length: 100, generator: new Generator(0) }))
    expect(await generate(model, [1], { length: 0 })).toEqual(new Int32Array(0))
    model.dispose()
  })

  it('leaves no buffer behind, also when it fails midway', async () => {
    const model = modelOf()
    const before = statistics()
    await generate(model, [1, 2], { length: 20 })
    expect(statistics()).toEqual(before)
    const stop = () => {
      throw new Error('enough')
    }
    expect((await failure(generate(model, [1, 2], { onToken: stop }))).message).toBe('enough')
    expect((await failure(generate(model, [1, V]))).message).toContain(`${V}`)
    expect(statistics()).toEqual(before)
    model.parameters()[0].assign(tensor(new Float32Array(V * 16).fill(Number.NaN), { shape: [V, 16] }))
    expect((await failure(generate(model, [1]))).message).toContain('sampleToken: the logit of token 0 is NaN')
    expect(statistics()).toEqual(before)
    model.dispose()
  })

  it.each<[ArrayLike<number>, GenerateOptions, string]>([
    [[], {}, 'the prompt is empty'],
    [[1], { length: -1 }, 'length must be an integer from 0 up, got -1'],
    [[1], { length: 2.5 }, 'length must be an integer from 0 up, got 2.5'],
    [[1], { temperature: -0.1 }, 'temperature must be from 0, got -0.1'],
    [[1], { temperature: Number.NaN }, 'temperature must be from 0, got NaN'],
    [[1], { topP: 0 }, 'topP must be in (0, 1], got 0'],
    [[1], { topP: 1.1 }, 'topP must be in (0, 1], got 1.1'],
    [[1], { topK: 0 }, 'topK must be a positive integer, got 0'],
    [[1], { topK: 1.5 }, 'topK must be a positive integer, got 1.5'],
  ])('refuses %j with %j', async (prompt, options, message) => {
    const model = modelOf()
    expect((await failure(generate(model, prompt, options))).message).toContain(`generate: ${message}`)
    model.dispose()
  })
})

describe('sampleToken', () => {
  const logits = [1, -0.5, 2.2, 0.3, 2.1, -3]
  const DRAWS = 20_000

  /** softmax(logits / temperature) over `kept`, 0 elsewhere. */
  function probabilities(temperature: number, kept: readonly number[]): number[] {
    const weights = logits.map((x, i) => (kept.includes(i) ? Math.exp(x / temperature) : 0))
    const total = weights.reduce((a, b) => a + b, 0)
    return weights.map((w) => w / total)
  }

  // Ordered by logit: 2, 4, 0, 3, 1, 5; at temperature 1 their shares are 0.41, 0.37, 0.12, 0.06, 0.03, 0.002.
  const all = [0, 1, 2, 3, 4, 5]
  it.each([
    ['all', { temperature: 1, topP: 1 }, all],
    ['flattened', { temperature: 3, topP: 1 }, all],
    ['sharpened', { temperature: 0.5, topP: 1 }, all],
    ['at any temperature alike', { temperature: Number.POSITIVE_INFINITY, topP: 1 }, all],
    ['the top 3', { temperature: 1, topK: 3, topP: 1 }, [2, 4, 0]],
    ['more than there are', { temperature: 1, topK: 99, topP: 1 }, all],
    ['the fewest that reach 0.8', { temperature: 1, topP: 0.8 }, [2, 4, 0]],
    ['the fewest that reach 0.3', { temperature: 1, topP: 0.3 }, [2]],
    ['of the top 3 the fewest that reach 0.8', { temperature: 1, topK: 3, topP: 0.8 }, [2, 4]],
  ] as [string, { temperature: number; topK?: number; topP: number }, number[]][])(
    'draws %s in proportion to their probabilities',
    (_what, options, kept) => {
      const generator = new Generator(11)
      const counts = new Array<number>(logits.length).fill(0)
      for (let i = 0; i < DRAWS; i++) counts[sampleToken(logits, options, generator)]++
      const expected = probabilities(options.temperature, kept)
      let chiSquare = 0
      expected.forEach((p, i) => {
        if (p === 0) expect(counts[i]).toBe(0)
        else chiSquare += (counts[i] - p * DRAWS) ** 2 / (p * DRAWS)
      })
      // The 0.999 quantiles of chi-square with 0 to 5 degrees of freedom; the seed is fixed, so it passes always or never.
      expect(chiSquare).toBeLessThanOrEqual([1e-9, 10.83, 13.82, 16.27, 18.47, 20.52][kept.length - 1])
    },
  )

  it('without temperature takes the first of the most likely', () => {
    const generator = new Generator(1)
    expect(sampleToken([1, 3, 3, 2], { temperature: 0, topP: 1 }, generator)).toBe(1)
    // And draws nothing.
    expect(generator.state.draws).toBe(0)
  })

  it('stands logits of any size and temperatures of any smallness', () => {
    for (const shift of [1e4, -1e4]) {
      const counts = [0, 0]
      const generator = new Generator(2)
      for (let i = 0; i < 1000; i++) counts[sampleToken([shift, shift], { temperature: 1, topP: 1 }, generator)]++
      // Five standard deviations of a fair coin's count.
      expect(Math.abs(counts[0] - 500)).toBeLessThan(5 * Math.sqrt(250))
    }
    expect(sampleToken([0, 1, -1], { temperature: 1e-300, topP: 1 }, new Generator(3))).toBe(1)
    const masked = [Number.NEGATIVE_INFINITY, 0.5, Number.NEGATIVE_INFINITY]
    expect(sampleToken(masked, { temperature: 1, topP: 1 }, new Generator(3))).toBe(1)
  })
})

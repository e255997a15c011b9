import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Generator } from '../../src/tensor/random.ts'
import { bigramLoss, heldOutBatches, loadText, splitTokens, textBatch, unigramLoss } from '../../src/train/text.ts'
import { testRandom } from './random-source.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-text-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function load(content: Uint8Array | string): Promise<string> {
  const path = join(folder, 'text.txt')
  await writeFile(path, content)
  return loadText(path)
}

/** 0, 1, 2, ...: every token tells its own place. */
const counting = (n: number): Int32Array => Int32Array.from({ length: n }, (_, index) => index)

test('loadText gives the text, without a byte-order mark', async () => {
  expect(await load('naïve 😀\r\nend')).toBe('naïve 😀\r\nend')
  expect(await load('\uFEFFtext')).toBe('text')
})

test('loadText says what is wrong with the path or the file', async () => {
  await expect(loadText(join(folder, 'none.txt'))).rejects.toThrow(/loadText: there is no file .*none\.txt/)
  await expect(loadText(folder)).rejects.toThrow(/is a folder; give a text file/)
  await expect(load('')).rejects.toThrow(/is empty/)
  await expect(load('\uFEFF')).rejects.toThrow(/is empty/)
  await expect(loadText('bad\0path')).rejects.toThrow(/cannot be read/)
  await expect(load(Uint8Array.of(0x61, 0x62, 0xff))).rejects.toThrow(/not UTF-8: byte 0xff at position 2 \(of 3\)/)
})

/** Where Unicode says the first ill-formed sequence begins: after the longest prefix that is well-formed. */
function firstBad(bytes: Uint8Array): number {
  for (let length = bytes.length; length >= 0; length--) {
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length))
      return length
    } catch {}
  }
  throw new Error('the empty prefix is always well-formed')
}

test('the position of the first bad byte agrees with the decoder', async () => {
  // Bytes at the edges of the table of well-formed sequences, where a hand-written scan goes wrong.
  const edges = [
    ...[0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee],
    ...[0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff],
  ]
  const tails = [[], [0x80], [0xbf, 0x80], [0xbf, 0xc2], [0x41]]
  const seen = { good: 0, bad: 0 }
  for (const lead of edges) {
    for (const second of edges) {
      for (const tail of tails) {
        const bytes = Uint8Array.of(...Buffer.from('é€😀'), lead, second, ...tail)
        const position = firstBad(bytes)
        if (position === bytes.length) {
          seen.good++
          expect(await load(bytes)).toBe(new TextDecoder().decode(bytes))
        } else {
          seen.bad++
          await expect(load(bytes)).rejects.toThrow(`at position ${position} (of ${bytes.length})`)
        }
      }
    }
  }
  expect(seen.good).toBeGreaterThan(50)
  expect(seen.bad).toBeGreaterThan(2000)
})

test('the split is nanoGPT’s on Shakespeare, and shares the tokens’ memory', () => {
  const ids = counting(1_115_394)
  const { train, heldOut } = splitTokens(ids)
  expect([train.length, heldOut.length]).toEqual([1_003_854, 111_540])
  expect(heldOut[0]).toBe(1_003_854)
  expect(train.buffer).toBe(ids.buffer)
})

test('a split that leaves nothing is an error', () => {
  expect(() => splitTokens(counting(5), 0.1)).not.toThrow()
  expect(() => splitTokens(counting(1))).toThrow(/leave 0 to train on and 1 held out/)
  for (const share of [0, 1, -0.5, Number.NaN]) {
    expect(() => splitTokens(counting(10), share)).toThrow(/between 0 and 1/)
  }
})

const sizes = fc.record({ B: fc.integer({ min: 1, max: 6 }), T: fc.integer({ min: 1, max: 9 }) })

test('rows of a batch are consecutive tokens, targets the ones after them', () => {
  fc.assert(
    fc.property(sizes, fc.nat(40), fc.integer(), ({ B, T }, extra, seed) => {
      const n = T + 1 + extra
      const batch = textBatch(counting(n), B, T, testRandom(seed))
      expect([batch.B, batch.T, batch.inputs.length, batch.targets.length]).toEqual([B, T, B * T, B * T])
      for (let b = 0; b < B; b++) {
        const start = batch.inputs[b * T]!
        expect(start).toBeGreaterThanOrEqual(0)
        expect(start + T).toBeLessThan(n)
        for (let t = 0; t < T; t++) {
          expect(batch.inputs[b * T + t]).toBe(start + t)
          expect(batch.targets[b * T + t]).toBe(start + t + 1)
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('every start is drawn, the first and the last too, with the library’s generator', () => {
  // 6 tokens and T = 3 leave starts 0, 1, 2; 200 draws miss one of them with probability 3 (2/3)^200 < 1e-34.
  const { inputs } = textBatch(counting(6), 200, 3, new Generator(1))
  const starts = new Set(inputs.filter((_, index) => index % 3 === 0))
  expect([...starts].sort()).toEqual([0, 1, 2])
})

test('too few tokens for one context: the message says how many there are and how many it takes', () => {
  for (const batches of [() => textBatch(counting(8), 2, 8, testRandom(0)), () => heldOutBatches(counting(8), 2, 8)]) {
    expect(batches).toThrow(/there are 8 tokens, one context of T = 8 needs 9/)
  }
  expect(() => textBatch(counting(9), 0, 8, testRandom(0))).toThrow(/B must be a positive integer, got 0/)
  expect(() => heldOutBatches(counting(9), 1, 1.5)).toThrow(/T must be a positive integer, got 1.5/)
  expect(() => heldOutBatches(counting(9), 1, 8, 0)).toThrow(/limit must be at least 1/)
})

test('held-out windows are disjoint, aligned, of one shape, spread out, and as many as fit', () => {
  fc.assert(
    fc.property(sizes, fc.nat(150), fc.integer({ min: 1, max: 6 }), ({ B, T }, extra, limit) => {
      const n = T + 1 + extra
      const windows = Math.floor((n - 1) / T)
      const batches = heldOutBatches(counting(n), B, T, limit)
      const rows = Math.min(B, windows)
      expect(batches.length).toBe(Math.min(limit, Math.max(1, Math.floor(windows / B))))
      const starts = batches.flatMap(({ inputs, targets, B: b, T: t }) => {
        expect([b, t]).toEqual([rows, T])
        expect(targets).toEqual(inputs.map((token) => token + 1))
        return [...inputs.filter((_, index) => index % T === 0)]
      })
      expect(new Set(starts).size).toBe(starts.length)
      for (const start of starts) {
        expect(start % T).toBe(0)
        expect(start + T).toBeLessThan(n)
      }
      // Spread: neighbours are at most one window further apart than the even distance.
      const gaps = [...starts, windows * T].slice(1).map((start, index) => (start - starts[index]!) / T)
      for (const gap of gaps) expect(gap).toBeLessThan(windows / starts.length + 1)
      expect(heldOutBatches(counting(n), B, T, limit)).toEqual(batches)
    }),
    { numRuns: 300 },
  )
})

/** -mean ln p of held-out pairs by the formula, with dense tables. */
function denseLoss(train: Int32Array, heldOut: Int32Array, V: number, alpha: number, order: 1 | 2): number {
  const table = Array.from({ length: V }, () => new Array<number>(V).fill(0))
  for (let i = 1; i < train.length; i++) table[order === 2 ? train[i - 1]! : 0]![train[i]!]!++
  let total = 0
  for (let i = 1; i < heldOut.length; i++) {
    const row = table[order === 2 ? heldOut[i - 1]! : 0]!
    const all = row.reduce((sum, count) => sum + count, 0)
    total -= Math.log((row[heldOut[i]!]! + alpha) / (all + alpha * V))
  }
  return total / (heldOut.length - 1)
}

test('the counting losses agree with dense tables, alpha being the best on the tail of the train tokens', () => {
  const tokens = (min: number, max: number) => fc.array(fc.nat(4), { minLength: min, maxLength: max })
  fc.assert(
    fc.property(tokens(20, 200), tokens(2, 40), fc.constantFrom(1, 2), (a, b, order) => {
      const [train, heldOut] = [Int32Array.from(a), Int32Array.from(b)]
      const cut = Math.floor(train.length * 0.9)
      const grid = Array.from({ length: 25 }, (_, index) => 10 ** (index / 4 - 4))
      const tail = grid.map((alpha) => denseLoss(train.subarray(0, cut), train.subarray(cut), 5, alpha, order))
      // Two alphas may tie but for rounding: then either is right.
      const allowed = grid
        .filter((_, index) => tail[index]! <= Math.min(...tail) + 1e-12)
        .map((alpha) => denseLoss(train, heldOut, 5, alpha, order))
      const loss = (order === 2 ? bigramLoss : unigramLoss)(train, heldOut, 5)
      // Sums of at most 40 terms below ln(1e6): rounding stays far under 1e-10.
      expect(Math.min(...allowed.map((value) => Math.abs(value - loss)))).toBeLessThan(1e-10)
    }),
    { numRuns: 300 },
  )
})

test('known entropies: fair tokens cost ln V, a cycle costs the bigram nothing, unseen tokens stay finite', () => {
  const fair = testRandom(3).integers(60_000, 0, 4)
  // The loss of a fitted table is ln 4 plus about (V^2 - V) / 2n = 1e-4, with a spread of the same order.
  expect(bigramLoss(fair.subarray(0, 50_000), fair.subarray(50_000), 4)).toBeCloseTo(Math.log(4), 2)
  const cycle = Int32Array.from({ length: 3000 }, (_, index) => index % 3)
  // 1000 of each pair and alpha 1e-4: p = 1 - 3e-7.
  expect(bigramLoss(cycle, cycle, 3)).toBeLessThan(1e-5)
  expect(unigramLoss(cycle, cycle, 3)).toBeCloseTo(Math.log(3), 3)
  expect(bigramLoss(cycle, Int32Array.of(4, 3, 4), 5)).toBeCloseTo(Math.log(5), 12)
})

test('the counting losses refuse what they cannot count', () => {
  const ids = new Int32Array(30)
  expect(() => bigramLoss(ids.subarray(0, 19), ids, 2)).toThrow(/19 train tokens, at least 20/)
  expect(() => unigramLoss(ids, ids.subarray(0, 1), 2)).toThrow(/1 held-out tokens, at least 2/)
  expect(() => bigramLoss(ids, Int32Array.of(0, 2), 2)).toThrow(/held-out id 2 at position 1 is outside \[0, 2\)/)
  expect(() => bigramLoss(ids, ids, 0)).toThrow(/V must be a positive integer/)
})

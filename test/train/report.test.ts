import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SluiceError } from '../../src/errors.ts'
import type { ReportData, ReportRun } from '../../src/train/report/data.ts'
import {
  formatClock,
  formatCompact,
  formatDuration,
  formatFixed,
  formatInteger,
  formatPercent,
} from '../../src/train/report/format.ts'
import { renderReport } from '../../src/train/report/report.ts'
import { MovingAverage, smoothCurve } from '../../src/train/report/smooth.ts'
import { decode, parse, pixels } from './report-page.ts'

const tokens = [...'Call me Ishmael.']

/** Causal attention [T, T] with `sink` of each row on the first token and the rest even over the row. */
function attentionWith(sink: number, size: number): Float32Array {
  const weights = new Float32Array(size * size)
  for (let query = 0; query < size; query++) {
    for (let key = 0; key <= query; key++) weights[query * size + key] = (1 - sink) / (query + 1)
    weights[query * size] = weights[query * size]! + sink
  }
  return weights
}

function run(name: string, changes: Partial<ReportRun> = {}): ReportRun {
  const steps = Array.from({ length: 60 }, (_, index) => index * 10)
  return {
    name,
    parameters: 803_712,
    steps: 600,
    seconds: 184.2,
    tokensPerSecond: 11_120,
    trainLoss: steps.map((step) => ({ step, loss: 1.7 + 2.6 * Math.exp(-step / 90) + 0.05 * Math.sin(step) })),
    heldOutLoss: [0, 200, 400, 600].map((step) => ({ step, loss: 1.75 + 2.6 * Math.exp(-step / 90) })),
    finalHeldOutLoss: 1.684,
    ...changes,
  }
}

const gated = run('gated', {
  prompt: 'Call me',
  sample: 'Call me the whale',
  learningRate: [
    { step: 0, value: 0 },
    { step: 600, value: 2e-3 },
  ],
  attention: { tokens, layers: [{ heads: [attentionWith(0.01, 16), attentionWith(0.02, 16)] }] },
  firstToken: { perLayerHead: [[0.2, 0.22]], mean: 0.2126, corrected: 0.0104, uniform: 0.211 },
  gateScores: {
    layers: [{ counts: [60, 20, 10, 10], mean: 0.2214 }],
    mean: 0.2214,
    shareBelowTenth: 0.354,
    shareAboveNineTenths: 0.0214,
  },
  maximumActivation: [6.24, 14.83],
})

const ungated = run('ungated', {
  parameters: 790_000,
  finalHeldOutLoss: 1.731,
  tokensPerSecond: 950,
  seconds: 3725,
  prompt: 'Call me',
  sample: 'Call me the sea',
  attention: { tokens, layers: [{ heads: [attentionWith(0.6, 16), attentionWith(0.7, 16)] }] },
  firstToken: { perLayerHead: [[0.6, 0.7]], mean: 0.65, corrected: 0.5564, uniform: 0.211 },
  maximumActivation: [41.2, 1234.5],
})

function report(changes: Partial<ReportData> = {}): ReportData {
  return {
    title: 'Gated attention',
    createdAt: '2026-11-23',
    configuration: { layers: 1, device: 'cpu' },
    baselines: [{ name: 'bigram', loss: 2.469 }],
    runs: [gated, ungated],
    ...changes,
  }
}

/** The table's rows: the name of the quantity, then each cell's first line. */
function tableRows(html: string): Map<string, string[]> {
  const body = /<tbody>([\s\S]*?)<\/tbody>/.exec(html)![1]!
  const rows = [...body.matchAll(/<tr><th scope="row">([^<]*)[\s\S]*?<\/th>([\s\S]*?)<\/tr>/g)]
  return new Map(
    rows.map(([, name, cells]) => [
      name!,
      [...cells!.matchAll(/<td[^>]*>(?:<[^>]*>)*([^<]*)/g)].map(([, value]) => decode(value!)),
    ]),
  )
}

/** Pictures of heads in the order of the page. */
function headMaps(html: string): string[][][] {
  const { attributes } = parse(html)
  const sources = attributes.filter(
    ({ element, name, value }, index) =>
      element === 'img' && name === 'src' && attributes[index + 1]?.value.includes('head') && value.length > 0,
  )
  return sources.map(({ value }) => pixels(value))
}

describe('renderReport', () => {
  // A regression: axis ends such as 1.7000000000000002 lay inside their own ticks, which ECharts refuses.
  it('draws losses in any range', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e-3, max: 20, noNaN: true }),
        fc.double({ min: 1e-4, max: 5, noNaN: true }),
        (end, fall) => {
          const steps = Array.from({ length: 40 }, (_, index) => index)
          const trainLoss = steps.map((step) => ({ step, loss: end + fall * Math.exp(-step / 8) }))
          const single = run('gated', { trainLoss, heldOutLoss: [{ step: 39, loss: end }], finalHeldOutLoss: end })
          expect(renderReport(report({ runs: [single] }))).toContain('</html>')
        },
      ),
      { numRuns: 200, examples: [[1.7, 0.33]] },
    )
  })

  it('is well-formed, stands alone and gives the same bytes for the same data', () => {
    const data = report({ text: { name: 'Moby-Dick', characters: 1_215_236, vocabularySize: 82 } })
    const copy = structuredClone(data)
    const html = renderReport(data)
    expect(renderReport(data)).toBe(html)
    expect(data).toEqual(copy)
    const { attributes, text } = parse(html)
    const fetched = attributes.filter(({ name }) => ['src', 'href'].includes(name))
    expect(fetched.length).toBeGreaterThan(0)
    for (const { value } of fetched) expect(value).toMatch(/^data:image\/bmp;base64,[A-Za-z0-9+/]+=*$/)
    expect(attributes.filter(({ name }) => name.startsWith('on'))).toEqual([])
    // The name of the SVG language is the only address: nothing is fetched from it.
    const addresses = [...html.matchAll(/https?:[^"'\s)]*/g)].map(([address]) => address)
    expect(new Set(addresses)).toEqual(new Set(['http://www.w3.org/2000/svg']))
    expect(html).not.toMatch(/@import|@font-face|url\((?!#)/)
    expect(text).toContain('1,215,236 characters, vocabulary of 82')
  })

  it('has no two elements with one id, and every reference leads somewhere', () => {
    const { attributes } = parse(renderReport(report()))
    const ids = attributes.filter(({ name }) => name === 'id').map(({ value }) => value)
    expect(ids.length).toBeGreaterThan(5)
    expect(new Set(ids).size).toBe(ids.length)
    const references = attributes.flatMap(({ name, value }) => {
      if (name === 'aria-labelledby') return [value]
      return name === 'clip-path' ? [/^url\(#(.*)\)$/.exec(value)![1]!] : []
    })
    expect(references.length).toBeGreaterThan(5)
    for (const reference of references) expect(ids).toContain(reference)
  })

  it('describes every chart and picture in words', () => {
    const html = renderReport(report())
    for (const [svg] of html.matchAll(/<svg [^>]*>/g))
      expect(svg).toMatch(/aria-hidden="true"|role="img" aria-label="[^"]+"/)
    for (const [image] of html.matchAll(/<img [^>]*>/g)) expect(image).toMatch(/ alt="/)
    expect(html).toContain('alt="ungated, layer 0, head 1: 0.76 of the attention is on the first token"')
    for (const [, figure] of html.matchAll(/<figure[^>]*>([\s\S]*?)<\/figure>/g)) {
      expect(figure).toMatch(/<figcaption>\S[\s\S]+<\/figcaption>/)
    }
  })

  it('puts the figures of the data into the table', () => {
    const rows = tableRows(renderReport(report()))
    expect(Object.fromEntries(rows)).toEqual({
      Parameters: ['803,712', '790,000'],
      Steps: ['600', '600'],
      'Held-out loss': ['1.684', '1.731'],
      'First-token attention': ['0.213', '0.650'],
      '\u2026 beyond uniform': ['0.010', '0.556'],
      'Mean gate score': ['0.221', '\u2013'],
      'Largest activation': ['14.8', '1,235'],
      Speed: ['11.1k', '950'],
      'Training time': ['3 min 04 s', '1 h 02 min'],
    })
    const { text } = parse(renderReport(report()))
    expect(text).toContain('0.785 below bigram 2.469')
    expect(text).toContain('35% below\u00a00.1')
    expect(text).toContain('2.1% above\u00a00.9')
    expect(text).toContain('by up to 1.7% in parameters')
  })

  it('writes any finite loss to half a thousandth', () => {
    fc.assert(
      fc.property(fc.double({ min: -50, max: 50, noNaN: true }), (loss) => {
        const bare = run('a', { finalHeldOutLoss: loss, trainLoss: [], heldOutLoss: [] })
        const cell = tableRows(renderReport(report({ runs: [bare], configuration: {} }))).get('Held-out loss')![0]!
        // Three decimals are printed: half of the last one, and the rounding of the sum itself.
        expect(Math.abs(Number(cell.replace('\u2212', '-')) - loss)).toBeLessThanOrEqual(0.0005 + 1e-12)
      }),
      { numRuns: 200 },
    )
  })

  it('keeps the ids of a task apart, and the characters of a text together', () => {
    const readAs = (read: string[]) => {
      const run = { ...gated, attention: { tokens: read, layers: gated.attention!.layers } }
      return parse(renderReport(report({ runs: [run] }))).text
    }
    expect(readAs(tokens.map((_, i) => String(i + 10)))).toContain('11 12 13')
    expect(readAs(tokens.map((_, i) => 'abcdefgh'[i % 8]!))).toContain('bcd')
  })

  describe('hostile strings', () => {
    const hostile = `<script>alert('1')</script>"><img src=x onerror=alert(1)>]]> &lt; {b} \u0007\u202e url(#zr0-c0)`
    // The bell becomes its picture; the mark that turns the direction of text is replaced.
    const shown = hostile.replace('\u0007', '\u2407').replace('\u202e', '\ufffd')

    it('stays text wherever the data goes', () => {
      const evil = (place: string) => `${place} ${hostile}`
      const named = { ...gated, name: evil('name'), sample: evil('sample'), prompt: evil('prompt') }
      const read = [evil('token'), '\n', ...tokens.slice(2)]
      const html = renderReport({
        title: evil('title'),
        subtitle: evil('subtitle'),
        createdAt: evil('created'),
        configuration: { [evil('key')]: evil('value') },
        text: { name: evil('text'), characters: 10, vocabularySize: 2 },
        baselines: [{ name: evil('baseline'), loss: 2.4 }],
        lossUnit: evil('unit'),
        runs: [{ ...named, attention: { tokens: read, layers: gated.attention!.layers } }, ungated],
      })
      const { text, attributes } = parse(html)
      for (const place of [
        'title',
        'subtitle',
        'created',
        'text',
        'baseline',
        'unit',
        'name',
        'sample',
        'prompt',
        'token',
      ]) {
        expect(text).toContain(`${place} ${shown}`)
      }
      expect(attributes.some(({ name, value }) => name === 'aria-label' && value.includes(`name ${shown}`))).toBe(true)
      const configuration = JSON.stringify({ [evil('key')]: evil('value') }, null, 2)
      expect(text).toContain(configuration.replaceAll('\u202e', '\ufffd'))
      expect(html).not.toMatch(/<script|<img src=x|\]\]>/)
      expect(html.replace(/\n/g, '')).not.toMatch(/\p{Cc}/u)
    })

    it('leaves the page well-formed whatever the strings are', () => {
      const anyText = fc.string({
        unit: fc.oneof(
          fc.constantFrom('<', '>', '"', "'", '&', ']', ';', '\0', '\r'),
          fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
        ),
      })
      fc.assert(
        fc.property(anyText, anyText, anyText, (name, sample, token) => {
          const attention = { tokens: [token, 'b'], layers: [{ heads: [attentionWith(0.5, 2)] }] }
          const bare = run(name, {
            trainLoss: [],
            heldOutLoss: [{ step: 1, loss: 2 }],
            sample,
            prompt: sample,
            attention,
          })
          const html = renderReport(
            report({ title: name, runs: [bare], baselines: [{ name, loss: 2 }], configuration: { [token]: sample } }),
          )
          parse(html)
          // Lone halves of surrogate pairs cannot be written to a file as they are.
          expect(Buffer.from(html, 'utf8').toString('utf8')).toBe(html)
        }),
        { numRuns: 200 },
      )
    })
  })

  describe('absent parts', () => {
    const bare = run('mine', { trainLoss: [], heldOutLoss: [] })

    it('are left out, heading and all', () => {
      const html = renderReport(report({ runs: [bare], baselines: [], configuration: {} }))
      parse(html)
      expect(html).not.toMatch(/<h2|<figure|<svg|<img/)
      expect([...tableRows(html).keys()]).toEqual(['Parameters', 'Steps', 'Held-out loss', 'Speed', 'Training time'])
      expect(html).toContain('One model trained for 600 steps')
    })

    it.each([
      ['Training', { trainLoss: gated.trainLoss }],
      ['Attention', { attention: gated.attention }],
      ['Attention', { firstToken: gated.firstToken }],
      ['Gate scores', { gateScores: gated.gateScores }],
      ['Activations', { maximumActivation: gated.maximumActivation }],
      ['Samples', { sample: '' }],
    ] as const)('%s alone makes one section', (heading, changes) => {
      const html = renderReport(report({ runs: [{ ...bare, ...changes } as ReportRun], configuration: {} }))
      parse(html)
      expect([...html.matchAll(/<h2[^>]*>([^<]*)/g)].map((match) => match[1])).toEqual([heading])
      expect(html).toContain('<figcaption>')
    })

    it('give no figure when their lists are empty', () => {
      const empty: Partial<ReportRun> = {
        attention: { tokens: [], layers: [] },
        firstToken: { perLayerHead: [], mean: 0, corrected: 0, uniform: 1 },
        maximumActivation: [],
        learningRate: [],
        gateScores: { layers: [], mean: 0.5, shareBelowTenth: 0, shareAboveNineTenths: 0 },
      }
      const html = renderReport(report({ runs: [{ ...bare, ...empty }], configuration: {} }))
      parse(html)
      expect(html).not.toMatch(/<figure|<svg/)
    })

    it('say nothing about the paper without both kinds of run', () => {
      expect(parse(renderReport(report({ runs: [gated] }))).text).not.toMatch(/order|One run each/)
      expect(parse(renderReport(report())).text).toMatch(/the order that the paper reports/)
    })
  })

  describe('sentences', () => {
    const sentencesOf = (runs: ReportRun[]) => parse(renderReport(report({ runs }))).text

    it('give the values and the paper\u2019s order', () => {
      const text = sentencesOf([gated, ungated])
      expect(text).toContain(
        'Beyond uniform, over all heads: gated\u00a00.01 against ungated\u00a00.56. It is lower with the gate: the order that the paper reports.',
      )
      expect(text).toContain('Held-out loss is first below bigram 2.469 at step 200 in every run.')
    })

    it('say when the order is the reverse', () => {
      const text = sentencesOf([
        { ...gated, firstToken: ungated.firstToken, finalHeldOutLoss: 1.9, maximumActivation: [2000] },
        { ...ungated, firstToken: gated.firstToken },
      ])
      expect(text.match(/higher with the gate: the reverse of the paper\u2019s order/g)).toHaveLength(3)
      expect(text).not.toContain('the order that the paper reports')
    })

    it('call values equal that print alike', () => {
      const text = sentencesOf([gated, { ...ungated, finalHeldOutLoss: 1.6843 }])
      expect(text).toContain('The held-out loss is equal at this precision.')
    })

    it('see no order where runs disagree or are not finite', () => {
      const between = { ...gated, name: 'headwise', finalHeldOutLoss: 1.8 }
      expect(sentencesOf([gated, ungated, between])).toContain(
        'The held-out loss puts runs with and without the gate in no consistent order.',
      )
      const diverged = sentencesOf([gated, { ...ungated, finalHeldOutLoss: Number.NaN }])
      expect(diverged).toContain('The held-out loss is not a finite number in every run')
      expect(diverged).toContain('not a number')
    })

    it('count what is not drawn', () => {
      const points = gated.trainLoss.map((point, index) => (index === 50 ? { ...point, loss: 90 } : point))
      const text = sentencesOf([
        { ...gated, trainLoss: [...points, { step: 610, loss: Number.POSITIVE_INFINITY }] },
        ungated,
      ])
      expect(text).toContain('The enlarged half cuts off 1\u00a0logged value far from the others.')
      expect(text).toContain('Not drawn, because not finite: 1\u00a0logged value.')
    })

    it('say when a gate is more open than closed', () => {
      const open = { ...gated, gateScores: { ...gated.gateScores!, mean: 0.6 } }
      expect(sentencesOf([open])).toContain('more open than closed, unlike the paper\u2019s')
      expect(sentencesOf([gated])).not.toContain('more open than closed')
    })
  })

  describe('attention maps', () => {
    const white = '#ffffff'
    const maskedColour = '#f3f3f1'

    it('show rows as queries from the top, a dark left edge for a sink, and what is masked', () => {
      const weights = attentionWith(0.9, 16)
      const only = run('a', { attention: { tokens, layers: [{ heads: [weights] }] } })
      const [map] = headMaps(renderReport(report({ runs: [only] })))
      expect(map).toHaveLength(16)
      expect(map![0]!.slice(0, 2)).toEqual(['#1a0936', maskedColour])
      const brightness = (colour: string) =>
        Number.parseInt(colour.slice(1, 3), 16) + Number.parseInt(colour.slice(3, 5), 16)
      for (let query = 1; query < 16; query++) {
        for (let key = 1; key <= query; key++) {
          expect(brightness(map![query]![0]!)).toBeLessThan(brightness(map![query]![key]!))
        }
        for (let key = query + 1; key < 16; key++) expect(map![query]![key]).toBe(maskedColour)
      }
    })

    it('draws the upper half when attention is not causal', () => {
      const weights = new Float32Array(4)
      weights.set([0, 1, 1, 0])
      const only = run('a', { attention: { tokens: ['a', 'b'], layers: [{ heads: [weights] }] } })
      const html = renderReport(report({ runs: [only] }))
      expect(headMaps(html)[0]).toEqual([
        [white, '#1a0936'],
        ['#1a0936', white],
      ])
      expect(html).not.toContain('>masked<')
    })

    it('draws every map on the same scale', () => {
      const html = renderReport(report())
      const maps = headMaps(html)
      expect(maps).toHaveLength(4)
      // Row 0 attends to itself alone: weight 1 in every map.
      expect(new Set(maps.map((map) => map[0]![0]))).toEqual(new Set(['#1a0936']))
      // The last row's first weight: 0.01 + 0.99 / 16 against 0.6 + 0.4 / 16.
      expect(maps[0]![15]![0]).not.toBe(maps[2]![15]![0])
    })

    it('writes the share of the first token below each map', () => {
      const html = renderReport(report({ runs: [ungated] }))
      const uniform = tokens.reduce((sum, _, index) => sum + 1 / (index + 1), 0) / tokens.length
      for (const [head, sink] of [0.6, 0.7].entries()) {
        const share = sink + (1 - sink) * uniform
        expect(html).toContain(`<span>head ${head}</span><b>${share.toFixed(2)}</b>`)
      }
    })

    it('keeps the file under 3 MB, small maps and large', () => {
      const many = (layers: number, heads: number, size: number): ReportRun => {
        const attention = {
          tokens: Array.from({ length: size }, (_, index) => String(index % 10)),
          layers: Array.from({ length: layers }, () => ({
            heads: Array.from({ length: heads }, () => attentionWith(0.3, size)),
          })),
        }
        return run('a', { attention })
      }
      const usual = renderReport(report({ runs: [many(4, 4, 64), many(4, 4, 64)] }))
      expect(Buffer.byteLength(usual)).toBeLessThan(500_000)
      expect(headMaps(usual)[0]).toHaveLength(64)
      const large = renderReport(report({ runs: [many(12, 8, 200), many(12, 8, 200)] }))
      expect(Buffer.byteLength(large)).toBeLessThan(3_000_000)
      expect(large).toMatch(/Each cell averages \d/)
    })
  })

  it('refuses data that no honest report can be drawn from', () => {
    expect(() => renderReport(report({ runs: [] }))).toThrow(SluiceError)
    const wrong = run('a', { attention: { tokens, layers: [{ heads: [new Float32Array(9)] }] } })
    expect(() => renderReport(report({ runs: [wrong] }))).toThrow(
      /renderReport: run 'a', layer 0, head 0: attention has 9 weights, expected 256 = 16 x 16/,
    )
    const binless = run('a', { gateScores: { ...gated.gateScores!, layers: [{ counts: [], mean: 0.5 }] } })
    expect(() => renderReport(report({ runs: [binless] }))).toThrow(/at least one bin/)
  })

  it('writes configuration values that JSON has no word for', () => {
    const configuration = { seed: 12n, clip: Number.POSITIVE_INFINITY, widths: new Float64Array([1, 2]) }
    const { text } = parse(renderReport(report({ configuration })))
    expect(text).toContain('"seed": "12"')
    expect(text).toContain('"clip": "Infinity"')
    expect(text.replace(/\s/g, '')).toContain('"widths":[1,2]')
  })
})

describe('smoothing', () => {
  it('reproduces a straight line', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.double({ min: -5, max: 5, noNaN: true }),
        fc.double({ min: -5, max: 5, noNaN: true }),
        (count, slope, start) => {
          const line = Array.from({ length: count }, (_, step) => ({ step, loss: start + slope * step }))
          const { points, span } = smoothCurve(line)
          expect(points).toHaveLength(count)
          expect(span).toBeLessThanOrEqual(count)
          // Values up to 5 + 5 * 300; a fit adds a few dozen terms, each rounded to 2^-53 of at most 1505.
          for (const { step, loss } of points) expect(Math.abs(loss - (start + slope * step))).toBeLessThan(1e-9)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('calms noise without lagging behind', () => {
    const noisy = Array.from({ length: 400 }, (_, step) => ({ step, loss: 4 - step / 100 + (step % 2 ? 0.2 : -0.2) }))
    const { points } = smoothCurve(noisy)
    // An alternating sum of weights that rise and fall once is at most the largest of them. The reach is 10 of 400
    // points: (1 - u^3)^3 sums to about 11 * 81 / 70, so the largest weight is 0.0786 and leaves 0.0157 of the 0.2.
    // At an end half of the weights are missing and the line is free to turn: the largest is four times as large.
    for (const { step, loss } of points) {
      const inside = step >= 10 && step < 390
      expect(Math.abs(loss - (4 - step / 100))).toBeLessThan(inside ? 0.016 : 0.064)
    }
  })

  it('thins very long curves', () => {
    const long = Array.from({ length: 10_000 }, (_, step) => ({ step, loss: 2 }))
    const { points, span } = smoothCurve(long)
    expect(points).toHaveLength(2000)
    expect(span).toBe(505)
    expect(points[0]).toEqual({ step: 2, loss: 2 })
    expect(smoothCurve([])).toEqual({ points: [], span: 0 })
  })

  it('averages without bias from the first value on', () => {
    const average = new MovingAverage(0.9)
    expect(average.add(4)).toBeCloseTo(4, 12)
    // (0.9 * 4 + 2) / (0.9 + 1)
    expect(average.add(2)).toBeCloseTo(5.6 / 1.9, 12)
    expect(average.add(Number.NaN)).toBeNaN()
    // (0.81 * 4 + 0.9 * 2 + 1) / (0.81 + 0.9 + 1): the NaN was not taken in.
    expect(average.add(1)).toBeCloseTo(6.04 / 2.71, 12)
    expect(new MovingAverage(0).add(7)).toBe(7)
  })
})

describe('numbers', () => {
  it.each([
    [formatInteger, 1234567, '1,234,567'],
    [formatInteger, 999, '999'],
    [formatInteger, -12345, '-12,345'],
    [formatCompact, 0, '0'],
    [formatCompact, 0.4217, '0.42'],
    [formatCompact, 9.96, '10'],
    [formatCompact, 870.4, '870'],
    [formatCompact, 999.6, '1k'],
    [formatCompact, 1234, '1.23k'],
    [formatCompact, 12_345, '12.3k'],
    [formatCompact, 123_456, '123k'],
    [formatCompact, 999_600, '1M'],
    [formatCompact, 1_200_000, '1.2M'],
    [formatCompact, Number.NaN, 'not a number'],
    [formatPercent, 0.123, '12%'],
    [formatPercent, 0.0042, '0.4%'],
    [formatPercent, 1, '100%'],
    [formatDuration, 0.84, '0.8 s'],
    [formatDuration, 12.2, '12 s'],
    [formatDuration, 59.7, '1 min 00 s'],
    [formatDuration, 184.2, '3 min 04 s'],
    [formatDuration, 3599.9, '1 h 00 min'],
    [formatDuration, 7620, '2 h 07 min'],
    [formatClock, 7.4, '0:07'],
    [formatClock, 754, '12:34'],
    [formatClock, 3723, '1:02:03'],
    [formatClock, Number.NaN, '-:--'],
  ])('%o of %d is %s', (format, value, text) => {
    expect(format(value)).toBe(text)
  })

  it('fixes decimals with a true minus and no minus zero', () => {
    expect(formatFixed(-0.0271, 3)).toBe('\u22120.027')
    expect(formatFixed(-0.0001, 3)).toBe('0.000')
    expect(formatFixed(Number.NEGATIVE_INFINITY, 3)).toBe('\u2212infinite')
  })
})

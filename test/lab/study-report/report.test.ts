/** The study's page, read strictly. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SluiceError } from '../../../src/errors.ts'
import type { StudyRun } from '../../../src/lab/study-report/data.ts'
import { renderStudy } from '../../../src/lab/study-report/report.ts'
import { parse } from '../../train/report-page.ts'
import { type Made, made, seeds, study } from './small-study.ts'

const tokens = [...'abcd']
const T = tokens.length
/** Causal maps: `sink` of each row on the first token, the rest on itself. */
const map = (sink: number) =>
  Array.from({ length: T * T }, (_, cell) => {
    const [query, key] = [Math.floor(cell / T), cell % T]
    if (query === 0) return key === 0 ? 1 : 0
    return key === 0 ? sink : key === query ? 1 - sink : 0
  })

/** An arm with everything measured. */
function whole(variant: string, sink: number, gate: number | null, more: Made = {}): StudyRun[] {
  return seeds([2, 2.2, 2.1], (loss) => ({
    ...more,
    job: { variant, ...more.job },
    loss,
    sink,
    gate,
    measures: {
      attentionOutput: {
        before: 0.5,
        after: 0.1,
        layers: [],
        sparsityBefore: { '0.01': 0.1, '0.001': 0.01 },
        sparsityAfter: { '0.01': 0.3, '0.001': 0.02 },
        sparsityMeanGate: gate === null ? null : { '0.01': 0.2, '0.001': 0.015 },
      },
      clamp: gate === null ? null : { none: loss, one: loss + 3, mean: loss + 0.5, zero: loss + 4 },
    },
    changes: {
      length: [
        { length: 64, loss, rescaled: loss },
        { length: 128, loss: loss + 1, rescaled: loss + 0.5 },
      ],
      inContext: { early: loss + 0.3, late: loss - 0.1, prefixMatching: 0.2 },
      maps: { tokens, layers: [{ heads: [map(sink), map(sink / 2)] }] },
    },
  }))
}

const at = (group: 'rates' | 'scaling', variant: string, job: object, loss: number | null, parameters = 1000) =>
  [1, 2].map((seed) => made({ job: { group, variant, seed, ...job }, loss, changes: { parameters } }))

const full = () =>
  study([
    ...whole('baseline', 0.6, null),
    ...whole('g1-elementwise', 0.04, 0.2),
    ...whole('g5', 0.5, 0.6),
    ...['baseline', 'sandwich'].flatMap((variant) => [
      ...at('rates', variant, { learningRate: 0.001 }, 2),
      ...at('rates', variant, { learningRate: 0.002 }, variant === 'sandwich' ? 1.9 : null),
    ]),
    ...['baseline', 'g1-elementwise'].flatMap((variant) =>
      [100, 200].flatMap((steps) => [
        ...at('scaling', variant, { size: 'small', steps }, 3 - steps / 400, 1000),
        ...at('scaling', variant, { size: 'large', steps }, 2.5 - steps / 400, 9000),
      ]),
    ),
  ])

const headings = (html: string) =>
  [...html.matchAll(/<h2 id="([^"]+)">[^<]*<\/h2>\n(<p class="absent">Left out: [^<]+<\/p>)?/g)].map(
    ([, id, absent]) => [id, absent === undefined],
  )

const sections = [
  'claims',
  'runs',
  'variants',
  'maps',
  'growth',
  'activations',
  'gates',
  'output',
  'clamp',
  'curves',
  'rates',
  'scaling',
  'length',
  'in-context',
  'configuration',
]

/** What a reader sees of a part of the page, blanks as one. */
function readable(html: string, id: string): string {
  const start = html.indexOf(`<section aria-labelledby="${id}">`)
  expect(start).toBeGreaterThan(0)
  return html
    .slice(start, html.indexOf('</section>', start))
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
}

describe('renderStudy', () => {
  it('shows every section, is well-formed, stands alone, and gives the same bytes for the same data', () => {
    const data = full()
    const copy = structuredClone(data)
    const html = renderStudy(data)
    expect(renderStudy(data)).toBe(html)
    expect(data).toEqual(copy)
    expect(headings(html)).toEqual(sections.map((id) => [id, true]))
    const { attributes } = parse(html)
    for (const { value } of attributes.filter(({ name }) => ['src', 'href'].includes(name))) {
      expect(value).toMatch(/^data:image\/bmp;base64,[A-Za-z0-9+/]+=*$/)
    }
    const addresses = [...html.matchAll(/https?:[^"'\s)]*/g)].map(([address]) => address)
    expect(new Set(addresses)).toEqual(new Set(['http://www.w3.org/2000/svg']))
    expect(html).not.toMatch(/@import|@font-face|url\((?!#)|<script/)
  })

  it('says what an undrawn number is, and draws none', () => {
    expect(renderStudy(full())).not.toMatch(/NaN|undefined|Infinity|not a number/)
  })

  it('has no two elements with one id, and every reference leads somewhere', () => {
    const { attributes } = parse(renderStudy(full()))
    const ids = attributes.filter(({ name }) => name === 'id').map(({ value }) => value)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { name, value } of attributes) {
      if (name === 'aria-labelledby') expect(ids).toContain(value)
      if (name === 'clip-path') expect(ids).toContain(/^url\(#(.*)\)$/.exec(value)![1]!)
    }
  })

  it('describes every chart and picture in words', () => {
    const html = renderStudy(full())
    for (const [svg] of html.matchAll(/<svg [^>]*>/g)) {
      expect(svg).toMatch(/aria-hidden="true"|role="img" aria-label="[^"]+"/)
    }
    for (const [image] of html.matchAll(/<img [^>]*>/g)) expect(image).toMatch(/ alt="/)
  })

  it('leaves out what was not measured, and says so', () => {
    const bare = made({ changes: { measures: null, curve: { step: [], loss: [], heldOut: [], firstToken: [] } } })
    const html = renderStudy(study([bare], { settings: {} }))
    parse(html)
    expect(headings(html)).toEqual(
      sections.filter((id) => id !== 'configuration').map((id) => [id, ['claims', 'runs', 'variants'].includes(id)]),
    )
  })

  it('is drawn of a delta model alone, which has no attention', () => {
    const html = renderStudy(study(seeds([2, 2.1], (loss) => ({ loss, sink: null, job: { variant: 'delta' } }))))
    parse(html)
    expect(readable(html, 'variants')).toContain('delta 2 seeds 1,000 parameters 2.050 ')
  })

  it('puts means, intervals and differences into the table', () => {
    const text = readable(renderStudy(full()), 'variants')
    // t at 2 degrees of freedom is 4.303; 4.303 x 0.1 / sqrt 3 = 0.248 about the mean of 2.1.
    expect(text).toContain('2.100 1.852 to 2.348')
    expect(text).toContain('0.000 0.000 to 0.000')
    expect(text).toContain('0.600 0.600 to 0.600')
  })

  it('says how many seeds diverged, and takes them out of the means', () => {
    const runs = [2, 2.2, null].map((loss, index) => made({ loss, job: { seed: index + 1 } }))
    const text = readable(renderStudy(study(runs)), 'variants')
    expect(text).toContain('3 seeds, 1 diverged')
    expect(text).toContain(' 2.100 ')
    expect(text).toContain('Diverged runs have no loss and are left out of the means.')
  })

  it('names the largest stable rate', () => {
    const text = readable(renderStudy(full()), 'rates')
    expect(text).toMatch(/baseline 0\.001 0\.001 2\.000 2\.000 to 2\.000 diverged/)
    expect(text).toMatch(/sandwich 0\.002 0\.002 2\.000/)
  })

  it('marks spikes where they are', () => {
    const spiked = made({ job: { steps: 100 } })
    spiked.curve.loss = spiked.curve.loss.map((loss, index) => (index === 80 ? 5 : loss))
    const triangles = (run: StudyRun) => renderStudy(study([run])).split('fill="var(--run-4)"').length
    expect(triangles(spiked)).toBe(triangles(made({ job: { steps: 100 } })) + 1)
  })

  it('stays text wherever the data goes', () => {
    const hostile = `<script>alert('1')</script>"><img src=x onerror=alert(1)>]]> {b} & \u0007 url(#zr0-c0)`
    const data = full()
    data.title = data.createdAt = data.preset = data.machine = hostile
    data.settings = { [hostile]: hostile }
    for (const run of data.runs) {
      if (run.job.variant === 'g5') run.job.variant = run.name = hostile
      if (run.job.size === 'small') run.job.size = hostile
      if (run.maps) run.maps.tokens[1] = hostile
      if (run.diverged) run.diverged.reason = hostile
    }
    const renamed = data.runs.map((run, index) => ({ ...run, name: `${run.name} ${index}` }))
    const html = renderStudy({ ...data, runs: renamed })
    const { text } = parse(html)
    expect(text).toContain(hostile.replace('\u0007', '\u2407'))
    expect(html).not.toMatch(/<script|<img src=x|\]\]>/)
  })

  it('is well-formed whatever was measured', () => {
    const number = fc.oneof(fc.double({ min: -1e3, max: 1e6 }), fc.constantFrom(0, Number.NaN, 1e-9, 1e300))
    const run = fc.record({
      variant: fc.constantFrom('baseline', 'g1-elementwise', 'g5'),
      group: fc.constantFrom('main' as const, 'rates' as const, 'scaling' as const),
      loss: fc.oneof(number, fc.constant(null)),
      sink: fc.oneof(number, fc.constant(null)),
      gate: fc.oneof(number, fc.constant(null)),
      activation: number,
      size: fc.constantFrom('small', 'large'),
      steps: fc.constantFrom(1, 60),
      learningRate: fc.constantFrom(1e-4, 3e-3),
    })
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 4 }), (drawn) => {
        const runs = drawn.map(({ loss, sink, gate, activation, ...job }, index) =>
          made({ loss, sink, gate, activation, job: { ...job, seed: index } }),
        )
        parse(renderStudy(study(runs)))
      }),
      { numRuns: 200 },
    )
  })

  it('refuses what no honest report can be drawn from, by name', () => {
    expect(() => renderStudy(study([]))).toThrow(SluiceError)
    expect(() => renderStudy(study([made({}), made({ job: { learningRate: 1 } })]))).toThrow(
      /both of group main, variant baseline, seed 1/,
    )
    expect(() => renderStudy(study([made({ changes: { loss: null } })]))).toThrow(/has no loss and did not diverge/)
    const maps = { tokens, layers: [{ heads: [[1, 2, 3]] }] }
    expect(() => renderStudy(study([made({ changes: { maps } })]))).toThrow(
      /head 0: the map has 3 weights, expected 16 = 4 x 4/,
    )
  })
})

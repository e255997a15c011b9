/** Ticks of axes, and where a chart puts values. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { curvesChart, intervalChart, linearTicks, logarithmicTicks } from '../../../src/lab/study-report/charts.ts'
import { armMark } from '../../../src/lab/study-report/marks.ts'

describe('ticks', () => {
  const width = fc.double({ min: 1e-4, max: 1e6, noNaN: true })
  const about = fc.integer({ min: 3, max: 8 })

  it('lie within the range, evenly, and are about as many as asked', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), width, about, (low, range, count) => {
        // A range far smaller than its place has no ticks of twelve figures.
        fc.pre(range > Math.abs(low) * 1e-6)
        const ticks = linearTicks(low, low + range, count)
        const rounding = 1e-9 * (Math.abs(low) + range)
        expect(ticks.length).toBeLessThanOrEqual(count + 1)
        // A step is less than 2.5 times the one asked for.
        expect(ticks.length).toBeGreaterThanOrEqual(Math.floor(count / 2.5))
        for (const tick of ticks) {
          expect(tick).toBeGreaterThanOrEqual(low - rounding - range * 1e-6)
          expect(tick).toBeLessThanOrEqual(low + range + rounding + range * 1e-6)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('of a logarithmic axis lie within the range and are never none', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -8, max: 8, noNaN: true }),
        fc.double({ min: 0.3, max: 12 }),
        about,
        (at, decades, count) => {
          const [low, high] = [10 ** at, 10 ** (at + decades)]
          const ticks = logarithmicTicks(low, high, count)
          expect(ticks.length).toBeGreaterThan(0)
          expect(ticks.length).toBeLessThanOrEqual(count + 3)
          for (const tick of ticks) {
            expect(tick).toBeGreaterThanOrEqual(low * 0.99)
            expect(tick).toBeLessThanOrEqual(high * 1.01)
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('are by hand', () => {
    expect(linearTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
    expect(linearTicks(-0.03, 0.01, 4)).toEqual([-0.03, -0.02, -0.01, 0, 0.01])
    expect(logarithmicTicks(8, 1200, 6)).toEqual([10, 20, 50, 100, 200, 500, 1000])
    expect(logarithmicTicks(1, 1e6, 3)).toEqual([1, 100, 1e4, 1e6])
  })
})

describe('a chart of curves', () => {
  const frame = { id: 'chart', label: 'a chart', width: 400, height: 300 }
  const pair = '(-?[\\d.]+)[ ,](-?[\\d.]+)'
  /** Where symbols stand, in pixels, in order. */
  const symbols = (svg: string, colour: string) =>
    [
      ...svg.matchAll(
        new RegExp(
          `transform="matrix\\([\\d.]+,0,0,[\\d.]+,${pair}\\)"[^>]*stroke="${colour.replace(/[()]/g, '.')}"`,
          'g',
        ),
      ),
    ].map(([, x, y]) => [Number(x), Number(y)] as const)
  /** Where labels stand, first those of the y axis. */
  const labels = (svg: string) =>
    [...svg.matchAll(new RegExp(`transform="translate\\(${pair}\\)"[^>]*>([\\d.]+)</text>`, 'g'))].map(
      ([, x, y, text]) => [Number(x), Number(y), text] as const,
    )
  // ECharts writes a ten-thousandth of a pixel.
  const rounding = 1e-4

  it('puts a point where the labels of its values stand', () => {
    const value = fc.constantFrom(1, 2, 5, 10, 20, 50)
    fc.assert(
      fc.property(value, value, fc.boolean(), fc.boolean(), (x, y, logX, logY) => {
        const axis = (name: string, logarithmic: boolean) => ({ name, logarithmic, low: 1, high: 50 })
        const svg = curvesChart(
          frame,
          [{ mark: armMark, points: [{ x, y }] }],
          { ...axis('across', logX), ticks: [x] },
          { ...axis('up', logY), ticks: [y] },
        )
        const [[left, top]] = symbols(svg, armMark.colour) as [readonly [number, number]]
        const along = (at: number, isLog: boolean) => (isLog ? Math.log(at) / Math.log(50) : (at - 1) / 49)
        // The axis reaches from 12 pixels and the label's width to 14 pixels before the end.
        const start = 12 + 6.6 * String(y).length
        expect(Math.abs(left - (start + along(x, logX) * (400 - 14 - start)))).toBeLessThan(rounding)
        // 42 pixels below and 30 above are kept free.
        expect(Math.abs(top - (300 - 42 - along(y, logY) * (300 - 72)))).toBeLessThan(rounding)
        expect(labels(svg)).toEqual([
          [expect.closeTo(start - 8, 3), expect.closeTo(top, 3), String(y)],
          [expect.closeTo(left, 3), 300 - 42 + 8, String(x)],
        ])
      }),
      { numRuns: 200 },
    )
  })

  it('marks what diverged at the top, and an interval from its low to its high end', () => {
    const svg = curvesChart(
      frame,
      [{ mark: armMark, points: [{ x: 0, y: 1, low: 0, high: 2 }], diverged: [1] }],
      { name: 'across', low: 0, high: 1 },
      { name: 'up', low: 0, high: 4 },
    )
    const [point, cross] = symbols(svg, armMark.colour)
    expect(cross![1]).toBe(30)
    // 4 is 228 pixels high: 1 is 57 above the foot at 258, and the whisker reaches from 258 to 144.
    expect(point![1]).toBe(201)
    expect(svg).toMatch(/<path d="M[\d.]+ 258L[\d.]+ 144"/)
  })

  it('breaks a line where there is no value', () => {
    const points = [1, 2, Number.NaN, 4, 5].map((y, x) => ({ x, y }))
    const svg = curvesChart(frame, [{ mark: armMark, kind: 'line', points }], { name: 'across' }, { name: 'up' })
    expect(svg).toMatch(/<path d="M[^ML"]+L[^ML"]+M[^ML"]+L[^ML"]+" fill="none" stroke="var\(--run-0\)"/)
  })

  it('takes any range', () => {
    const number = fc.oneof(fc.double(), fc.double({ min: -10, max: 10 }))
    const point = fc.record({ x: number, y: number, low: number, high: number })
    fc.assert(
      fc.property(fc.array(point, { maxLength: 5 }), fc.boolean(), (points, logarithmic) => {
        const axis = { name: 'any', logarithmic }
        expect(curvesChart(frame, [{ mark: armMark, points }], axis, axis)).not.toMatch(/NaN|Infinity|undefined/)
        const places = points.map(({ y, low, high }) => ({ mark: armMark, value: y, low, high }))
        expect(intervalChart(frame, [{ name: 'row', places }], axis, 0)).not.toMatch(/NaN|Infinity|undefined/)
      }),
      { numRuns: 200 },
    )
  })
})

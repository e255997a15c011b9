/** The study's two kinds of charts: curves with intervals over a number, and intervals beside the names of arms. */
import type { LineSeriesOption } from 'echarts/charts'
import {
  axisName,
  draw,
  type Frame,
  ink,
  label,
  line,
  muted,
  type Option,
  rule,
  tickLabel,
} from '../../train/report/charts.ts'
import { printable, shorten } from '../../train/report/markup.ts'
import { crossSymbol, downSymbol, type Mark } from './marks.ts'

/** A numeric axis; on a logarithmic one every value is positive. */
export interface Axis {
  readonly name: string
  readonly logarithmic?: boolean
  /** Where labels stand; chosen from the data unless given. */
  readonly ticks?: readonly number[]
  /** Ends; those of the data, with some room, unless given and finite. */
  readonly low?: number
  readonly high?: number
  readonly format?: (value: number) => string
}

export interface Point {
  readonly x: number
  readonly y: number
  /** The interval of y; none drawn where it is not finite. */
  readonly low?: number
  readonly high?: number
}

export interface Curve {
  readonly mark: Mark
  readonly points: readonly Point[]
  /** Points without symbols make a plain line; a faint one stands behind. */
  readonly kind?: 'points' | 'scattered' | 'line' | 'faint'
  /** Where something is to be noticed: drawn as small triangles above. */
  readonly noticed?: readonly Point[]
  /** Places on the x axis where there is no value because training diverged: crosses at the top. */
  readonly diverged?: readonly number[]
}

/** A place in a chart, both from 0 to 1 along the axes; a dash where there is nothing to draw, which breaks a line. */
type Pair = [Place, Place]
type Place = number | '-'

/** Curves of y over x, with whiskers for intervals. */
export function curvesChart(frame: Frame, curves: readonly Curve[], x: Axis, y: Axis): string {
  const points = curves.flatMap((curve) => [...curve.points, ...(curve.noticed ?? [])])
  const across = [...points.map((point) => point.x), ...curves.flatMap(({ diverged = [] }) => diverged)]
  const upright = points.flatMap((point) => [point.y, ...interval(point)])
  const horizontal = numericAxis(x, across, frame.width < 330 ? 4 : 6)
  const vertical = numericAxis(y, upright, frame.height < 200 ? 3 : 5)
  const left = 12 + Math.max(0, ...vertical.labels.map((text) => text.length)) * 6.6
  const place = (point: Point): Pair => [horizontal.place(point.x), vertical.place(point.y)]
  return draw(frame, {
    grid: { outerBoundsMode: 'none', left, right: 14, top: 30, bottom: 42 },
    xAxis: {
      ...horizontal.axis,
      name: printable(x.name),
      nameLocation: 'middle',
      nameGap: 25,
      nameTextStyle: label,
      axisLine: { show: true, onZero: false, lineStyle: { color: muted } },
      splitLine: { show: false },
    },
    yAxis: {
      ...vertical.axis,
      name: printable(y.name),
      nameGap: 12,
      nameTextStyle: axisName(left),
      axisLine: { show: false, onZero: false },
      axisTick: { ...vertical.axis.axisTick, show: false },
      splitLine: { lineStyle: { color: rule } },
    },
    series: curves.flatMap((curve) => seriesOf(curve, place, (at) => [horizontal.place(at), 1])),
  })
}

/** A line without symbols through these places. */
function plot(data: readonly Pair[], lineStyle: LineSeriesOption['lineStyle'], sampling?: 'minmax'): LineSeriesOption {
  return { ...line([], lineStyle, sampling), data: [...data] }
}

function interval({ low, high }: Point): number[] {
  return low !== undefined && high !== undefined && Number.isFinite(low) && Number.isFinite(high) ? [low, high] : []
}

function seriesOf(
  { mark, points, kind = 'points', noticed = [], diverged = [] }: Curve,
  place: (point: Point) => Pair,
  atTop: (x: number) => Pair,
): LineSeriesOption[] {
  const { colour } = mark
  const whiskers = points.flatMap((point): Pair[] => {
    const ends = interval(point).map((y) => place({ x: point.x, y }))
    return ends.length > 0 ? [...ends, [ends[0]![0], '-']] : []
  })
  const symbols: LineSeriesOption =
    kind === 'points' || kind === 'scattered' ? symbolSeries(mark, kind === 'scattered' ? 5 : 7) : {}
  const width = kind === 'faint' ? 0.7 : kind === 'scattered' ? 0 : 1.75
  const lineStyle = { color: colour, width, type: mark.dash, opacity: kind === 'faint' ? 0.25 : width === 0 ? 0 : 1 }
  const main = points.map(place)
  const series: LineSeriesOption[] = [
    { ...plot(whiskers, { color: colour, width: 1.25, opacity: 0.8 }) },
    { ...plot(main, lineStyle, main.length > 200 ? 'minmax' : undefined), ...symbols },
  ]
  if (noticed.length > 0) {
    series.push({
      ...plot(noticed.map(place), { width: 0, opacity: 0 }),
      ...symbolSeries({ colour: 'var(--run-4)', symbol: downSymbol, dash: 'solid' }, 7),
      symbolOffset: [0, -6],
      z: 4,
    })
  }
  if (diverged.length > 0) {
    series.push({
      ...plot(diverged.map(atTop), { width: 0, opacity: 0 }),
      ...symbolSeries({ colour, symbol: crossSymbol, dash: 'solid', hollow: true }, 8),
      z: 4,
    })
  }
  return series.filter(({ data }) => (data as unknown[]).length > 0)
}

function symbolSeries({ colour, symbol, hollow }: Mark, size: number): LineSeriesOption {
  const itemStyle =
    symbol === crossSymbol
      ? { color: 'none', borderColor: colour, borderWidth: 1.75 }
      : { color: hollow ? 'var(--paper)' : colour, borderColor: colour, borderWidth: 1.5 }
  return { showSymbol: true, showAllSymbol: true, symbol, symbolSize: size, itemStyle, clip: false }
}

/** One name, and what is drawn beside it. */
export interface IntervalRow {
  readonly name: string
  readonly places: readonly {
    readonly mark: Mark
    readonly value: number
    readonly low?: number
    readonly high?: number
    /** Single values behind the mean. */
    readonly values?: readonly number[]
  }[]
}

/** Room for the names of a chart of intervals. */
const namesWide = 160
const namesNarrow = 144

/** How high a chart of this many rows is. */
export const intervalHeight = (rows: number): number => 44 + 25 * rows

/** For each row a mean with its interval on one common axis; a dashed line at `reference`. */
export function intervalChart(frame: Frame, rows: readonly IntervalRow[], axis: Axis, reference?: number): string {
  const all = rows.flatMap(({ places }) =>
    places.flatMap(({ value, low, high, values = [] }) => [
      value,
      ...interval({ x: 0, y: value, low, high }),
      ...values,
    ]),
  )
  if (reference !== undefined) all.push(reference)
  const narrow = frame.width < 500
  const horizontal = numericAxis(axis, all, narrow ? 4 : 7)
  const left = narrow ? namesNarrow : namesWide
  const most = narrow ? 20 : 24
  const series = rows.flatMap(({ places }, row) =>
    places.flatMap(({ mark, value, low, high, values = [] }) => {
      const at = (number: number): Pair => [horizontal.place(number), row]
      const ends = interval({ x: 0, y: value, low, high }).map(at)
      return [
        { ...plot(values.map(at), { width: 0, opacity: 0 }), ...seedSymbols(mark) },
        plot(ends, { color: mark.colour, width: 2 }),
        { ...plot(Number.isFinite(value) ? [at(value)] : [], { width: 0 }), ...symbolSeries(mark, 9), z: 4 },
      ].filter(({ data }) => (data as unknown[]).length > 0)
    }),
  )
  return draw(frame, {
    grid: { outerBoundsMode: 'none', left, right: 14, top: 6, bottom: 38 },
    xAxis: {
      ...horizontal.axis,
      name: printable(axis.name),
      nameLocation: 'middle',
      nameGap: 24,
      nameTextStyle: label,
      axisLine: { show: true, onZero: false, lineStyle: { color: muted } },
      splitLine: { lineStyle: { color: rule } },
    },
    yAxis: {
      type: 'category',
      inverse: true,
      data: rows.map(({ name }) => printable(shorten(name, most))),
      axisLine: { show: false, onZero: false },
      axisTick: { show: false },
      axisLabel: { ...label, color: ink, interval: 0 },
    },
    series: reference === undefined ? series : [...series, referenceSeries(horizontal.place(reference))],
  })
}

function seedSymbols({ colour }: Mark): LineSeriesOption {
  const itemStyle = { color: 'none', borderColor: colour, borderWidth: 1, opacity: 0.6 }
  return { showSymbol: true, showAllSymbol: true, symbol: 'circle', symbolSize: 4.5, itemStyle }
}

function referenceSeries(value: Place): LineSeriesOption {
  return {
    type: 'line',
    data: [],
    markLine: {
      silent: true,
      symbol: 'none',
      animation: false,
      label: { show: false },
      lineStyle: { type: 'dashed', color: muted, width: 1.25 },
      data: [{ xAxis: value }],
    },
  }
}

/**
 * The axis' options, where on it a value stands, and its labels.
 *
 * ECharts is given places from 0 to 1 and our ticks: its own search for round ends refuses some ranges, and its logarithmic
 * axis labels powers of its base only.
 */
function numericAxis(axis: Axis, values: readonly number[], about: number) {
  const usable = values.filter((value) => Number.isFinite(value) && (!axis.logarithmic || value > 0))
  const fallback = axis.logarithmic ? 1 : 0
  const least = usable.reduce((low, value) => Math.min(low, value), Infinity)
  const most = usable.reduce((high, value) => Math.max(high, value), -Infinity)
  const [first, last] = usable.length > 0 ? [least, most] : [fallback, fallback + 1]
  const ends = axis.logarithmic ? roomLogarithmic(first, last) : room(first, last)
  const given = (end: number | undefined, other: number) => (end !== undefined && Number.isFinite(end) ? end : other)
  const [low, high] = [given(axis.low, ends[0]), given(axis.high, ends[1])]
  const ticks = axis.ticks ?? (axis.logarithmic ? logarithmicTicks(low, high, about) : linearTicks(low, high, about))
  const format = axis.format ?? ((value: number) => tickLabel(value).replace('-', '\u2212'))
  const scale = axis.logarithmic ? Math.log10 : (value: number) => value
  const place = (value: number): Place => {
    const at = (scale(value) - scale(low)) / (scale(high) - scale(low))
    return Number.isFinite(at) ? at : '-'
  }
  const labelled = ticks.flatMap((tick): [number, string][] => {
    const at = place(tick)
    return at !== '-' && at >= -1e-9 && at <= 1 + 1e-9 ? [[Math.min(Math.max(at, 0), 1), format(tick)]] : []
  })
  const places = labelled.map(([at]) => at)
  const labels = new Map(labelled)
  const options = {
    type: 'value' as const,
    min: 0,
    max: 1,
    axisTick: { show: true, lineStyle: { color: muted }, customValues: places },
    axisLabel: {
      ...label,
      hideOverlap: true,
      customValues: places,
      formatter: (at: number) => labels.get(at) ?? '',
    },
  } satisfies Option['xAxis']
  return { axis: options, place, labels: labelled.map(([, text]) => text) }
}

function room(first: number, last: number): [number, number] {
  const margin = first === last ? Math.abs(first) * 0.1 || 1 : (last - first) * 0.06
  // An axis of values that are never negative does not begin below zero.
  return [first >= 0 && first - margin < 0 ? 0 : first - margin, last + margin]
}

function roomLogarithmic(first: number, last: number): [number, number] {
  const factor = first === last ? 2 : (last / first) ** 0.06
  // Numbers near the ends of what a float64 holds stay within them.
  return [Math.max(first / factor, Number.MIN_VALUE), Math.min(last * factor, Number.MAX_VALUE)]
}

/** 1, 2 or 5 times a power of ten apart, about so many of them. */
export function linearTicks(low: number, high: number, about: number): number[] {
  const rough = (high - low) / about
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999)!
  const first = Math.ceil(low / step - 1e-9)
  const count = Math.floor(high / step + 1e-9) - first + 1
  return Array.from({ length: Math.max(count, 0) }, (_, index) => Number(((first + index) * step).toPrecision(12)))
}

/** Powers of ten, with their doubles and fivefolds where there is room; a narrow range has linear ticks. */
export function logarithmicTicks(low: number, high: number, about: number): number[] {
  const decades = Math.log10(high / low)
  if (decades < 0.7) return linearTicks(low, high, about)
  const fits = (factors: number[]) => decades * factors.length <= about + 2
  const factors = [
    [1, 2, 3, 4, 6, 8],
    [1, 2, 5],
    [1, 3],
  ].find(fits) ?? [1]
  const every = Math.max(1, Math.ceil(decades / about))
  const ticks: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    if (power % every !== 0) continue
    for (const factor of factors) {
      const tick = Number((factor * 10 ** power).toPrecision(12))
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick)
    }
  }
  return ticks
}

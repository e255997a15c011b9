/** Lines and heat maps of the pages, as SVG files with a background of their own, drawn by Apache ECharts. */
import { BarChart, HeatmapChart, LineChart, ScatterChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent, VisualMapComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

use([
  BarChart,
  HeatmapChart,
  LineChart,
  ScatterChart,
  GridComponent,
  LegendComponent,
  TitleComponent,
  VisualMapComponent,
  SVGRenderer,
])

const ink = '#1f2933'
const muted = '#52606d'
const rule = '#d9dee4'
const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
/** Told apart by those who see no red or green, too (Okabe and Ito 2008). */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
const WIDTH = 720

const text = { color: muted, fontSize: 12, fontFamily: FONT }
const strong = { ...text, color: ink, fontWeight: 'bold' as const }

export interface Series {
  name?: string
  /** y, at x = 0, 1, 2, ...; or pairs [x, y]. */
  values: ArrayLike<number> | readonly (readonly [x: number, y: number])[]
  /** Points without a line, or a dashed line. */
  style?: 'line' | 'dashed' | 'points'
}

export interface LineChartOptions {
  title?: string
  /** What the axes show, with its unit. */
  x: string
  y: string
  series: readonly Series[]
  logX?: boolean
  logY?: boolean
  /** Ends of the axes, where the data's own do not serve. */
  xRange?: readonly [from: number, to: number]
  yRange?: readonly [from: number, to: number]
  height?: number
}

const legendIcons = { line: 'rect', dashed: 'path://M0 0h8v4h-8z M14 0h8v4h-8z', points: 'circle' }

const legendAt = (title: string | undefined, names: readonly (string | undefined)[]) => ({
  top: title ? 36 : 12,
  left: 12,
  // Without a browser, the widths of texts are guesses.
  itemGap: 18 + 0.6 * Math.max(...names.map((name = '') => name.length)),
  textStyle: { ...text, color: ink },
})

/** Title, legend and room of a chart with axes. */
function frame(title: string | undefined, series: readonly { name?: string }[], legend: object = {}) {
  const names = series.map(({ name }) => name)
  const named = names.some((name) => name)
  return {
    title: title ? { text: title, left: 12, top: 10, textStyle: { ...strong, fontSize: 14 } } : undefined,
    legend: named ? { ...legendAt(title, names), ...legend } : undefined,
    grid: {
      left: 58,
      right: 24,
      top: 14 + (title ? 26 : 0) + (named ? 30 : 0) + 20,
      bottom: 46,
      outerBoundsMode: 'none' as const,
    },
  }
}

/** The name of a vertical axis, above it. */
const upright = (name: string) => ({
  name,
  nameTextStyle: { ...text, align: 'left' as const, padding: [0, 0, 0, -46] },
})

/** 0.01, 100, 1e-6 */
const power = (value: number) => {
  const short = rounded(value)
  return short >= 0.01 && short <= 1000 ? String(short) : short.toExponential()
}

/** A picture is the same wherever the numbers are, but for their last digits. */
const rounded = (value: number): number => Number(value.toPrecision(5))

const pairs = (values: Series['values']): [number, number][] =>
  Array.from(values as ArrayLike<number | readonly [number, number]>, (value, i) =>
    typeof value === 'number' ? [i, rounded(value)] : [rounded(value[0]), rounded(value[1])],
  )

/**
 * Curves over one axis.
 *
 * @example
 * lineChart({ x: 'step', y: 'loss', series: [{ name: 'gated', values: losses }] })
 */
export function lineChart({ title, x, y, series, height = 320, ...options }: LineChartOptions): string {
  const axis = (logarithmic: boolean | undefined, range: readonly [number, number] | undefined) => ({
    type: logarithmic ? ('log' as const) : ('value' as const),
    scale: true,
    min: range?.[0],
    max: range?.[1],
    nameTextStyle: text,
    // Of a logarithmic axis, in powers of ten.
    interval: logarithmic && range ? Math.ceil(Math.log10(range[1] / range[0]) / 7) : undefined,
    axisLabel: { ...text, hideOverlap: true, formatter: logarithmic ? power : undefined },
    axisLine: { show: true, onZero: false, lineStyle: { color: muted } },
    splitLine: { lineStyle: { color: rule } },
  })
  const whole = series.every(({ values }) => pairs(values).every(([at]) => Number.isInteger(at)))
  return draw(WIDTH, height, {
    ...frame(title, series, {
      itemHeight: 4,
      data: series.flatMap(({ name, style = 'line' }) => (name ? [{ name, icon: legendIcons[style] }] : [])),
    }),
    xAxis: {
      ...axis(options.logX, options.xRange),
      minInterval: whole ? 1 : undefined,
      name: x,
      nameLocation: 'middle',
      nameGap: 28,
    },
    yAxis: {
      ...axis(options.logY, options.yRange),
      ...upright(y),
    },
    series: series.map(({ name, values, style = 'line' }, i) => ({
      name,
      type: style === 'points' ? 'scatter' : 'line',
      data: pairs(values),
      symbol: style === 'points' ? 'circle' : 'none',
      symbolSize: 8,
      itemStyle: { color: colours[i % colours.length] },
      lineStyle: { width: 2, type: style === 'dashed' ? 'dashed' : 'solid' },
    })),
  })
}

export interface BarChartOptions {
  title?: string
  x: string
  y: string
  categories: readonly string[]
  series: readonly { name?: string; values: ArrayLike<number> }[]
  yRange?: readonly [from: number, to: number]
  height?: number
}

/** Bars side by side in each category. */
export function barChart({ title, x, y, categories, series, yRange, height = 300 }: BarChartOptions): string {
  return draw(WIDTH, height, {
    ...frame(title, series),
    xAxis: {
      type: 'category',
      data: [...categories],
      name: x,
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: text,
      axisLabel: { ...text, color: ink, hideOverlap: true },
      axisTick: { show: false },
      axisLine: { lineStyle: { color: muted } },
    },
    yAxis: {
      type: 'value',
      min: yRange?.[0],
      max: yRange?.[1],
      ...upright(y),
      axisLabel: text,
      splitLine: { lineStyle: { color: rule } },
    },
    series: series.map(({ name, values }, i) => ({
      name,
      type: 'bar',
      data: Array.from(values, rounded),
      itemStyle: { color: colours[i % colours.length] },
      barMaxWidth: 40,
    })),
  })
}

export interface HeatMap {
  title?: string
  /** Rows from top to bottom; NaN is left empty. */
  values: readonly ArrayLike<number>[]
  /** What the columns and rows are, and the label of each where it has one. */
  x?: string
  y?: string
  xLabels?: readonly string[]
  yLabels?: readonly string[]
  /** Cells with a dot: dark, or white with a dark edge. */
  marks?: readonly { row: number; column: number; open?: boolean }[]
}

export interface HeatMapOptions {
  /** The ends of the colour scale, the same for all maps: the smallest and largest value unless given. */
  range?: readonly [from: number, to: number]
  /** What a colour means. */
  unit?: string
  /** Light to dark for amounts, blue over white to red for values of either sign; by the range unless given. */
  scale?: 'amount' | 'signed'
  /** Maps in a row: as many as there are, up to 4. */
  columns?: number
  /** Writes every value in its cell, with so many decimals. */
  decimals?: number
  /** Pixels of a cell; as fits the width unless given. */
  cell?: number
}

const scales = {
  amount: ['#f7fbff', '#c6dbef', '#6baed6', '#2171b5', '#08306b'],
  signed: ['#2166ac', '#92c5de', '#f7f7f7', '#f4a582', '#b2182b'],
}

/**
 * Matrices as coloured cells, side by side under one scale.
 *
 * @example
 * heatMaps([{ title: 'head 0', values: weights, x: 'attended to', y: 'from' }], { range: [0, 1] })
 */
export function heatMaps(maps: readonly HeatMap[], options: HeatMapOptions = {}): string {
  const columns = Math.min(options.columns ?? 4, maps.length)
  const rows = Math.ceil(maps.length / columns)
  const all = maps.flatMap(({ values }) => values.flatMap((row) => Array.from(row))).filter(Number.isFinite)
  const found: [number, number] = [Math.min(...all), Math.max(...all)]
  const kind = options.scale ?? ((options.range ?? found)[0] < 0 ? 'signed' : 'amount')
  const reach = Math.max(Math.abs(found[0]), Math.abs(found[1]))
  const [from, to] = (options.range ?? (kind === 'signed' ? [-reach, reach] : found)).map(rounded)

  const wide = Math.max(...maps.map(({ values }) => values[0]?.length ?? 0))
  const high = Math.max(...maps.map(({ values }) => values.length))
  const widest = (labels: readonly string[] = []) => Math.max(0, ...labels.map((label) => 7 * label.length))
  const left = 22 + Math.max(...maps.map(({ y, yLabels }) => (y ? 20 : 0) + widest(yLabels)))
  const right = 14
  const room = (WIDTH - 16) / columns - left - right
  const cell = options.cell ?? Math.max(4, Math.min(34, room / wide, 420 / high))
  const [width, height] = [cell * wide, cell * high]
  const above = maps.some(({ title }) => title) ? 34 : 14
  const below = Math.max(...maps.map(({ x, xLabels }) => (x ? 22 : 0) + (xLabels ? 18 : 0))) + 10
  const legend = 58
  const total = rows * (above + height + below) + legend
  const place = (i: number) => ({
    left: 8 + (i % columns) * (left + width + right) + left,
    top: Math.floor(i / columns) * (above + height + below) + above,
  })
  const axis = (name: string | undefined, labels: readonly string[] | undefined, n: number, gap: number) => ({
    type: 'category' as const,
    data: Array.from({ length: n }, (_, i) => labels?.[i] ?? String(i)),
    name,
    nameLocation: 'middle' as const,
    nameGap: gap,
    nameTextStyle: text,
    axisLabel: { ...text, show: labels !== undefined, interval: 0, hideOverlap: true, margin: 5 },
    axisTick: { show: false },
    axisLine: { show: false },
  })
  return draw(Math.max(Math.ceil(16 + columns * (left + width + right)), 280), Math.ceil(total), {
    title: maps.map(({ title }, i) => ({
      text: title ?? '',
      left: place(i).left - 4,
      top: place(i).top - 26,
      textStyle: { ...strong, fontSize: 13 },
    })),
    grid: maps.map(({ values }, i) => ({
      ...place(i),
      width: cell * (values[0]?.length ?? 0),
      height: cell * values.length,
      outerBoundsMode: 'none',
      show: true,
      // What is masked is not a small value.
      backgroundColor: '#e4e8ed',
      borderColor: '#9aa5b1',
    })),
    xAxis: maps.map(({ x, xLabels, values }, i) => ({
      ...axis(x, xLabels, values[0]?.length ?? 0, xLabels ? 24 : 8),
      gridIndex: i,
    })),
    yAxis: maps.map(({ y, yLabels, values }, i) => ({
      ...axis(y, yLabels, values.length, 10 + widest(yLabels)),
      gridIndex: i,
      inverse: true,
    })),
    visualMap: {
      seriesIndex: maps.map((_, i) => 2 * i),
      min: from,
      max: to,
      calculable: false,
      orient: 'horizontal',
      left: 12,
      bottom: 12,
      itemWidth: 12,
      itemHeight: 140,
      text: [`${to}${options.unit ? `  ${options.unit}` : ''}`, String(from)],
      textStyle: text,
      inRange: { color: scales[kind] },
    },
    series: maps.flatMap(({ values, marks = [] }, i) => [
      {
        type: 'heatmap',
        xAxisIndex: i,
        yAxisIndex: i,
        data: values.flatMap((row, r) =>
          Array.from(row, (value, c): [number, number, number] => [c, r, rounded(value)]).filter(([, , value]) =>
            Number.isFinite(value),
          ),
        ),
        label: {
          show: options.decimals !== undefined,
          fontSize: 11,
          fontFamily: FONT,
          formatter: ({ value }: { value: number[] }) => value[2].toFixed(options.decimals),
        },
        itemStyle: { borderWidth: cell >= 14 ? 0.5 : 0, borderColor: '#ffffff' },
      },
      {
        type: 'scatter',
        xAxisIndex: i,
        yAxisIndex: i,
        symbolSize: Math.min(9, cell),
        data: marks.map(({ row, column, open }) => ({
          value: [column, row],
          itemStyle: { color: open ? '#ffffff' : ink, borderColor: ink, borderWidth: 1, opacity: 1 },
        })),
      },
    ]),
  })
}

function draw(width: number, height: number, option: Parameters<ReturnType<typeof init>['setOption']>[0]): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption({ animation: false, backgroundColor: '#fbfcfd', ...option })
    return tidy(chart.renderToSVGString())
  } finally {
    chart.dispose()
  }
}

/** Takes out what only interaction needs, the count of drawings that this process made, and what is said again for every cell. */
function tidy(svg: string): string {
  return `${svg
    .replace(/<style ?><!\[CDATA\[[^<]*\]\]>\s*<\/style>/g, '')
    .replace(/<[^>]+>/g, (tag) =>
      tag
        .replace(/ (?:ecmeta_\w+|pointer-events|class|baseProfile|version|xmlns:xlink)="[^"]*"/g, '')
        .replace(/ stroke="[^"]*" stroke-width="0"/, '')
        .replace(`font-family:${FONT};`, '')
        .replace(/^<svg /, `<svg font-family="${FONT}" `)
        .replace(/zr\d+-/g, 'z-'),
    )
    .replace(/><\/(?:path|rect|circle)>/g, '/>')
    .replace(/\n\s*/g, '\n')
    .trim()}\n`
}

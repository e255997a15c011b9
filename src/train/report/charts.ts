/**
 * The report's charts: plain numbers in, a static SVG as a string out.
 *
 * This is the only file that imports ECharts, as it is bundled when the package is built; other reports draw their own
 * charts with `draw` from here. Charts are drawn in ECharts' server-side mode, without a DOM. Colours are CSS variables
 * of the page, so that one drawing serves light and dark. What a user wrote reaches a chart only as a label, which
 * ECharts escapes.
 */
import { BarChart, type BarSeriesOption, LineChart, type LineSeriesOption } from 'echarts/charts'
import {
  GridComponent,
  type GridComponentOption,
  MarkLineComponent,
  type MarkLineComponentOption,
} from 'echarts/components'
import { type ComposeOption, init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import { formatCompact, formatInteger } from './format.ts'
import { escapeText, printable } from './markup.ts'

use([LineChart, BarChart, GridComponent, MarkLineComponent, SVGRenderer])

/** What `draw` takes: ECharts' options for the kinds of charts that are loaded here. */
export type Option = ComposeOption<BarSeriesOption | LineSeriesOption | GridComponentOption | MarkLineComponentOption>

/** Where a chart goes: `id` is unique in the page (letters, digits, dashes), `label` is read aloud in its place. */
export interface Frame {
  id: string
  label: string
  width: number
  height: number
}

/** A horizontal line at a value that the data is compared with. */
export interface ReferenceLine {
  name: string
  value: number
}

export interface LossSeries {
  colour: string
  raw: [step: number, loss: number][]
  smoothed: [step: number, loss: number][]
  heldOut: [step: number, loss: number][]
}

export interface BarGroups {
  /** First and second row of labels: `items` repeat within each of `groups`. */
  groups: string[]
  items: string[]
  /** One value for each item of each group, in that order; null where there is nothing to draw. */
  series: { colour: string; values: (number | null)[] }[]
  /** Values of dashed lines across all groups; the legend names them. */
  references: number[]
}

export const ink = 'var(--ink)'
export const muted = 'var(--muted)'
export const rule = 'var(--rule)'
/** How labels of axes are written. */
export const label = { color: muted, fontSize: 12 }

/** Loss over steps: raw values faint, smoothed strong, held-out points, baselines dashed; cut off outside `range`. */
export function lossChart(
  frame: Frame,
  runs: LossSeries[],
  { baselines, unit, range }: { baselines: ReferenceLine[]; unit: string; range?: [bottom: number, top: number] },
): string {
  const series: LineSeriesOption[] = [
    ...runs.map(({ raw, colour }) => line(raw, { color: colour, width: 1, opacity: 0.28 }, 'minmax')),
    ...runs.map(({ smoothed, colour }) => line(smoothed, { color: colour, width: 2.25 }, 'lttb')),
    ...runs.map(({ heldOut, colour }) => ({
      ...line(heldOut, { color: colour, width: 0, opacity: 0 }),
      showSymbol: true,
      showAllSymbol: true,
      symbol: 'circle',
      symbolSize: heldOut.length > 30 ? 5 : 7,
      itemStyle: { color: 'var(--paper)', borderColor: colour, borderWidth: 1.75 },
    })),
    ...baselines.map((baseline) => referenceLine(baseline, 0)),
  ]
  return draw(frame, {
    grid: { outerBoundsMode: 'none', left: 46, right: 6, top: 28, bottom: 44 },
    xAxis: stepAxis(frame),
    yAxis: {
      ...valueAxis(),
      scale: true,
      min: range?.[0],
      max: range?.[1],
      name: printable(unit),
      nameTextStyle: axisName(46),
    },
    series,
  })
}

/** Learning rate over steps. */
export function learningRateChart(
  frame: Frame,
  runs: { colour: string; points: [step: number, value: number][] }[],
): string {
  return draw(frame, {
    grid: { outerBoundsMode: 'none', left: 62, right: 2, top: 28, bottom: 44 },
    xAxis: stepAxis(frame),
    yAxis: { ...valueAxis(), min: 0, splitNumber: 3, name: 'learning rate', nameTextStyle: axisName(62) },
    series: runs.map(({ points, colour }) => line(points, { color: colour, width: 2 }, 'lttb')),
  })
}

/** Bars side by side for each item of each group, under dashed reference lines. */
export function groupedBarChart(frame: Frame, { groups, items, series, references }: BarGroups, name: string): string {
  const single = items.length <= 1
  const places = groups.length * Math.max(items.length, 1)
  const room = (frame.width - 60) / places
  const categories = single ? groups : groups.flatMap(() => items)
  const groupAxis = {
    type: 'category' as const,
    position: 'bottom' as const,
    offset: room < 14 ? 4 : 22,
    data: groups,
    axisLine: { show: false },
    axisTick: { show: true, length: room < 14 ? 8 : 24, inside: true, lineStyle: { color: rule } },
    axisLabel: { ...label, color: ink, hideOverlap: true, margin: 8 },
  }
  const itemAxis = {
    type: 'category' as const,
    data: categories,
    axisLine: { lineStyle: { color: muted } },
    axisTick: { show: false },
    axisLabel: { ...label, show: single || room >= 14, interval: single ? ('auto' as const) : 0, margin: 7 },
  }
  return draw(frame, {
    grid: { outerBoundsMode: 'none', left: 46, right: 2, top: 28, bottom: single ? 28 : 48 },
    xAxis: single ? itemAxis : [itemAxis, groupAxis],
    yAxis: { ...valueAxis(), splitNumber: 4, name, nameTextStyle: axisName(46) },
    series: [
      ...series.map(({ colour, values }) => ({
        type: 'bar' as const,
        silent: true,
        data: values.map((value) => value ?? '-'),
        itemStyle: { color: colour },
        barGap: '12%',
        barCategoryGap: '28%',
        barMaxWidth: 36,
      })),
      ...references.map((value) => referenceLine({ name: '', value }, categories[0] ?? 0)),
    ],
  })
}

/** A histogram of shares on [0, 1] in equal bins, with the mean marked; `top` is the y axis' end. */
export function histogramChart(
  frame: Frame,
  { shares, mean, colour, top }: { shares: number[]; mean: number; colour: string; top: number },
): string {
  const meanLine: LineSeriesOption = {
    ...line([[0, 0]], { opacity: 0 }),
    xAxisIndex: 1,
    markLine: {
      ...markLineStyle,
      lineStyle: { type: 'dashed', color: ink, width: 1 },
      label: {
        ...label,
        color: ink,
        position: 'end',
        distance: 3,
        align: mean > 0.75 ? 'right' : mean < 0.25 ? 'left' : 'center',
        formatter: () => `mean ${mean.toFixed(2)}`,
      },
      data: [{ xAxis: mean }],
    },
  }
  return draw(frame, {
    grid: { outerBoundsMode: 'none', left: 42, right: 12, top: 22, bottom: 26 },
    xAxis: [
      { type: 'category', data: shares.map((_, bin) => bin), show: false },
      {
        type: 'value',
        position: 'bottom',
        min: 0,
        max: 1,
        interval: 0.25,
        axisLine: { show: true, lineStyle: { color: muted } },
        axisTick: { show: true, lineStyle: { color: muted } },
        splitLine: { show: false },
        axisLabel: label,
      },
    ],
    yAxis: {
      ...valueAxis(),
      min: 0,
      max: top,
      interval: top / 2,
      axisLabel: { ...label, formatter: (share: number) => `${Number((share * 100).toFixed(1))}%` },
    },
    series: [
      { type: 'bar', silent: true, data: shares, itemStyle: { color: colour }, barCategoryGap: '8%' },
      ...(Number.isFinite(mean) ? [meanLine] : []),
    ],
  })
}

/** The y axis' name stands above it, flush with the chart's left edge, `left` pixels from the axis. */
export function axisName(left: number) {
  return { ...label, align: 'left' as const, padding: [0, 0, 0, -left] }
}

/** A vertical axis without a line of its own. */
function valueAxis() {
  return {
    type: 'value' as const,
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: rule } },
    axisLabel: { ...label, formatter: tickLabel },
  }
}

/** 0.05, 1.5, 800, 20k: short enough for the room left of the axis. */
export function tickLabel(value: number): string {
  return Math.abs(value) >= 1000 ? formatCompact(value) : `${Number(value.toPrecision(4))}`
}

function stepAxis({ width }: Frame) {
  return {
    type: 'value' as const,
    min: ({ min, max }: { min: number; max: number }) => (min < max / 20 ? Math.min(min, 0) : min),
    max: 'dataMax' as const,
    splitNumber: width < 500 ? 5 : 8,
    name: 'step',
    nameLocation: 'middle' as const,
    nameGap: 26,
    nameTextStyle: label,
    axisLine: { show: true, onZero: false, lineStyle: { color: muted } },
    axisTick: { show: true, lineStyle: { color: muted } },
    splitLine: { show: false },
    axisLabel: {
      ...label,
      hideOverlap: true,
      showMaxLabel: true,
      alignMaxLabel: 'right' as const,
      formatter: (step: number) => formatInteger(step),
    },
  }
}

/** A line without symbols. */
export function line(
  data: [number, number][],
  lineStyle: LineSeriesOption['lineStyle'],
  sampling?: 'minmax' | 'lttb',
): LineSeriesOption {
  return { type: 'line', silent: true, showSymbol: false, data, lineStyle, sampling }
}

const markLineStyle = { silent: true, symbol: 'none' as const, animation: false }

/** A reference line, carried by an invisible point so that the axis reaches it. */
function referenceLine({ name, value }: ReferenceLine, at: number | string): LineSeriesOption {
  return {
    type: 'line',
    silent: true,
    showSymbol: false,
    data: [[at, value]],
    markLine: {
      ...markLineStyle,
      lineStyle: { type: 'dashed', color: muted, width: 1.25 },
      label: {
        ...label,
        show: name !== '',
        position: 'insideEndTop',
        distance: [2, 4],
        formatter: () => printable(name),
        textBorderColor: 'var(--paper)',
        textBorderWidth: 3,
      },
      data: [{ yAxis: value }],
    },
  }
}

/** Draws without animation or interaction, and takes out of the SVG what only interaction needs. */
export function draw({ id, label: spoken, width, height }: Frame, option: Option): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily: 'inherit' }, ...option })
    return tidy(chart.renderToSVGString(), id, spoken)
  } finally {
    chart.dispose()
  }
}

/** Only tags are rewritten: between them is text, where a user's words may look like anything. */
function tidy(svg: string, id: string, spoken: string): string {
  return svg
    .replace(/<style ?><!\[CDATA\[[^<]*\]\]>\s*<\/style>/g, '')
    .replace(/<[^>]+>/g, (tag) =>
      tag
        .replace(/ (?:ecmeta_\w+|pointer-events|class|baseProfile|version|xmlns:xlink)="[^"]*"/g, '')
        // ECharts counts its drawings over the life of the process; the same data must give the same file.
        .replace(/zr\d+-/g, `${id}-`)
        .replace(/^<svg /, () => `<svg role="img" aria-label="${escapeText(spoken)}" `),
    )
    .replace(/\n\s*/g, '\n')
    .trim()
}

/** The plot of `npm run bench:length`: time per token over length, both axes logarithmic. */
import { LineChart } from 'echarts/charts'
import { GridComponent, TitleComponent } from 'echarts/components'
import { init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'
import type { LengthTime } from './length.ts'

use([LineChart, GridComponent, TitleComponent, SVGRenderer])

/** An SVG on white, which reads well on a page of either colour and on paper. */
export function lengthChart(times: readonly LengthTime[]): string {
  const names = [...new Set(times.map(({ layer }) => layer))]
  const lengths = [...new Set(times.map(({ length }) => length))]
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 720, height: 420 })
  chart.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: 'A layer forward and backward: time per token', left: 12, top: 8, textStyle: { fontSize: 15 } },
    grid: { left: 64, right: 130, top: 76, bottom: 48 },
    xAxis: {
      type: 'category',
      data: lengths.map(String),
      name: 'tokens in the sequence, T',
      nameLocation: 'middle',
      nameGap: 30,
    },
    yAxis: {
      type: 'log',
      logBase: 2,
      min: ({ min }: { min: number }) => 2 ** Math.floor(Math.log2(min)),
      name: 'microseconds a token',
      nameTextStyle: { align: 'left', padding: [0, 0, 0, -50] },
    },
    series: names.map((name, i) => ({
      name,
      type: 'line',
      symbol: i === 0 ? 'circle' : 'diamond',
      symbolSize: 8,
      endLabel: { show: true, formatter: name, distance: 10 },
      color: ['#b3541e', '#1f6f8b'][i],
      data: times.filter(({ layer }) => layer === name).map((t) => t.microsecondsPerToken),
    })),
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

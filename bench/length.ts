/**
 * `npm run bench:length`: a layer's training pass at growing length, attention beside Gated DeltaNet.
 *
 * Attention's time per token grows with the length; the delta rule's stays, since its state has one size. Both layers
 * have the same width and heads, and go forward and backward as captured programs.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { capture, manualSeed, randn, scope } from '../src/index.ts'
import { GatedAttention, GatedDeltaNet, type Module } from '../src/nn/index.ts'
import type { Tensor } from '../src/tensor/tensor.ts'
import { setUpCpu } from './cpu.ts'
import { lengthChart } from './length-chart.ts'
import { showMachine, thisMachine } from './machine.ts'
import { median } from './median.ts'
import { json, positiveInteger, positiveIntegerOr } from './options.ts'
import { formatTable } from './table.ts'

const [width, heads] = [128, 4]

interface Layer extends Module {
  forward(x: Tensor): Tensor
}

const layers: Readonly<Record<string, () => Layer>> = {
  'gated attention': () => new GatedAttention({ width, heads, gate: 'headwise' }),
  'Gated DeltaNet': () =>
    new GatedDeltaNet({
      width,
      keyHeads: heads,
      valueHeads: heads,
      keyWidth: width / heads,
      valueWidth: width / heads,
    }),
}

/** One layer at one length, batch 1. */
export interface LengthTime {
  readonly layer: string
  /** T */
  readonly length: number
  /** Median time of a pass forward and backward, in milliseconds. */
  readonly milliseconds: number
  readonly microsecondsPerToken: number
}

/** @param passes measured, after two that warm up */
function measure(layer: string, length: number, passes: number): LengthTime {
  manualSeed(1)
  const module = layers[layer]()
  const x = randn([1, length, width])
  const program = capture((input: Tensor) => {
    const loss = module.forward(input).square().mean()
    loss.backward()
    for (const parameter of module.parameters()) {
      parameter.grad?.dispose()
      parameter.grad = null
    }
    return loss
  })
  const times: number[] = []
  for (let pass = -2; pass < passes; pass++) {
    const start = performance.now()
    scope(() => void program(x))
    if (pass >= 0) times.push(performance.now() - start)
  }
  program.dispose()
  module.dispose()
  x.dispose()
  const milliseconds = median(times)
  return { layer, length, milliseconds, microsecondsPerToken: (1000 * milliseconds) / length }
}

const { values } = parseArgs({
  options: {
    threads: { type: 'string' },
    simd: { type: 'string' },
    longest: { type: 'string', default: '8192' },
    passes: { type: 'string', default: '7' },
    out: { type: 'string', default: join('bench', 'results') },
  },
})
const longest = positiveInteger('longest', values.longest)
const passes = positiveInteger('passes', values.passes)
const cpu = setUpCpu({ threads: positiveIntegerOr('threads', values.threads, undefined), simd: values.simd })
const machine = { ...thisMachine(), ...cpu }
console.log(`${showMachine(machine)}; ${cpu.threads} threads, SIMD ${cpu.simd}`)
const times: LengthTime[] = []
for (let length = 128; length <= longest; length *= 2) {
  // In turns, so that a drift of the machine's speed touches both.
  for (const layer of Object.keys(layers)) times.push(measure(layer, length, passes))
}
console.log(
  formatTable(
    ['layer', 'T', 'ms', 'us a token'],
    times.map((t) => [t.layer, String(t.length), t.milliseconds.toFixed(2), t.microsecondsPerToken.toFixed(2)]),
  ),
)
await mkdir(values.out, { recursive: true })
const path = join(values.out, `${machine.date.slice(0, 10)}-length`)
await writeFile(`${path}.json`, json({ machine, times }))
await writeFile(`${path}.svg`, lengthChart(times))
console.log(`${path}.json, ${path}.svg`)

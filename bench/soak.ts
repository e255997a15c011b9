/**
 * Many steps of training, and what they leave behind: what the device and the process hold after a tenth of them and after
 * the last must be the same, or less.
 *
 *   npm run bench:soak -- --device webgpu --steps 10000 --mode both
 */
import { parseArgs } from 'node:util'
import { setDevice } from '../src/index.ts'
import { oneOf, positiveInteger, positiveIntegerOr } from './options.ts'
import { growth, type Soaked, type SoakMode, soak, soakModels } from './soak/soak.ts'
import { formatTable } from './table.ts'

const usage = `usage: npm run bench:soak -- [options]

  --device NAME   webgpu (default), cpu or reference
  --config NAME   ${soakModels.join(', ')} (default tiny)
  --steps N       default 10000
  --mode MODE     eager, captured or both (default): N steps of each
  --batch B       sequences a step, where the model's own number takes too long
  --json          prints what was seen, one line of JSON a mode, and no table`

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'webgpu' },
    config: { type: 'string', default: 'tiny' },
    steps: { type: 'string', default: '10000' },
    mode: { type: 'string', default: 'both' },
    batch: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function row(soaked: Soaked, when: 'settled' | 'end'): (string | number)[] {
  const { counts, memory } = soaked[when]
  const step = when === 'settled' ? soaked.settledStep : soaked.steps
  const kilobytes = (bytes: number | undefined) => (bytes === undefined ? '-' : Math.round(bytes / 1000))
  return [
    soaked.mode,
    `step ${step}`,
    counts.buffers,
    counts.bytes,
    counts.blocks,
    counts.heldBytes,
    counts.processThreads,
    kilobytes(memory?.heapUsed),
    kilobytes(memory?.arrayBuffers),
  ]
}

if (values.help) {
  console.log(usage)
} else {
  const steps = positiveInteger('steps', values.steps)
  const model = oneOf('config', values.config, soakModels)
  const mode = oneOf('mode', values.mode, ['eager', 'captured', 'both'] as const)
  const B = positiveIntegerOr('batch', values.batch, undefined)
  const device = await setDevice(values.device)
  const rows: (string | number)[][] = []
  for (const each of mode === 'both' ? (['eager', 'captured'] as const) : ([mode] satisfies SoakMode[])) {
    const progress = (step: number, loss: number) => console.error(`${each}: step ${step}, loss ${loss.toFixed(4)}`)
    const soaked = await soak(device, { model, mode: each, steps, B, progress })
    const grown = growth(soaked)
    if (grown.length > 0) process.exitCode = 1
    rows.push(row(soaked, 'settled'), row(soaked, 'end'))
    const { seconds, lastLoss } = soaked
    if (values.json) console.log(JSON.stringify(soaked))
    else
      console.log(
        `${each}: ${steps} steps in ${seconds.toFixed(0)} s, last loss ${lastLoss.toFixed(4)}: ` +
          (grown.length === 0 ? 'nothing more' : `MORE: ${grown.join('; ')}`),
      )
  }
  const headings = ['mode', 'after', 'buffers', 'bytes', 'blocks held', 'bytes held', 'threads', 'heap kB', 'arrays kB']
  if (!values.json) console.log(`\n${formatTable(headings, rows)}`)
}

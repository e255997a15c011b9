/**
 * Many steps of training, and what they leave behind: buffers, their bytes and the memory that the device holds, after
 * step 100 and after the last, must be the same.
 *
 *   npm run bench:soak -- --device webgpu --steps 10000 --mode both
 */
import { parseArgs } from 'node:util'
import { capture, scope, setDevice, type Tensor } from '../src/index.ts'
import { type HashModelName, hashBatch, hashModel, hashModelSizes } from './hash-model.ts'
import { formatTable } from './table.ts'

const usage = `usage: npm run bench:soak -- [options]

  --device NAME   webgpu (default), cpu or reference
  --config NAME   ${Object.keys(hashModelSizes).join(', ')} (default tiny)
  --steps N       default 10000
  --mode MODE     eager, captured or both (default): N steps of each
  --batch B       sequences a step, where the model's own number takes too long`

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'webgpu' },
    config: { type: 'string', default: 'tiny' },
    steps: { type: 'string', default: '10000' },
    mode: { type: 'string', default: 'both' },
    batch: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** After this many steps the buffers in use no longer change: caches are filled, and moments made. */
const SETTLED = 100

if (values.help) {
  console.log(usage)
} else {
  const steps = Number(values.steps)
  if (!Number.isSafeInteger(steps) || steps <= SETTLED) throw new Error(`--steps must be above ${SETTLED}`)
  if (!Object.hasOwn(hashModelSizes, values.config)) throw new Error(`there is no config '${values.config}'`)
  const own = hashModelSizes[values.config as HashModelName]
  const size = { ...own, B: values.batch ? Number(values.batch) : own.B }
  const device = await setDevice(values.device)
  const modes = values.mode === 'both' ? ['eager', 'captured'] : [values.mode]
  const rows: (string | number)[][] = []
  for (const mode of modes) {
    const { model, optimizer } = hashModel(size)
    const batches = Array.from({ length: 20 }, (_, i) => hashBatch(size, i))
    const body = (tokens: Tensor, targets: Tensor) => {
      const loss = model.loss(tokens, targets)
      loss.backward()
      optimizer.step()
      optimizer.zeroGrad()
      return loss
    }
    const program = capture(body)
    const snapshot = () => {
      const held =
        'pool' in device ? (device.pool as { statistics: { blocks: number; heldBytes: number } }).statistics : null
      return { ...device.statistics(), blocks: held?.blocks ?? 0, held: held?.heldBytes ?? 0 }
    }
    const start = performance.now()
    let settled = snapshot()
    let last = Number.NaN
    for (let step = 1; step <= steps; step++) {
      const { tokens, targets } = batches[step % batches.length]
      const loss = mode === 'captured' ? program(tokens, targets) : scope(() => body(tokens, targets))
      // Read now and then, as training does; the last one shows that the steps were real.
      if (step % 50 === 0 || step === steps) last = await loss.item()
      loss.dispose()
      if (step === SETTLED) settled = snapshot()
      if (step % 1000 === 0) console.error(`${mode}: step ${step}, loss ${last.toFixed(4)}`)
    }
    const end = snapshot()
    const same = JSON.stringify(end) === JSON.stringify(settled)
    if (!same) process.exitCode = 1
    const seconds = (performance.now() - start) / 1000
    for (const [when, seen] of [[`step ${SETTLED}`, settled] as const, [`step ${steps}`, end] as const]) {
      rows.push([mode, when, seen.buffers, seen.bytes, seen.blocks, seen.held])
    }
    console.log(
      `${mode}: ${steps} steps in ${seconds.toFixed(0)} s, last loss ${last.toFixed(4)}: ${same ? 'the same' : 'NOT THE SAME'}`,
    )
    program.dispose()
    optimizer.dispose()
    model.dispose()
    for (const { tokens, targets } of batches) {
      tokens.dispose()
      targets.dispose()
    }
  }
  console.log(`\n${formatTable(['mode', 'after', 'buffers', 'bytes', 'blocks held', 'bytes held'], rows)}`)
}

/**
 * Programs that run in turns in one process: trainings, eager and captured, and readers, on two devices. Whatever the turns,
 * each must come to the bits that it comes to alone.
 *
 * A program begins a reading where its own text says, and gets the values when the scheduler hands them over; in between the
 * others go on, and take the memory that it gave back.
 */
import fc from 'fast-check'
import { findDevice } from '../../../src/device/registry.ts'
import { capture, manualSeed, scope, type Tensor, tensor } from '../../../src/index.ts'
import { Transformer } from '../../../src/nn/index.ts'
import { AdamW, decayGroups } from '../../../src/optim/index.ts'
import { Generator } from '../../../src/tensor/random.ts'
import { openSession } from '../../../src/train/session.ts'
import { trainingStep } from '../../hash-model.ts'

/** Hands the values of a reading over, now or when it is their turn. */
type Turn = <T>(reading: Promise<T>) => Promise<T>

export interface Program {
  readonly kind: 'eager' | 'captured' | 'session' | 'reader'
  readonly device: string
  readonly seed: number
}

const STEPS = 2
const [B, T, V] = [1, 8, 11]

/** One layer, C 8, H 2: attention, or the delta rule. */
const modelOf = (seed: number) =>
  ({ width: 8, layers: 1, layerTypes: [seed % 2 ? 'delta' : 'attention'], heads: 2, feedForwardWidth: 8 }) as const

const bits = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('hex')

/** Steps of a model, with losses, some weights and a second program read while others go on. */
async function training({ kind, device, seed }: Program, turn: Turn): Promise<string[]> {
  manualSeed(seed)
  const net = new Transformer({ ...modelOf(seed), vocabularySize: V, contextLength: T }, { device })
  const optimizer = new AdamW(decayGroups(net, 0.1), { lr: 0.01 })
  const random = new Generator(seed)
  const ids = () => tensor(random.integers(B * T, 0, V), { shape: [B, T], device })
  const body = trainingStep(net, optimizer)
  const train = kind === 'captured' ? capture(body) : undefined
  const look = kind === 'captured' ? capture((tokens: Tensor, targets: Tensor) => net.loss(tokens, targets)) : undefined
  const readings: Promise<string>[] = []
  const item = (t: Tensor) => readings.push(turn(t.item()).then((value) => bits(Float64Array.of(value))))
  const [first] = net.parameters()
  for (let step = 0; step < STEPS; step++) {
    const [tokens, targets] = [ids(), ids()]
    const loss = train ? train(tokens, targets) : scope(() => body(tokens, targets))
    item(loss)
    // The values of this step, although the next one may change them before they are handed over.
    readings.push(turn(first.data()).then(bits))
    await turn(Promise.resolve())
    const seen = look ? look(tokens, targets) : scope(() => net.loss(tokens, targets))
    item(seen)
    for (const t of [loss, seen, tokens, targets]) t.dispose()
    if (step === 0) await Promise.all(readings)
  }
  const last = net.parameters().map((parameter) => turn(parameter.data()).then(bits))
  const found = await Promise.all([...readings, ...last])
  train?.dispose()
  look?.dispose()
  optimizer.dispose()
  net.dispose()
  return found
}

/** Steps of `sluice train`, with dropout, so that both random streams are drawn from. */
async function session({ device, seed }: Program, turn: Turn): Promise<string[]> {
  const config = {
    seed,
    steps: STEPS,
    batchSize: 1,
    contextLength: T,
    evaluateEvery: 1,
    evaluationBatches: 1,
    model: { ...modelOf(seed), dropout: 0.3 },
  }
  const run = await turn(openSession({ text: 'abcdefghijk'.repeat(20), config, device }))
  const found: string[] = []
  while (!run.isComplete) {
    const { seconds, ...entry } = await turn(run.loggedStep())
    found.push(JSON.stringify(entry))
  }
  const { tensors, generator } = await turn(run.snapshot())
  for (const { data } of tensors.values()) found.push(bits(data))
  run.dispose()
  return [...found, JSON.stringify(generator)]
}

/** A chain of operations, each result read and given back at once. */
async function reader({ device, seed }: Program, turn: Turn): Promise<string[]> {
  const random = new Generator(seed)
  const n = 5
  const fresh = () => tensor(random.uniform(n * n), { shape: [n, n], device })
  const readings: Promise<string>[] = []
  let x = fresh()
  for (let step = 0; step < 8; step++) {
    const y = fresh()
    const next = scope(() => x.matmul(y).tanh())
    const sum = scope(() => next.sum())
    readings.push(
      turn(next.data()).then(bits),
      turn(sum.item()).then((value) => bits(Float64Array.of(value))),
    )
    for (const t of [x, y, sum]) t.dispose()
    x = next
    if (random.uniform(1)[0] < 0.5) await turn(Promise.resolve())
  }
  x.dispose()
  return Promise.all(readings)
}

const programs = { eager: training, captured: training, session, reader }

const runProgram = (program: Program, turn: Turn): Promise<string[]> => programs[program.kind](program, turn)

const anyProgram = (device: string): fc.Arbitrary<Program> =>
  fc.record({
    // Readers have the most turns for their time.
    kind: fc.constantFrom('eager', 'captured', 'session', 'reader', 'reader', 'reader'),
    device: fc.constant(device),
    seed: fc.integer({ min: 1, max: 3 }),
  })

/** Two to five programs, at least one a device; the first are on `devices[0]`. */
const anyPrograms = ([a, b]: readonly [string, string]): fc.Arbitrary<Program[]> =>
  fc
    .tuple(anyProgram(a), anyProgram(b), fc.array(fc.oneof(anyProgram(a), anyProgram(b)), { maxLength: 3 }))
    .map(([first, second, more]) => [first, second, ...more])

/** What was tried, for who wants to tell. */
export interface TogetherCounts {
  runs: number
  programs: number
  /** Values that the scheduler handed over. */
  turns: number
}

/**
 * Of any programs on the two devices, which must be ready, in any order of their turns: each comes to what it comes to alone,
 * and nothing is left on the devices.
 */
export function together(
  devices: readonly [string, string],
  counts: TogetherCounts = { runs: 0, programs: 0, turns: 0 },
): fc.IAsyncProperty<[fc.Scheduler, Program[]]> {
  const alone = new Map<string, string[]>()
  const held = () => devices.map((name) => findDevice(name).statistics())
  return fc.asyncProperty(fc.scheduler(), anyPrograms(devices), async (scheduler, chosen) => {
    for (const program of chosen) {
      const key = JSON.stringify(program)
      if (!alone.has(key)) alone.set(key, await runProgram(program, (reading) => reading))
    }
    const before = held()
    const turn: Turn = (reading) => {
      counts.turns++
      return scheduler.schedule(reading)
    }
    const results = await scheduler.waitFor(Promise.all(chosen.map((program) => runProgram(program, turn))))
    counts.runs++
    counts.programs += chosen.length
    for (const [i, program] of chosen.entries()) {
      const expected = alone.get(JSON.stringify(program))!
      const at = results[i].findIndex((value, k) => value !== expected[k])
      if (at >= 0 || results[i].length !== expected.length) {
        throw new Error(`program ${i}, ${JSON.stringify(program)}: value ${at} of ${expected.length} is another`)
      }
    }
    for (const [i, { buffers, bytes }] of held().entries()) {
      if (buffers > before[i].buffers || bytes > before[i].bytes) {
        throw new Error(`${devices[i]} holds ${buffers - before[i].buffers} buffers more than before`)
      }
    }
  })
}

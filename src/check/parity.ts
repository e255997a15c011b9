/**
 * Parity: an operation gives the same on two devices, forward and gradient, within its record's tolerance.
 *
 *   |got - expected| <= absolute + relative |expected|
 *
 * Samples lie on a dyadic grid that float32 holds exactly, so the devices start from the same numbers; int32 results are
 * equal. The expected side is the float64 one, if there is one.
 */
import { gradients, withRecording } from '../autograd/tape.ts'
import { device as readyDevice } from '../device/registry.ts'
import { SluiceError, showShape } from '../errors.ts'
import { type Operation, type OpRecord, operations, tensorsAmong } from '../ops/record.ts'
import { type Shape, sameShape } from '../tensor/shape.ts'
import { fromData, scope, type Tensor } from '../tensor/tensor.ts'
import { moveArguments, pinned } from './arguments.ts'
import { broken, Comparison, type Finding, showIndex, showNumber } from './finding.ts'
import { targetsOf } from './properties.ts'
import { type Outcome, type SearchOptions, search, showFailure } from './search.ts'

/** How far two devices were apart. */
export interface ParityStatistics {
  /** Name of the operation. */
  readonly op: string
  /** Names of the device that is taken as right, and of the one that is held against it. */
  readonly devices: readonly [expected: string, compared: string]
  /** Samples that were run on both. */
  readonly cases: number
  /** The largest error relative to what was allowed there: at most 1. */
  readonly worst: number
  /** The error there, in the result's own unit. */
  readonly worstError: number
  /** What was allowed at the worst one. */
  readonly bound: number
}

/** Values on their way back from a device. */
interface Result {
  readonly what: string
  readonly shape: Shape
  readonly dtype: string
  readonly data: ArrayLike<number>
}

/** The cotangent of output k: dyadic, so that every device gets the same. */
function cotangentLike(y: Tensor, k: number): Tensor {
  const values = Float64Array.from({ length: y.size }, (_, i) => (((i + k) * 5) % 7) / 4 - 0.75)
  return fromData(values, y.shape, y.dtype, y.storage.device)
}

async function runOn(record: OpRecord, drawn: readonly unknown[], device: string): Promise<Result[]> {
  const { given, tensors } = await moveArguments(drawn, device)
  const made: [string, Tensor][] = scope(() => {
    const call = record.call as (...given: unknown[]) => unknown
    const targets = record.differentiable ? targetsOf(record, given) : []
    for (const t of targets) t.requiresGrad = true
    const outputs = withRecording(true, () => tensorsAmong([pinned(() => call(...given))]))
    const found = outputs.map((y, k): [string, Tensor] => [outputs.length > 1 ? `result ${k}` : 'the result', y])
    outputs.forEach((y, k) => {
      if (!y.isTracked || y.dtype === 'int32') return
      gradients(y, targets, { cotangent: cotangentLike(y, k) }).forEach((g, i) => {
        found.push([`the gradient of input ${i}${outputs.length > 1 ? ` from result ${k}` : ''}`, g])
      })
    })
    return found
  })
  const results: Result[] = []
  for (const [what, t] of made) {
    results.push({ what, shape: t.shape, dtype: t.dtype, data: await t.data() })
    t.dispose()
  }
  for (const t of tensors) t.dispose()
  return results
}

function compareResults(record: OpRecord, devices: readonly [string, string], a: Result[], b: Result[]): Finding {
  const { absolute, relative } = record.tolerance
  if (a.length !== b.length) return broken(`${a.length} results on ${devices[0]}, ${b.length} on ${devices[1]}`)
  const comparison = new Comparison()
  for (const [k, expected] of a.entries()) {
    const got = b[k]
    if (!sameShape(expected.shape, got.shape)) {
      return broken(
        `${expected.what} is ${showShape(expected.shape)} on ${devices[0]}, ${showShape(got.shape)} on ${devices[1]}`,
      )
    }
    const exact = expected.dtype === 'int32'
    for (let i = 0; i < expected.data.length; i++) {
      const bound = exact ? 0.5 : absolute + relative * Math.abs(expected.data[i])
      comparison.compare(
        got.data[i],
        expected.data[i],
        Number.isFinite(bound) ? bound : absolute,
        () =>
          `${expected.what}, ${showShape(expected.shape)}, at ${showIndex(expected.shape, i)} is ${expected.data[i]} on ` +
          `${devices[0]} and ${got.data[i]} on ${devices[1]}: they differ by ` +
          `${showNumber(Math.abs(got.data[i] - expected.data[i]))}, allowed ${exact ? 0 : showNumber(bound)}`,
      )
    }
  }
  return comparison.finish()
}

/** The record behind an operation, its name or itself. */
export function recordOf(caller: string, op: Operation<never[], unknown> | OpRecord | string): OpRecord {
  const record = typeof op === 'string' ? operations.get(op) : 'record' in op ? op.record : op
  if (!record || typeof record.samples !== 'function') {
    throw new SluiceError(caller, `there is no operation '${String(op)}'; give one made by defineOp, or its name`)
  }
  return record
}

/** Runs the samples on both devices; the float64 one is the expected side. */
export async function searchParity(
  record: OpRecord,
  deviceA: string,
  deviceB: string,
  options: SearchOptions = {},
): Promise<Outcome & { devices: readonly [string, string] }> {
  const [a, b] = [await readyDevice(deviceA), await readyDevice(deviceB)]
  const swap = b.floatType === 'float64' && a.floatType !== 'float64'
  const devices: readonly [string, string] = swap ? [b.name, a.name] : [a.name, b.name]
  const outcome = await search(
    record,
    async (given) =>
      compareResults(record, devices, await runOn(record, given, devices[0]), await runOn(record, given, devices[1])),
    options,
  )
  return { ...outcome, devices }
}

/**
 * Compares an operation on two devices over samples of its record, forward and gradient.
 *
 * @param op an operation made by `defineOp`, its record or its name
 * @returns how many samples were run, and the worst error against what was allowed
 * @throws SluiceError with the worst element of the smallest sample that shows it, its seed and path
 *
 * @example
 * (await parity('matmul', 'reference', 'cpu')).worst // 0.1: a tenth of the tolerance
 */
export async function parity(
  op: Operation<never[], unknown> | OpRecord | string,
  deviceA: string,
  deviceB: string,
  options: SearchOptions = {},
): Promise<ParityStatistics> {
  const record = recordOf('parity', op)
  const { cases, worst, failure, devices } = await searchParity(record, deviceA, deviceB, options)
  if (failure) throw new SluiceError('parity', `'${record.name}': ${showFailure(failure)}`)
  return { op: record.name, devices, cases, worst: worst.ratio, worstError: worst.error, bound: worst.bound }
}

/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `capture`: a function of tensors, run once and then replayed as a program.
 *
 * The first call with given shapes runs the function as it is and records its launches: forward, backward, optimizer.
 * Temporary values are planned into slots by their lifetimes, and every later call replays the launches: no tape, no
 * allocation, no JavaScript of operations. The results are the same, bit for bit.
 */
import { SluiceError } from '../errors.ts'
import { isTensor, scope, type Tensor } from '../tensor/tensor.ts'
import { type CapturedProgram, compileProgram } from './program.ts'
import { isRecording } from './tape.ts'
import { type Recording, record } from './trace.ts'

/** What a captured function may take and give: tensors, plain values, and lists and plain objects of them. */
export type Captured<Given extends unknown[], Result> = ((...given: Given) => Result) & {
  /** The programs made so far, one for each combination of shapes, as text: launches, shapes, bytes, the plan. */
  explain(): string
  /** Frees the programs' memory. The next call records afresh. */
  dispose(): void
  [Symbol.dispose](): void
}

export interface CaptureOptions {
  /** Programs kept at most, one for each combination of shapes; the one not used for longest goes. 16 unless given. */
  readonly programs?: number
}

/** The tensors in a value, in order, and what is left of it when they are taken out: a key for programs. */
function takeApart(value: unknown, where: string, found: Tensor[]): unknown {
  if (isTensor(value)) {
    const same = found.findIndex((t) => t.storage === value.storage)
    found.push(value)
    return { tensor: [value.shape, value.dtype, value.device, same, value.requiresGrad] }
  }
  if (Array.isArray(value)) return value.map((item, i) => takeApart(item, `${where}[${i}]`, found))
  if (value === undefined) return null
  if (value === null || ['string', 'boolean'].includes(typeof value)) return value
  // JSON would make null of NaN and infinities.
  if (typeof value === 'number') return String(value)
  if (typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.entries(value).map(([key, item]) => [key, takeApart(item, `${where}.${key}`, found)])
  }
  throw new SluiceError(
    'capture',
    `${where} is a ${typeof value === 'object' ? (value.constructor?.name ?? 'object') : typeof value}; a captured function takes and gives tensors, numbers, strings, booleans, and lists and plain objects of them; close over anything else`,
  )
}

/** Makes the value again from the tensors in it, in order. */
type Build = (tensors: Iterator<Tensor>) => unknown

/** How to make a value like this one from other tensors. Holds none of its own. */
function formOf(value: unknown): Build {
  if (isTensor(value)) return (tensors) => tensors.next().value
  if (Array.isArray(value)) {
    const items = value.map(formOf)
    return (tensors) => items.map((build) => build(tensors))
  }
  if (value !== null && typeof value === 'object') {
    const fields = Object.entries(value).map(([key, item]) => [key, formOf(item)] as const)
    return (tensors) => Object.fromEntries(fields.map(([key, build]) => [key, build(tensors)]))
  }
  return () => value
}

/** One recorded program and the form of its result. */
interface Entry {
  readonly program: CapturedProgram
  readonly form: Build
}

/**
 * Makes a program of `fn`.
 *
 * `fn` may read parameters and other tensors that it closes over, change parameters through an optimizer, and call
 * `backward`. It runs in a scope: what it does not return is freed. Results have no history.
 *
 * What is recorded is what ran: numbers read from the host, branches taken, and tensors made from host data are the same
 * at every replay. Give what changes as an argument (a tensor of the same shape); learning rates of optimizers, dropout
 * masks and random tensors are taken care of. Another shape records another program, and so does a parameter that was
 * given another value from outside (loading a checkpoint).
 *
 * @throws SluiceError when `fn` leaves a tensor behind that it does not return, such as a gradient that was not zeroed;
 *   or gives or takes what is neither a tensor nor a plain value
 *
 * @example
 * const step = capture((tokens: Tensor, targets: Tensor) => {
 *   const loss = model.loss(tokens, targets)
 *   loss.backward()
 *   optimizer.step()
 *   optimizer.zeroGrad()
 *   return loss
 * })
 * for (const [tokens, targets] of batches) console.log(await step(tokens, targets).item())
 */
export function capture<Given extends unknown[], Result>(
  fn: (...given: Given) => Result,
  { programs = 16 }: CaptureOptions = {},
): Captured<Given, Result> {
  /** The programs, the one used last at the end. */
  const entries = new Map<string, Entry>()

  const forget = (key: string) => {
    entries.get(key)?.program.dispose()
    entries.delete(key)
  }

  const first = (key: string, given: Given, inputs: readonly Tensor[]): Result => {
    let recording: Recording | undefined
    const result = scope(() => {
      const [value, seen] = record(inputs, () => scope(() => detached(fn(...given))))
      recording = seen
      return value
    })
    const results: Tensor[] = []
    takeApart(result, 'the result', results)
    const program = compileProgram(recording!, inputs, results)
    if (program) entries.set(key, { program, form: formOf(result) })
    const [oldest] = entries.keys()
    if (entries.size > programs) forget(oldest)
    return result as Result
  }

  const call = (...given: Given): Result => {
    const inputs: Tensor[] = []
    const key = JSON.stringify([isRecording(), takeApart(given, 'the argument', inputs)])
    const entry = entries.get(key)
    if (!entry) return first(key, given, inputs)
    if (!entry.program.isCurrent()) {
      forget(key)
      return first(key, given, inputs)
    }
    entries.delete(key)
    entries.set(key, entry)
    return entry.form(entry.program.run(inputs).values()) as Result
  }

  const dispose = () => {
    for (const key of [...entries.keys()]) forget(key)
  }
  return Object.assign(call, {
    explain: () => [...entries.values()].map(({ program }) => program.explain()).join('\n\n'),
    dispose,
    [Symbol.dispose]: dispose,
  })
}

/** The results without their history, each a tensor of its own. */
function detached(result: unknown): unknown {
  if (result instanceof Promise) {
    throw new SluiceError('capture', 'the function returned a promise; read values outside, from what it returns')
  }
  const tensors: Tensor[] = []
  takeApart(result, 'the result', tensors)
  return formOf(result)(tensors.map((t) => t.detach()).values())
}

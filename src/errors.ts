/**
 * Errors that name the operation, say what was expected and point at the user's own line.
 *
 * The line is read from the stack when the error is made: the first frame that is not in Sluice's own `src` or
 * `kernels` folder. In a bundle, where every frame shares one file, there is no such frame and the place is left out.
 */

/** Folder that holds `src` and `kernels`, as it appears in stack frames. */
const ownRoot = new URL('../', import.meta.url).href.replace(/^file:\/\//, '')
/** This file itself: in a bundle, all of Sluice. */
const ownFile = import.meta.url.replace(/^file:\/\//, '')
const ownFolders = [`${ownRoot}src/`, `${ownRoot}kernels/`]

interface Frame {
  readonly file: string
  readonly line: string
}

function frames(stack: string): Frame[] {
  const found: Frame[] = []
  for (const row of stack.split('\n')) {
    const match = /(?:\(|at |@)(?:async )?(?:file:\/\/)?([^()\s@]+?):(\d+):\d+\)?$/.exec(row.trim())
    if (match) found.push({ file: match[1]!, line: match[2]! })
  }
  return found
}

/** `train.ts:12`, the innermost frame of `stack` outside Sluice and outside the runtime; '' when there is none. */
export function userPlace(stack: string): string {
  const frame = frames(stack).find(
    ({ file }) =>
      file !== ownFile &&
      !ownFolders.some((folder) => file.startsWith(folder)) &&
      !file.startsWith('node:') &&
      !file.includes('/node_modules/'),
  )
  return frame ? `${frame.file.split(/[\\/]/).pop()}:${frame.line}` : ''
}

/** Frames kept of a stack: V8's 10 end inside Sluice for most operations. */
const STACK_FRAMES = 50

function withDeepStack<R>(body: () => R): R {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = Math.max(before, STACK_FRAMES)
  try {
    return body()
  } finally {
    Error.stackTraceLimit = before
  }
}

/**
 * The stack of the caller as text, as deep as the engine keeps it: enough where the user's own call is near.
 *
 * Formatting is lazy, so taking it costs 3 microseconds.
 */
export function stackHere(): () => string {
  const holder = new Error()
  return () => holder.stack ?? ''
}

/** The same down to the user's call, however many of Sluice's lie between, for twice the time. */
export function deepStackHere(): () => string {
  const holder = withDeepStack(() => new Error())
  return () => holder.stack ?? ''
}

/** Stands for the place of what only Sluice itself has seen, and which no error will ask for. */
export const noStack = (): string => ''

/**
 * Every error that Sluice raises on purpose.
 *
 * @example
 * new SluiceError('matmul', '[4, 3] @ [4, 5]: inner sizes 3 and 4 differ').operation // 'matmul'
 * // 'matmul: [4, 3] @ [4, 5]: inner sizes 3 and 4 differ (at train.ts:12)'
 */
export class SluiceError extends Error {
  /** The operation, layer or function that raised it; the message begins with it. */
  readonly operation: string

  constructor(operation: string, message: string) {
    super(`${operation}: ${message}`)
    this.name = 'SluiceError'
    this.operation = operation
    withDeepStack(() => Error.captureStackTrace?.(this, SluiceError))
    const place = userPlace(this.stack ?? '')
    if (place) this.message += ` (at ${place})`
  }
}

/** A device that failed at its work: lost, out of memory, or a fault in what it was given. */
export class DeviceFault extends SluiceError {}

/** Training whose loss, gradient or weights are no longer finite. */
export class Divergence extends SluiceError {
  /** The step, counted from 1, whose numbers were the first that are not finite. */
  readonly step: number

  constructor(operation: string, step: number, message: string) {
    super(operation, message)
    this.step = step
  }
}

/** A shape as it is printed in messages: `[4, 3]`. */
export function showShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}

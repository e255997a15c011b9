/**
 * The status of a training run on one line of a terminal, and the display that keeps rewriting that line.
 *
 * `liveLine` only formats. `LiveDisplay` decides where it goes: on a terminal the line is rewritten in place; anywhere
 * else (a file, a pipe, a log of a test run) plain lines are printed now and then, without control characters.
 */
import { environmentVariable } from '../environment.ts'
import { formatClock, formatCompact, formatInteger } from './report/format.ts'
import { printable } from './report/markup.ts'
import { MovingAverage } from './report/smooth.ts'

/** Where a run stands. */
export interface LiveState {
  /** Name of the run. */
  name: string
  /** Steps done, those before a checkpoint included. */
  step: number
  /** Steps of the whole run. */
  steps: number
  /** Training loss, in nats per token. */
  loss: number
  /** The newest one, in nats per token. */
  heldOutLoss?: number
  /** Tokens trained on, a second. */
  tokensPerSecond: number
  /** Time since the first step of this session. */
  seconds: number
  /** The step at which this session began; 0 unless training goes on from a checkpoint. */
  firstStep?: number
}

/**
 * One line of at most `columns` columns: name, steps, loss, held-out loss, speed, time so far and time left.
 *
 * Where the line is too narrow the least needed parts go first: the held-out loss, the time so far, the speed, the
 * percentage, the time left; then the end is cut. Time left assumes that the remaining steps take as long as those done.
 *
 * @example
 * liveLine({ name: 'gated', step: 500, steps: 2000, loss: 1.8421, tokensPerSecond: 11120, seconds: 46 })
 * // 'gated  500/2,000  25%  loss 1.842  11.1k tok/s  0:46  2:18 left'
 */
export function liveLine(state: LiveState, columns = 80): string {
  const { name, step, steps, loss, heldOutLoss, tokensPerSecond, seconds } = state
  const left = secondsLeft(state)
  const parts = [
    { text: oneLine(name), drop: Infinity },
    { text: `${formatInteger(step)}/${formatInteger(steps)}`, drop: Infinity },
    { text: steps > 0 ? `${Math.floor((100 * step) / steps)}%` : '', drop: 4 },
    { text: `loss ${lossText(loss)}`, drop: Infinity },
    { text: heldOutLoss === undefined ? '' : `held-out ${lossText(heldOutLoss)}`, drop: 1 },
    { text: `${formatCompact(tokensPerSecond)} tok/s`, drop: 3 },
    { text: formatClock(seconds), drop: 2 },
    { text: left === undefined ? '' : `${formatClock(left)} left`, drop: 5 },
  ].filter(({ text }) => text !== '')
  const join = (above: number) =>
    parts
      .filter(({ drop }) => drop > above)
      .map(({ text }) => text)
      .join('  ')
  const fitting = [0, 1, 2, 3, 4, 5].map(join).find((line) => textWidth(line) <= columns)
  return fitting ?? cutTo(join(5), columns)
}

/** Time for the steps that remain at the pace of those done; undefined before the first and after the last. */
function secondsLeft({ step, steps, seconds, firstStep = 0 }: LiveState): number | undefined {
  const done = step - firstStep
  if (done <= 0 || step >= steps || !(seconds > 0)) return undefined
  return (seconds / done) * (steps - step)
}

function lossText(loss: number): string {
  if (Number.isFinite(loss)) return loss.toFixed(3)
  return Number.isNaN(loss) ? 'NaN' : String(loss)
}

/** A name may hold anything; control characters in it would move the cursor. */
function oneLine(text: string): string {
  return printable(text).replace(/\s+/g, ' ').trim()
}

const zeroWidth = /\p{Mn}|\p{Me}|[\u200b-\u200f\u2060]/u
// East Asian wide blocks and emoji: two columns each in every common terminal.
const doubleWidth =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]/u

function characterWidth(character: string): number {
  if (zeroWidth.test(character)) return 0
  return doubleWidth.test(character) ? 2 : 1
}

/** Columns that a terminal takes for `text`. */
export function textWidth(text: string): number {
  let width = 0
  for (const character of text) width += characterWidth(character)
  return width
}

function cutTo(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text
  if (columns < 1) return ''
  let out = ''
  let width = 0
  for (const character of text) {
    width += characterWidth(character)
    if (width > columns - 1) break
    out += character
  }
  return `${out}\u2026`
}

/** What a display writes to: `process.stderr`, or anything alike. */
export interface LiveStream {
  isTTY?: boolean
  columns?: number
  write(text: string): unknown
}

export interface LiveOptions {
  /** Where to write; `process.stderr` unless given, so that a program's own output stays clean. */
  stream?: LiveStream
  /** Seconds between plain lines where there is no terminal. */
  plainEvery?: number
  /** Seconds between redraws on a terminal. */
  redrawEvery?: number
  /** Decay of the moving average that smooths the loss, in [0, 1); 0 shows the loss as it comes. */
  smoothing?: number
  /** Seconds on a clock that never goes back. */
  now?: () => number
}

/**
 * Shows a run's status while it trains.
 *
 * @example
 * const display = new LiveDisplay()
 * display.update({ name: 'gated', step: 1, steps: 2000, loss: 4.1, tokensPerSecond: 11120, seconds: 1 }) // after every step
 * display.finish()
 */
export class LiveDisplay {
  readonly #stream: LiveStream
  readonly #plainEvery: number
  readonly #redrawEvery: number
  readonly #smoothing: number
  readonly #now: () => number
  #average: MovingAverage
  #state: LiveState | undefined
  #shownAt = -Infinity
  /** The last state is on the screen already. */
  #shown = false
  /** The cursor stands behind an unfinished line. */
  #open = false

  constructor(options: LiveOptions = {}) {
    this.#stream = options.stream ?? process.stderr
    this.#plainEvery = options.plainEvery ?? 10
    this.#redrawEvery = options.redrawEvery ?? 0.1
    this.#smoothing = options.smoothing ?? 0.9
    this.#now = options.now ?? (() => performance.now() / 1000)
    this.#average = new MovingAverage(this.#smoothing)
  }

  /** Takes in a step's loss and shows the run when it is time; a run of another name finishes the line before. */
  update(state: LiveState): void {
    if (this.#state && this.#state.name !== state.name) this.finish()
    this.#state = { ...state, loss: this.#average.add(state.loss) }
    this.#shown = false
    const every = this.#isTerminal() ? this.#redrawEvery : this.#plainEvery
    if (this.#now() - this.#shownAt >= every) this.#show()
  }

  /** Prints a line of its own above the live line. */
  log(message: string): void {
    if (this.#open) this.#stream.write('\r\x1b[K')
    this.#stream.write(`${message}\n`)
    if (this.#open) this.#show()
  }

  /** Shows the last state, ends the line and is ready for the next run. */
  finish(): void {
    if (this.#state && !this.#shown) this.#show()
    if (this.#open) this.#stream.write('\n')
    this.#open = false
    this.#state = undefined
    this.#shownAt = -Infinity
    this.#average = new MovingAverage(this.#smoothing)
  }

  #isTerminal(): boolean {
    return this.#stream.isTTY === true && environmentVariable('TERM') !== 'dumb'
  }

  #show(): void {
    if (!this.#state) return
    if (this.#isTerminal()) {
      // A line as wide as the terminal would wrap, and a wrapped line cannot be rewritten in place.
      const columns = (this.#stream.columns || 80) - 1
      this.#stream.write(`\r${liveLine(this.#state, columns)}\x1b[K`)
      this.#open = true
    } else {
      this.#stream.write(`${liveLine(this.#state, Infinity)}\n`)
    }
    this.#shown = true
    this.#shownAt = this.#now()
  }
}

/** Whether a program that ran gave the right numbers, or the one sentence that was expected. */
import type { Ended } from '../child.ts'

/** What `program.mjs train` prints. */
export interface Trained {
  readonly losses: Readonly<
    Record<string, { readonly eager: number[]; readonly captured: number[]; readonly read: number }>
  >
  readonly simd: string
  readonly threads: number
  /** Threads that took part at the end. */
  readonly ready: number
}

/** Losses in float64, and how far rounding in float32 may move each. */
export type Bounds = Readonly<Record<string, readonly { readonly exact: number; readonly bound: number }[]>>

/**
 * Bounds from what `program.mjs moved` prints: the exact losses, and those with every weight moved before every step by the
 * relative backward error of the longest sum, n u (Higham 2002, section 3.1): a sum of rounded products is the exact one of
 * factors that were moved by that. Twice the farthest of the draws, and the rounding of the loss itself.
 */
export function boundsOf([exact, ...moved]: readonly Readonly<Record<string, number[]>>[]): Bounds {
  const of = (name: string, i: number) => {
    const loss = exact[name][i]
    const farthest = Math.max(...moved.map((draw) => Math.abs(draw[name][i] - loss)))
    return { exact: loss, bound: 2 * farthest + 2 ** -24 * loss }
  }
  return Object.fromEntries(Object.entries(exact).map(([name, losses]) => [name, losses.map((_, i) => of(name, i))]))
}

/** What was found: why it is lost, if it is, and the largest part of a bound that was used. */
export interface Finding {
  readonly fault: string | undefined
  readonly used: number
}

export class Judge {
  readonly #bounds: Bounds
  /** The losses that each SIMD variant gave first, as text. */
  readonly #bits = new Map<string, string>()

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  /** Captured as eager, read as written, the same bits as others with the same kernels, and all within the bounds. */
  numbers({ losses, simd }: Trained): Finding {
    const faults: string[] = []
    let used = 0
    for (const [name, expected] of Object.entries(this.#bounds)) {
      const { eager, captured, read } = losses[name]
      if (String(captured) !== String(eager)) faults.push(`${name}: captured ${captured}, eager ${eager}`)
      if (read !== captured.at(-1)) faults.push(`${name}: read ${read}, written ${captured.at(-1)}`)
      for (const [i, { exact, bound }] of expected.entries()) {
        const difference = Math.abs(eager[i] - exact)
        used = Math.max(used, difference / bound)
        if (!(difference <= bound)) faults.push(`${name}: loss ${i} is ${eager[i]}, exactly ${exact}, bound ${bound}`)
      }
    }
    const bits = JSON.stringify(losses)
    const first = this.#bits.get(simd) ?? bits
    this.#bits.set(simd, first)
    if (bits !== first) faults.push(`other bits than the first run with ${simd} kernels: ${bits}, ${first}`)
    return { fault: faults.length > 0 ? faults.join('; ') : undefined, used }
  }
}

/** Lines that a runtime writes of its own. */
const ownLines = /^(\(node:\d+\) |\(Use `|Warning: disabling flag )/

/** Why what a program said is not the expected sentence; undefined where it is. */
export function sentenceFault({ code, signal, output, errors }: Ended, expected: RegExp): string | undefined {
  const lines = errors.split('\n').filter((line) => line !== '' && !ownLines.test(line))
  const said = `${signal ?? `status ${code}`}, ${JSON.stringify(`${output}${lines.join('\n')}`.slice(0, 600))}`
  return code === 1 && output === '' && lines.length === 1 && expected.test(lines[0]) ? undefined : said
}

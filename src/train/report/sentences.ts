/**
 * Sentences computed from the data: which run measured what, and whether the order is the paper's.
 *
 * The paper: Gated Attention for Large Language Models, NeurIPS 2025, where the runs with a gate have the lower loss,
 * the lower first-token attention and the lower largest activation. Values are compared as they are printed, so that
 * a sentence never names a difference that the reader cannot see.
 */
import { hasGate, type ReportRun } from './data.ts'
import { escapeText } from './markup.ts'

/** One quantity of a run; undefined where it was not measured. */
export type Measure = (run: ReportRun) => number | undefined

/** 'gated 0.03 against ungated 0.12': every run that has the quantity, names escaped; '' when none has. */
export function valuesOf(runs: ReportRun[], measure: Measure, format: (value: number) => string): string {
  const parts = runs.flatMap((run) => {
    const value = measure(run)
    return value === undefined ? [] : [`${escapeText(run.name)}\u00a0${format(value)}`]
  })
  return parts.length === 2 ? parts.join(' against ') : parts.join(', ')
}

/**
 * Whether runs with a gate are below those without, as in the paper; '' unless both kinds were measured.
 *
 * @param what the quantity, as the sentence's subject.
 * @param format as the values are printed: what prints alike counts as equal.
 */
export function orderOf(what: string, runs: ReportRun[], measure: Measure, format: (value: number) => string): string {
  const measured = runs.flatMap((run) => {
    const value = measure(run)
    return value === undefined ? [] : [{ value, gated: hasGate(run) }]
  })
  const gated = measured.filter((run) => run.gated)
  const ungated = measured.filter((run) => !run.gated)
  if (gated.length === 0 || ungated.length === 0) return ''
  if (measured.some(({ value }) => !Number.isFinite(value))) {
    return `${what} is not a finite number in every run, so the runs have no order.`
  }
  const pairs = gated.flatMap((a) => ungated.map((b) => ({ a: a.value, b: b.value })))
  if (pairs.every(({ a, b }) => format(a) === format(b))) return `${what} is equal at this precision.`
  const apart = pairs.filter(({ a, b }) => format(a) !== format(b))
  if (apart.length === pairs.length && apart.every(({ a, b }) => a < b)) {
    return `${what} is lower with the gate: the order that the paper reports.`
  }
  if (apart.length === pairs.length && apart.every(({ a, b }) => a > b)) {
    return `${what} is higher with the gate: the reverse of the paper\u2019s order.`
  }
  return `${what} puts runs with and without the gate in no consistent order.`
}

/** Joins the sentences that have something to say. */
export function paragraph(...sentences: string[]): string {
  return sentences.filter((sentence) => sentence !== '').join(' ')
}

/** `1 layer`, `2 layers`. */
export function countOf(count: number, noun: string): string {
  return `${count}\u00a0${noun}${count === 1 ? '' : 's'}`
}

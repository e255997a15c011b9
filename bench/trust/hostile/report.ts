/** What the process that is lost tells the one that is not. */
import type { Findings } from './trial.ts'

/** What was lost, and the input that loses it again. */
export interface LossRecord {
  readonly what: string
  readonly input: string
}

export interface TryReport {
  readonly findings: Findings
  readonly losses: readonly LossRecord[]
  /** Inputs that the fuzzer kept, and the blocks of code that all of its inputs reached. */
  readonly kept: number
  readonly blocks: number
}

export interface ReadReport {
  readonly isRead: boolean
  /** What was thrown that is no SluiceError, or was done that must not be. */
  readonly fault: string | undefined
  readonly milliseconds: number
  /** Bytes that the process held at most beyond what it held before. */
  readonly peak: number
}

/** The file with the input that is being read, behind this header: a count that grows with each, its length, and its target's place. */
export const currentFile = 'current'
export const currentHeader = 12

/** Runs a command to its end, in an environment of which only what is tried is changed. */
import { type Ended, start } from '../child.ts'

export interface RunOptions {
  readonly folder: string
  readonly variables?: Readonly<Record<string, string>>
  /** As a user who may write nowhere, where this is the one who may write everywhere. */
  readonly isNobody?: boolean
}

/** A machine that is busy runs the longest of them in a minute. Milliseconds. */
const patience = 240_000

/** `nobody`, on every Linux. */
const nobody = 65534

/** Variables that would change what is tried. */
const ours = {
  SLUICE_THREADS: undefined,
  SLUICE_SIMD: undefined,
  SLUICE_PROFILE: undefined,
  NODE_OPTIONS: undefined,
  NO_COLOR: '1',
}

export function runToEnd(command: readonly string[], { folder, variables, isNobody }: RunOptions): Promise<Ended> {
  const user = isNobody && process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : undefined
  return start(command, { cwd: folder, environment: { ...ours, ...variables }, user, patience }).ended
}

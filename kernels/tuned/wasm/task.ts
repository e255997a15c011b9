/**
 * How the cpu device runs a tuned kernel: a launch becomes tasks, one after the other, and the threads divide each task
 * among themselves by its items.
 *
 * A kernel is a function of a WebAssembly module. Its last parameters may be the runner's own, in this order:
 *
 *  - `scratch`: the byte offset of memory of this call's own;
 *  - `from` and `to`: the items of this call, from the first to before the last. Items are independent: one never reads or
 *    writes what another writes, and what it computes does not depend on which call it is in. So results are the same
 *    bits for every number of threads.
 *
 * All others are given by the launch. Buffers are byte offsets.
 */
import type { DType } from '../../../src/device/device.ts'
import type { Grid } from '../../kernel.ts'
import type { Callee, Parameters } from './assembler.ts'

/** A buffer, as a kernel sees it. */
export interface Place {
  /** Byte offset, a multiple of 16. */
  readonly offset: number
  /** Number of elements. */
  readonly length: number
  readonly dtype: DType
}

/** A float that the host writes to this byte offset before a program runs, anew each time. */
export interface HostCell {
  readonly cell: number
}

export type TaskArgument = number | HostCell

export interface Task {
  readonly callee: Callee
  /** The arguments of a call in the parameters' order, without those of the runner. */
  readonly given: readonly TaskArgument[]
  /** 1 where the function has no range: one thread then runs it. */
  readonly items: number
  /** Roughly the floating-point operations of the whole task: small ones are not worth a second thread. */
  readonly cost: number
  /** Bytes of scratch memory a call needs. */
  readonly scratch: number
  /** Whether it can run beside the other tasks of its launch. */
  readonly isIndependent: boolean
}

/** Memory that tasks of one launch share: written by one, read by later ones. It is theirs until the launch ends. */
export interface Workspace {
  /** Byte offset, a multiple of 16, of room for `length` floats. */
  floats(length: number): number
}

/**
 * What a launch is made of.
 *
 * @param parameters as in `Device.launch`: an operand of a map is four of them, the buffer and its three strides
 */
export type Launcher = (
  outputs: readonly Place[],
  grid: Grid,
  parameters: readonly (Place | TaskArgument)[],
  workspace: Workspace,
) => readonly Task[]

/** The runner's parameters at the end of a kernel's own. */
export const withRange = { from: 'i32', to: 'i32' } as const
export const withScratch = { scratch: 'i32', ...withRange } as const

type RunnerName = keyof typeof withScratch

type Given<P extends Parameters> = {
  readonly [K in Exclude<keyof P, RunnerName>]: P[K] extends 'f32' ? TaskArgument : number
}

/**
 * A task of this kernel.
 *
 * @param given every parameter but the runner's, under its name
 * @param options `items` (1 unless given), `cost` in operations, `scratch` in bytes (0 unless given), `isIndependent` of the
 *   launch's other tasks (false unless given)
 *
 * @example
 * const addOne = module.function('addOne', { x: 'i32', out: 'i32', ...withRange }, (f, { x, out, from, to }) => …)
 * task(addOne, { x: x.offset, out: out.offset }, { items: x.length, cost: x.length })
 */
export function task<P extends Parameters>(
  callee: Callee<P>,
  given: Given<P>,
  {
    items = 1,
    cost,
    scratch = 0,
    isIndependent = false,
  }: { items?: number; cost: number; scratch?: number; isIndependent?: boolean },
): Task {
  let names = givenNames.get(callee)
  if (!names) givenNames.set(callee, (names = Object.keys(callee.parameters).filter((name) => !(name in withScratch))))
  const values = names.map((name) => (given as Readonly<Record<string, TaskArgument>>)[name])
  return { callee, given: values, items, cost, scratch, isIndependent }
}

/** The names of what a launch gives, kept because small kernels are launched often. */
const givenNames = new WeakMap<Callee, readonly string[]>()

/** What a launcher gets for a fused kernel, which has no grid. */
export const noGrid: Grid = [1, 1, 1]

/** Makes a module when it is first asked for, so that only what a program uses is compiled. */
export function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

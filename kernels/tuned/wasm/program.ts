/**
 * A captured run as one WebAssembly function: its tasks as calls with constant arguments, which every thread walks, each
 * computing its share of a task's items; between tasks that need it the threads meet at a barrier.
 */
import { type Callee, integers, WasmModule } from './assembler.ts'
import { defineBarrier } from './barrier.ts'
import { f32, i32, select, type Value, type ValueType } from './instructions.ts'
import type { Task, TaskArgument } from './task.ts'

/** Bytes of the memory: from the first to before the last. */
export type Extent = readonly [from: number, to: number]

/** A step of a program, a task or something that JavaScript does on the main thread; and what it reads and writes. */
export interface Step {
  readonly does: { readonly task: Task } | { readonly host: () => void }
  readonly reads: readonly Extent[]
  readonly writes: readonly Extent[]
  /** The launch that it is of. */
  readonly launch: number
}

export interface Program {
  readonly module: WasmModule
  /** What `module` imports from JavaScript. */
  readonly host: Readonly<Record<string, (index: number) => void>>
  readonly run: Callee
  /** Bytes of scratch memory that every thread needs. */
  readonly scratch: number
  readonly steps: number
  /** How often the threads meet. */
  readonly meetings: number
}

/** Tasks of fewer operations are one thread's: to meet takes longer than they do. */
export const worthThreads = 20_000

/** Who does a step: all threads together, or the one whose number is this modulo the number of threads. */
type Doer = 'all' | number

interface Arranged extends Step {
  readonly doer: Doer
  /** Whether the threads meet before it. */
  readonly waits: boolean
}

const doers = 16

const overlaps = (a: readonly Extent[], b: readonly Extent[]): boolean =>
  a.some(([from, to]) => b.some((other) => from < other[1] && other[0] < to))

const isOrdered = (first: Step, then: Step): boolean => {
  if (first.launch === then.launch && 'task' in then.does && then.does.task.isIndependent) return false
  return overlaps(first.writes, then.reads) || overlaps(first.writes, then.writes) || overlaps(first.reads, then.writes)
}

/**
 * Decides who does each step, and before which of them the threads must meet: those that need what another thread did since
 * the last meeting, or would overwrite it. Small steps that do not need each other go to the threads in turn.
 */
export function arrange(steps: readonly Step[]): Arranged[] {
  let open: Arranged[] = []
  let turn = 0
  return steps.map((step) => {
    const { does } = step
    const needed = open.filter((before) => isOrdered(before, step))
    const by = new Set(needed.map(({ doer }) => doer))
    let doer: Doer = 'all'
    if ('host' in does) doer = 0
    else if (does.task.items === 1 || does.task.cost < worthThreads) {
      const [only] = by
      doer = by.size === 1 && only !== 'all' ? only : turn++ % doers
    }
    const waits = needed.some((before) => before.doer === 'all' || before.doer !== doer)
    if (waits) open = []
    const arranged = { ...step, doer, waits }
    open.push(arranged)
    return arranged
  })
}

/**
 * Makes the program. Its function `run(thread, threads, counter, before, mayWait, scratch, scratchStep)` is called by every
 * thread: `counter` is the barrier's, `before` what it held when the run began.
 */
export function defineProgram(steps: readonly Step[]): Program {
  const module = new WasmModule()
  const callees = new Map<Callee, Callee>()
  for (const { does } of steps) {
    if ('task' in does && !callees.has(does.task.callee)) callees.set(does.task.callee, module.import(does.task.callee))
  }
  const arranged = arrange(steps)
  const onHost = module.importHost('step', integers('index'))
  const barrier = defineBarrier(module)
  const parameters = integers('thread', 'threads', 'counter', 'before', 'mayWait', 'scratch', 'scratchStep')

  const run = module.function('run', parameters, (f, given) => {
    const { thread, threads, counter, before, mayWait } = given
    const scratch = f.local('i32', i32.add(given.scratch, i32.mul(thread, given.scratchStep)))
    const goal = f.local('i32', before)
    const from = f.local('i32')
    const to = f.local('i32')

    const call = ({ callee, given }: Task, first: Value<'i32'>, end: Value<'i32'>) => {
      const values: Record<string, Value<ValueType>> = {}
      const own: Readonly<Record<string, Value<'i32'>>> = { scratch, from: first, to: end }
      let position = 0
      for (const [name, type] of Object.entries(callee.parameters)) {
        values[name] = own[name] ?? constant(type, given[position++])
      }
      f.call(callees.get(callee)!, values)
    }
    arranged.forEach(({ does, doer, waits }, index) => {
      if (waits) {
        f.if(i32.gt_u(threads, 1), () => {
          f.advance(goal, threads)
          f.call(barrier, { counter, goal, mayWait })
        })
      }
      if (doer === 'all') {
        const { task } = does as { task: Task }
        const share = f.local('i32', i32.div_u(i32.add(i32.sub(threads, 1), task.items), threads))
        const least = (x: Value<'i32'>) => select(i32.lt_u(x, task.items), x, i32.const(task.items))
        f.set(from, i32.mul(thread, share))
        f.set(from, least(from))
        f.set(to, i32.add(from, share))
        f.set(to, least(to))
        call(task, from, to)
      } else {
        f.if(i32.eq(thread, i32.rem_u(doer, threads)), () => {
          if ('task' in does) call(does.task, i32.const(0), i32.const(does.task.items))
          else f.call(onHost, { index })
        })
      }
    })
  })
  const scratch = Math.max(0, ...steps.map(({ does }) => ('task' in does ? does.task.scratch : 0)))
  const host = { step: (index: number) => (steps[index].does as { host: () => void }).host() }
  const meetings = arranged.filter(({ waits }) => waits).length
  return { module, host, run, scratch, steps: steps.length, meetings }
}

function constant(type: ValueType, value: TaskArgument): Value<ValueType> {
  if (typeof value !== 'number') return f32.load(value.cell | 0)
  // Offsets in the upper half of the memory are negative as signed integers.
  return type === 'f32' ? f32.const(value) : i32.const(value | 0)
}

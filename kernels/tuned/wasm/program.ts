/**
 * A captured run as one WebAssembly function: its tasks as calls with constant arguments, which every thread walks, each
 * computing its share of a task's items; between tasks that need it the threads meet at a barrier.
 */
import { type Callee, integers, WasmModule } from './assembler.ts'
import { defineBarrier } from './barrier.ts'
import { f32, i32, select, type Value, type ValueType } from './instructions.ts'
import type { Task, TaskArgument } from './task.ts'

/** A step of a program: a task, or something that JavaScript does on the main thread. */
export type Step = { readonly task: Task } | { readonly host: () => void }

export interface Program {
  readonly module: WasmModule
  /** What `module` imports from JavaScript. */
  readonly host: Readonly<Record<string, (index: number) => void>>
  readonly run: Callee
  /** Bytes of scratch memory that every thread needs. */
  readonly scratch: number
  /** How often the threads meet. */
  readonly meetings: number
}

/** Tasks of fewer operations are one thread's: to meet takes longer than they do. */
export const worthThreads = 20_000

const isShared = (step: Step): boolean => 'task' in step && step.task.items > 1 && step.task.cost >= worthThreads

/**
 * Makes the program. Its function `run(thread, threads, counter, before, mayWait, scratch, scratchStep)` is called by every
 * thread: `counter` is the barrier's, `before` what it held when the run began.
 */
export function defineProgram(steps: readonly Step[]): Program {
  const module = new WasmModule()
  const callees = new Map<Callee, Callee>()
  for (const step of steps) {
    if ('task' in step && !callees.has(step.task.callee)) callees.set(step.task.callee, module.import(step.task.callee))
  }
  const onHost = module.importHost('step', integers('index'))
  const barrier = defineBarrier(module)
  const parameters = integers('thread', 'threads', 'counter', 'before', 'mayWait', 'scratch', 'scratchStep')
  let meetings = 0

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
    steps.forEach((step, index) => {
      if (isShared(step)) {
        const { task } = step as { task: Task }
        const share = f.local('i32', i32.div_u(i32.add(i32.sub(threads, 1), task.items), threads))
        const least = (x: Value<'i32'>) => select(i32.lt_u(x, task.items), x, i32.const(task.items))
        f.set(from, i32.mul(thread, share))
        f.set(from, least(from))
        f.set(to, i32.add(from, share))
        f.set(to, least(to))
        call(task, from, to)
      } else {
        f.if(i32.eqz(thread), () => {
          if ('task' in step) call(step.task, i32.const(0), i32.const(step.task.items))
          else f.call(onHost, { index })
        })
      }
      // One thread needs nobody between two steps of its own. After the last step the pool waits for all anyway.
      const next = steps[index + 1]
      if (next && (isShared(step) || isShared(next))) {
        meetings++
        f.if(i32.gt_u(threads, 1), () => {
          f.advance(goal, threads)
          f.call(barrier, { counter, goal, mayWait })
        })
      }
    })
  })
  const scratch = Math.max(0, ...steps.map((step) => ('task' in step ? step.task.scratch : 0)))
  const host = { step: (index: number) => (steps[index] as { host: () => void }).host() }
  return { module, host, run, scratch, meetings }
}

function constant(type: ValueType, value: TaskArgument): Value<ValueType> {
  if (typeof value !== 'number') return f32.load(value.cell)
  return type === 'f32' ? f32.const(value) : i32.const(value)
}

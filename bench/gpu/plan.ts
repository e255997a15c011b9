/** In which order the GPU bench does its work: what matters most first, the engines in turns. */
import type { Engine } from './records.ts'
import type { GpuSettings, Section } from './settings.ts'
import type { Task } from './task.ts'

/** PyTorch takes the same tasks, and one of its own: its compiler is slow, so it comes late and once. */
export interface CompiledTask {
  readonly kind: 'compiled'
  readonly round: number
  readonly name: string
  readonly size: unknown
  readonly quick: boolean
}

export interface Turn {
  readonly engine: Engine
  readonly round: number
  /** Of the task, for people. */
  readonly label: string
  readonly task: Task | CompiledTask
}

export function tasksOf(settings: GpuSettings): Turn[] {
  const { quick, models, products, parity, rounds, torch } = settings
  const turns: Turn[] = []
  const ours = (label: string, task: Task) => turns.push({ engine: 'sluice', round: task.round, label, task })
  const theirs = (label: string, task: Task | CompiledTask) => {
    if (torch) turns.push({ engine: 'pytorch', round: task.round, label, task })
  }
  const has = (section: Section) => settings.only.includes(section)
  const named = Object.entries(models)

  ours('machine', { kind: 'machine', round: 1 })
  theirs('machine', { kind: 'machine', round: 1 })
  const measure = (round: number) => {
    if (has('products')) {
      const task: Task = { kind: 'products', round, cases: products, profile: false }
      ours('products', task)
      theirs('products', task)
    }
    if (has('steps')) {
      for (const [name, size] of named) {
        const task: Task = { kind: 'steps', round, name, size, quick }
        ours(`step of ${name}`, task)
        theirs(`step of ${name}`, task)
      }
    }
  }
  measure(1)
  if (has('parity')) ours('parity', { kind: 'parity', round: 1, runs: parity })
  if (has('profile')) {
    for (const [name, size] of named) ours(`profile of ${name}`, { kind: 'profile', round: 1, name, size })
    ours('products by timestamps', { kind: 'products', round: 1, cases: products, profile: true })
  }
  for (let round = 2; round <= rounds; round++) measure(round)
  if (has('steps')) {
    for (const [name, size] of named) {
      theirs(`compiled step of ${name}`, { kind: 'compiled', round: 1, name, size, quick })
    }
  }
  return turns
}

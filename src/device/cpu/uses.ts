/** Where the values of a program are made, read and changed. */
import type { TracedLaunch } from '../device.ts'

/** Whether a value is used by the launches only. */
export type IsTemporary<V> = (value: V) => boolean

/** Where each value is made and read, by the places of launches. */
export class Uses<V> {
  readonly makers = new Map<V, number>()
  readonly readers = new Map<V, number[]>()
  /** Launches that change a buffer in place, with what they change. */
  readonly updates: { readonly at: number; readonly value: V }[] = []

  constructor(launches: readonly (TracedLaunch<V> | null)[]) {
    launches.forEach((launch, at) => {
      if (!launch) return
      for (const value of valuesRead(launch)) {
        const list = this.readers.get(value)
        if (!list) this.readers.set(value, [at])
        else if (list.at(-1) !== at) list.push(at)
      }
      const { kernel, outputs } = launch
      const kinds = kernel.kind === 'fused' ? Object.values(kernel.results) : ['new']
      outputs.forEach((value, i) => {
        if (kinds[i] === 'update') this.updates.push({ at, value })
        else this.makers.set(value, at)
      })
    })
  }

  /** Whether one of `values` is changed in place between two launches. */
  changesBetween(values: readonly V[], first: number, last: number): boolean {
    return this.updates.some(({ at, value }) => first < at && at < last && values.includes(value))
  }
}

export function valuesRead<V>({ parameters }: TracedLaunch<V>): V[] {
  return parameters.filter((p): p is V => typeof p === 'object')
}

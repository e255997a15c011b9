/**
 * Which of a program's temporary values share memory: two may, when the last use of one comes before the first of the
 * other.
 */

/** A value of the program; times are places in its list of steps. */
export interface Lifetime {
  readonly bytes: number
  /** Values of one kind only share memory with each other, such as those of one element type. */
  readonly kind: string
  readonly first: number
  readonly last: number
  /** Other values, by their places in the list, that the step which makes this one may overwrite as it reads them. */
  readonly overwrites?: readonly number[]
}

export interface Plan {
  /** For each value, in order, the slot it lies in. */
  readonly slots: readonly number[]
  readonly sizes: readonly { readonly bytes: number; readonly kind: string }[]
}

/**
 * Assigns slots: the largest values first, each to the first slot of its kind that is free during its whole life. A slot
 * is then as large as the first value put there.
 *
 * @example
 * planSlots([{ bytes: 8, kind: 'f', first: 0, last: 1 }, { bytes: 4, kind: 'f', first: 2, last: 3 }]).slots // [0, 0]
 */
export function planSlots(values: readonly Lifetime[]): Plan {
  const order = values.map((_, i) => i).sort((a, b) => values[b].bytes - values[a].bytes || a - b)
  const slots = new Array<number>(values.length)
  const sizes: { bytes: number; kind: string }[] = []
  const held: number[][] = []
  /** Whether one value is of no more use when the other is made. */
  const areApart = (before: number, after: number) =>
    values[before].last < values[after].first ||
    (values[before].last === values[after].first && (values[after].overwrites?.includes(before) ?? false))
  for (const i of order) {
    const value = values[i]
    const isFree = (slot: number) =>
      sizes[slot].kind === value.kind && held[slot].every((other) => areApart(other, i) || areApart(i, other))
    let slot = sizes.findIndex((_, k) => isFree(k))
    if (slot < 0) {
      slot = sizes.length
      sizes.push({ bytes: value.bytes, kind: value.kind })
      held.push([])
    }
    held[slot].push(i)
    slots[i] = slot
  }
  return { slots, sizes }
}

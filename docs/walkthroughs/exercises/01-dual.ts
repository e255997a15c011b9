/**
 * Exercise: the chain rule forwards.
 *
 * A dual number is a value together with its slope by one chosen input. The input itself is `{ value: x, slope: 1 }`, a
 * constant `{ value: c, slope: 0 }`. Every operation computes both at once, so that the slope arrives with the result.
 *
 * TODO: right slopes for `multiply`, `divide` and `sine`; `add` is done.
 */
export interface Dual {
  readonly value: number
  readonly slope: number
}

export function add(a: Dual, b: Dual): Dual {
  return { value: a.value + b.value, slope: a.slope + b.slope }
}

export function multiply(a: Dual, b: Dual): Dual {
  return { value: a.value * b.value, slope: 0 }
}

export function divide(a: Dual, b: Dual): Dual {
  return { value: a.value / b.value, slope: 0 }
}

export function sine(a: Dual): Dual {
  return { value: Math.sin(a.value), slope: 0 }
}

/** The chain rule forwards: each operation computes a value and its slope by the one input that was chosen. */
export interface Dual {
  readonly value: number
  readonly slope: number
}

export function add(a: Dual, b: Dual): Dual {
  return { value: a.value + b.value, slope: a.slope + b.slope }
}

export function multiply(a: Dual, b: Dual): Dual {
  return { value: a.value * b.value, slope: a.slope * b.value + a.value * b.slope }
}

export function divide(a: Dual, b: Dual): Dual {
  const value = a.value / b.value
  // From a = value × b: a.slope = slope × b + value × b.slope.
  return { value, slope: (a.slope - value * b.slope) / b.value }
}

export function sine(a: Dual): Dual {
  return { value: Math.sin(a.value), slope: Math.cos(a.value) * a.slope }
}

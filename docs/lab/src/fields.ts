/** One value of the lab's state: how it is written in a URL, and what it may be. */

export interface Field<Value> {
  readonly initial: Value
  /** What a value must be, for messages and for labels. */
  readonly expected: string
  /** The value that a text says; undefined when it says none. */
  read(text: string): Value | undefined
  write(value: Value): string
}

/** A number in decimal notation, or undefined: `Number` would also take '', ' 1' and '0x10'. */
function decimal(text: string): number | undefined {
  return /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : undefined
}

export interface NumberField extends Field<number> {
  readonly least: number
  readonly greatest: number
}

/** A number from `least` to `greatest`. */
export function real(initial: number, least: number, greatest: number): NumberField {
  return {
    initial,
    least,
    greatest,
    expected: `a number from ${least} to ${greatest}`,
    read(text) {
      const value = decimal(text)
      return value !== undefined && value >= least && value <= greatest ? value : undefined
    },
    write: String,
  }
}

/** An integer from `least` to `greatest`. */
export function integer(initial: number, least: number, greatest: number): NumberField {
  const field = real(initial, least, greatest)
  return {
    ...field,
    expected: `an integer from ${least} to ${greatest}`,
    read(text) {
      const value = field.read(text)
      return Number.isInteger(value) ? value : undefined
    },
  }
}

export interface ChoiceField<Value extends string | number> extends Field<Value> {
  readonly values: readonly Value[]
}

export function choice<const Value extends string | number>(
  initial: NoInfer<Value>,
  values: readonly Value[],
): ChoiceField<Value> {
  return {
    initial,
    values,
    expected: `one of ${values.join(', ')}`,
    read: (text) => values.find((value) => String(value) === text),
    write: String,
  }
}

export function flag(initial: boolean): Field<boolean> {
  return {
    initial,
    expected: '1 or 0',
    read: (text) => (text === '1' ? true : text === '0' ? false : undefined),
    write: (value) => (value ? '1' : '0'),
  }
}

/** A text of at most `longest` characters. */
export function words(longest: number): Field<string> {
  return {
    initial: '',
    expected: `a text of at most ${longest} characters`,
    read: (text) => (text.length <= longest ? text : undefined),
    write: (value) => value,
  }
}

/** Labelled form controls for the fields of the state. What is no value of the field is kept as it was typed, with what is expected. */
import { useId, useState } from 'preact/hooks'
import type { ChoiceField, NumberField } from '../fields.ts'

interface ControlProps<Value> {
  readonly label: string
  readonly value: Value
  /** @returns why the value cannot be, or null */
  change(value: Value): string | null
}

export function NumberControl({
  label,
  value,
  field,
  step = 1,
  change,
}: ControlProps<number> & { readonly field: NumberField; readonly step?: number | 'any' }) {
  const id = useId()
  const [refused, setRefused] = useState<{ text: string; reason: string } | undefined>(undefined)
  const take = (text: string): void => {
    const read = field.read(text)
    const reason = read === undefined ? `Expected ${field.expected}.` : change(read)
    setRefused(reason === null ? undefined : { text, reason })
  }
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="number"
        min={field.least}
        max={field.greatest}
        step={step}
        value={refused?.text ?? String(value)}
        aria-invalid={refused !== undefined}
        aria-describedby={refused && `${id}-reason`}
        onChange={(event) => take(event.currentTarget.value)}
      />
      {refused && (
        <p class="reason" id={`${id}-reason`}>
          {refused.reason}
        </p>
      )}
    </div>
  )
}

export function ChoiceControl<Value extends string>({
  label,
  value,
  field,
  words,
  change,
}: ControlProps<Value> & { readonly field: ChoiceField<Value>; readonly words: Readonly<Record<string, string>> }) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => change(event.currentTarget.value as Value)}>
        {field.values.map((each) => (
          <option key={each} value={each}>
            {words[each] ?? each}
          </option>
        ))}
      </select>
    </div>
  )
}

export function FlagControl({ label, value, change }: ControlProps<boolean>) {
  const [reason, setReason] = useState<string | null>(null)
  const id = useId()
  return (
    <div class="field flag">
      <input
        id={id}
        type="checkbox"
        checked={value}
        onChange={(event) => setReason(change(event.currentTarget.checked))}
      />
      <label for={id}>{label}</label>
      {reason && <p class="reason">{reason}</p>}
    </div>
  )
}

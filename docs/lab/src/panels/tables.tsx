/** Tables of the panels: both runs beside each other, and long ones that are made when they are asked for. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { Arm, Both } from '../protocol.ts'
import { armNames, arms } from '../words.ts'

/** What a row is, and a cell for each run. */
export type Row = readonly [title: string, cells: Both<string>]

export const both = (cell: (arm: Arm) => string): Both<string> => [cell(0), cell(1)]

export function ArmTable({ rows }: { readonly rows: readonly Row[] }) {
  return (
    <table>
      <thead>
        <tr>
          <td />
          {arms.map((arm) => (
            <th key={arm} scope="col" class={`arm-${arm}`}>
              Run {armNames[arm]}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(([title, cells]) => (
          <tr key={title}>
            <th scope="row">{title}</th>
            {arms.map((arm) => (
              <td key={arm}>{cells[arm]}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

interface LongTableProps {
  readonly summary: string
  readonly label: string
  /** The table, made while it is open. */
  table(): ComponentChildren
}

export function LongTable({ summary, label, table }: LongTableProps) {
  const [isOpen, setOpen] = useState(false)
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{summary}</summary>
      {isOpen && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must take the focus
        <section class="scroll tall" tabIndex={0} aria-label={label}>
          {table()}
        </section>
      )}
    </details>
  )
}

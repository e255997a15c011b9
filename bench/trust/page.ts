/** The page of trust: what `npm run trust` found, as Markdown. */
import { tableInMarkdown } from '../table.ts'
import type { TrustRow } from './row.ts'

export const trustHeadings = ['test', 'tries', 'faults injected', 'losses', 'worst']

export function trustPage(rows: readonly TrustRow[], machine: string): string {
  const cells = rows.map(({ test, tries, faults, losses, worst }) => [
    test,
    tries.toLocaleString('en'),
    faults,
    losses.toLocaleString('en'),
    worst,
  ])
  return `# Trust

What was done to break it, by \`npm run trust -- --write\` (${machine}). Each change runs a shorter form. A *loss* is a try
that crashed, hung, lost or left something, or came to another result than the undisturbed one.

${tableInMarkdown({ title: 'Tries and losses', headings: trustHeadings, rows: cells })}
`
}

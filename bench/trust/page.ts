/** The page of trust: what `npm run trust` found, as Markdown. */
import { tableInMarkdown } from '../table.ts'
import type { TrustRow } from './row.ts'

export const trustHeadings = ['test', 'tries', 'faults injected', 'losses', 'worst']

/** What one suite gave, and where. */
export interface Tried {
  readonly name: string
  readonly rows: readonly TrustRow[]
  readonly seconds: number
  readonly machine: string
}

const titles: Readonly<Record<string, string>> = {
  accuracy: 'Accuracy',
  crash: 'Crashes',
  soak: 'Long runs, and runs side by side',
  hostile: 'Hostile files',
  environments: 'Environments',
  package: 'The package',
}

function section({ name, rows }: Tried): string {
  const cells = rows.map(({ test, tries, faults, losses, worst }) => [
    test,
    tries.toLocaleString('en'),
    faults,
    losses.toLocaleString('en'),
    worst,
  ])
  return tableInMarkdown({ title: titles[name] ?? name, headings: trustHeadings, rows: cells })
}

export function trustPage(tried: readonly Tried[]): string {
  return `# Trust

What was done to break it, by \`npm run trust -- --write\`. The gate of every change runs a shorter form, \`npm run trust -- --short\`. A *loss* is a try that
crashed, hung, lost or left something, or came to another result than the undisturbed one.

${tried.map(section).join('\n\n')}

Measured:

${tried.map(({ name, seconds, machine }) => `- ${titles[name] ?? name}: ${machine}; ${seconds} s`).join('\n')}
`
}

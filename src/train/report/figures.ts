/** What every section of the report is made of: figures with captions, legends, and each run's colour. */
import type { ReportRun } from './data.ts'
import { escapeText, type Markup, markup } from './markup.ts'

/** A figure: its content above one caption that says how to read it; a long one may break across pages. */
export function figure(content: string, caption: string, kind?: 'long'): Markup {
  return markup(`<figure${kind ? ` class="${kind}"` : ''}>\n${content}\n<figcaption>${caption}</figcaption>\n</figure>`)
}

/** A titled part of the report. */
export function section(id: string, heading: string, content: string): Markup {
  return markup(`<section aria-labelledby="${id}">\n<h2 id="${id}">${heading}</h2>\n${content}\n</section>`)
}

/** The same chart drawn for a page, 960 wide, and for a phone, 400 wide: the style sheet shows one of them. */
export function wideAndNarrow(draw: (id: 'wide' | 'narrow', width: number) => string): Markup {
  return markup(
    `<div class="chart wide">${draw('wide', 960)}</div>\n<div class="chart narrow">${draw('narrow', 400)}</div>`,
  )
}

/** The colour of a run, the same in every figure; there are six, then they repeat. */
export function runColour(index: number): string {
  return `var(--run-${index % 6})`
}

export type LegendMark = 'block' | 'faint' | 'strong' | 'dot' | 'dashed'

const marks: Record<LegendMark, string> = {
  block: '<rect y="2" width="12" height="12" rx="2" fill="currentColor"/>',
  faint:
    '<path d="M0 9l4-4 4 6 4-7 4 6 4-5" fill="none" stroke="currentColor" stroke-opacity="0.35" stroke-width="1.5"/>',
  strong: '<path d="M0 8H22" stroke="currentColor" stroke-width="2.5"/>',
  dot: '<circle cx="11" cy="8" r="4.5" fill="var(--paper)" stroke="currentColor" stroke-width="2"/>',
  dashed: '<path d="M0 8H22" stroke="currentColor" stroke-width="1.5" stroke-dasharray="5 3"/>',
}

export interface LegendEntry {
  label: string
  mark: LegendMark
  colour?: string
}

/** A legend above a chart: what each colour and each kind of mark stands for. */
export function legend(entries: LegendEntry[]): Markup {
  const items = entries.map(
    ({ label, mark, colour = 'var(--muted)' }) =>
      `<li><svg width="${mark === 'block' ? 12 : 22}" height="16" aria-hidden="true" style="color:${colour}">${marks[mark]}</svg>` +
      `${escapeText(label)}</li>`,
  )
  return markup(`<ul class="legend">${items.join('')}</ul>`)
}

/** The legend's entries of the runs at `shown`, all of them unless given. */
export function runEntries(runs: ReportRun[], shown = runs.map((_, index) => ({ index }))): LegendEntry[] {
  return shown.map(({ index }) => ({ label: runs[index]!.name, mark: 'block', colour: runColour(index) }))
}

/** A run's name as the heading of its column, with its colour before it. */
export function runHeading(run: ReportRun, index: number): Markup {
  return markup(`<p class="run-name" style="--run:${runColour(index)}">${escapeText(run.name)}</p>`)
}

/** The runs' names for a spoken label; not escaped. */
export function namesOf(runs: ReportRun[]): string {
  return runs.map(({ name }) => name).join(' and ')
}

/**
 * The training report: one HTML file that stands alone, from plain data.
 *
 * No scripts and nothing fetched: charts are SVG, attention maps are images inside the file. The same data gives the
 * same file, byte for byte.
 */
import { checkReportData, type ReportData } from './data.ts'
import { page } from './page.ts'
import { activationSection, attentionSection, configurationSection, gateSection, sampleSection } from './sections.ts'
import { header, summaryTable } from './summary.ts'
import { trainingSection } from './training.ts'

/**
 * Draws the report of one or more training runs as a self-contained HTML page.
 *
 * Figures whose data is absent are left out. Sentences under the figures are computed from the data; they say so when
 * the order of the runs is the reverse of the paper's.
 *
 * @throws SluiceError when there is no run, or an attention map does not have one weight for each pair of tokens.
 *
 * @example
 * writeFileSync('report.html', renderReport({
 *   title: 'Gated attention on Moby Dick', createdAt: new Date().toISOString(), configuration: { width: 128 },
 *   baselines: [{ name: 'bigram', loss: 2.45 }], runs: [gated, ungated],
 * }))
 */
export function renderReport(data: ReportData): string {
  checkReportData(data)
  return page(data.title, [
    header(data),
    summaryTable(data),
    trainingSection(data),
    attentionSection(data),
    gateSection(data),
    activationSection(data),
    sampleSection(data),
    configurationSection(data),
  ])
}

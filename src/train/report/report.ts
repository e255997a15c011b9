/**
 * The training report: one HTML file that stands alone, from plain data.
 *
 * No scripts and nothing fetched: charts are SVG, attention maps are images inside the file. The same data gives the
 * same file, byte for byte.
 */
import { checkReportData, type ReportData } from './data.ts'
import { escapeText } from './markup.ts'
import { activationSection, attentionSection, configurationSection, gateSection, sampleSection } from './sections.ts'
import { style } from './style.ts'
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
  const body = [
    header(data),
    summaryTable(data),
    trainingSection(data),
    attentionSection(data),
    gateSection(data),
    activationSection(data),
    sampleSection(data),
    configurationSection(data),
  ].filter((part) => part !== '')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeText(data.title)}</title>
<style>${style}</style>
</head>
<body>
<main>
${body.join('\n')}
</main>
</body>
</html>
`
}

/** What the study's page adds to the reports' common style sheet. */
export const studyStyle = `
.columns-table th, .columns-table td { padding-left: 1rem; }
.columns-table { font-size: .875rem; }
.columns-table thead th { vertical-align: bottom; font-weight: 600; }
.columns-table .words { text-align: left; }
.columns-table td.paper { color: var(--muted); }
.columns-table th[scope=row] { min-width: 7.5rem; }
.columns-table th[scope=row] small { font-size: .75rem; }
.interval { white-space: nowrap; }
.scroll + .chart, .chart + .scroll { margin-top: 1.5rem; }
.claims td, .claims th { vertical-align: top; }
.claims .verdict { white-space: nowrap; font-weight: 600; }
.verdict::before { content: attr(data-sign); display: inline-block; width: 1.3em; font-weight: 400; }
.small-maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 1.25rem 1rem; }
.small-maps .map { display: block; width: 100%; aspect-ratio: 1; }
.gate-row { margin-bottom: 1.5rem; }
.gate-row > h3 { margin-bottom: .4rem; }
@media print {
  .columns-table { font-size: 7.5pt; }
  .columns-table th, .columns-table td { padding-left: .5rem; }
  .columns-table small { font-size: 7pt; }
  .columns-table th[scope=row] { min-width: 5.5rem; }
  .small-maps { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .scroll { overflow: visible; }
}
`

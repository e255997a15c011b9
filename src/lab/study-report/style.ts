/** What the study's page adds to the reports' common style sheet. */
export const studyStyle = `
.columns-table :is(th, td):not(:first-child) { padding-left: .8rem; }
.columns-table { font-size: .875rem; }
.columns-table td:not(.words) { white-space: nowrap; }
.columns-table thead th { vertical-align: bottom; font-weight: 600; }
.columns-table .words { text-align: left; }
.columns-table td.paper { color: var(--muted); }
.columns-table th[scope=row] { min-width: 7.5rem; }
.columns-table th[scope=row] small { font-size: .75rem; }
.columns-table .interval { font-size: .72rem; letter-spacing: -.01em; }
figure > h3:first-child { font-size: 1rem; }
.gates { grid-template-columns: repeat(auto-fill, minmax(min(200px, 100%), 1fr)); gap: .75rem 1.25rem; }
.gates h3 { font-weight: 400; color: var(--muted); }
.claims td, .claims th { vertical-align: top; }
.claims .verdict { white-space: nowrap; font-weight: 600; }
.verdict::before { content: attr(data-sign); display: inline-block; width: 1.3em; font-weight: 400; }
.small-maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: 1.25rem 1rem; }
.small-maps .map { display: block; width: 100%; aspect-ratio: 1; }
.small-maps .share { gap: .4rem; }
.small-maps .share span { min-width: 0; overflow-wrap: anywhere; }
.gate-row { margin-bottom: 1.5rem; }
.gate-row > h3 { margin-bottom: .4rem; }
@media screen and (max-width: 640px) {
  .claims thead { display: none; }
  .claims, .claims tbody, .claims tr, .claims th, .claims td { display: block; }
  .claims tr { padding: .75rem 0; border-bottom: 1px solid var(--rule); }
  .claims :is(th, td):is(:first-child, :not(:first-child)) { padding: 0 0 .25rem; border: 0; }
  .claims td:nth-child(2)::before { content: "Paper: "; color: var(--muted); }
  .claims td:nth-child(3)::before { content: "Here: "; color: var(--muted); }
}
@media print {
  .columns-table { font-size: 7.5pt; }
  .columns-table :is(th, td):not(:first-child) { padding-left: .4rem; }
  .columns-table :is(small, .interval), .columns-table th[scope=row] small { font-size: 6.5pt; }
  .claims .verdict { white-space: normal; }
  .gates { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .columns-table th[scope=row] { min-width: 5.5rem; }
  .small-maps { grid-template-columns: repeat(6, minmax(0, 1fr)); }
  .scroll { overflow: visible; }
}
`

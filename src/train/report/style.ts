/**
 * The report's style sheet: one column of text and figures, system fonts, light and dark, screen and paper.
 *
 * Charts are drawn twice, wide and narrow, and one is shown; dark mode turns the attention maps' scale around, so that
 * zero is always the colour of the page.
 */

export const style = `
:root {
  color-scheme: light;
  --paper: #fff; --ink: #1b1d21; --muted: #5d6570; --rule: #e3e5e9; --tint: #f5f6f8; --mark: #fdf0c4;
  --run-0: #1f66ad; --run-1: #e08214; --run-2: #2a9d6f; --run-3: #9b4fb5; --run-4: #c23b4a; --run-5: #6b7280;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    color-scheme: dark;
    --paper: #14161a; --ink: #e6e8eb; --muted: #9aa3af; --rule: #2d3138; --tint: #1c1f24; --mark: #4a3f16;
    --run-0: #6aa9e9; --run-1: #f0a24a; --run-2: #5cc79b; --run-3: #c58ada; --run-4: #ec7b86; --run-5: #a3abb8;
  }
  .map { filter: invert(1) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: calc(960px + 3rem);
  background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
h1 { margin: 0; font-size: 2rem; line-height: 1.2; letter-spacing: -0.01em; }
h2 { margin: 3.5rem 0 1.25rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-size: 1.3rem; line-height: 1.3; }
h3 { margin: 0 0 .5rem; font-size: .9rem; font-weight: 600; }
p { margin: 0; }
.date { margin-bottom: .5rem; color: var(--muted); font-size: .875rem; }
.subtitle { margin-top: .25rem; color: var(--muted); font-size: 1.125rem; }
.lead { margin: 1.25rem 0 2rem; max-width: 44rem; }
mark { background: var(--mark); color: inherit; border-radius: 2px; }
small { display: block; color: var(--muted); font-size: .8125rem; font-weight: 400; line-height: 1.4; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.scroll { position: relative; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { caption-side: bottom; padding-top: .75rem; text-align: left; color: var(--muted); font-size: .875rem; }
th, td { padding: .55rem 0 .55rem 1.5rem; border-bottom: 1px solid var(--rule); vertical-align: baseline; text-align: right; }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
thead th, thead td { border-bottom: 1.5px solid var(--ink); }
tbody th { font-weight: 400; }
td.none { color: var(--muted); }

.run-name { font-weight: 600; }
.run-name::before {
  content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .45em; border-radius: 2px; background: var(--run);
}
figure { margin: 0 0 2.5rem; break-inside: avoid; }
figcaption { margin-top: .75rem; max-width: 46rem; color: var(--muted); font-size: .875rem; }
.chart svg, .small-chart svg { display: block; width: 100%; height: auto; }
.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 0 0 .75rem; padding: 0; list-style: none; font-size: .875rem; }
.legend li { display: flex; align-items: center; gap: .4rem; min-width: 0; overflow-wrap: anywhere; }
.legend svg { flex: none; }
.small-charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(240px, 100%), 1fr)); gap: 1.5rem 1.25rem; }
.small-chart { max-width: 560px; break-inside: avoid; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(360px, 100%), 1fr)); gap: 1.5rem 2.5rem; }
.small-chart h3 { margin-bottom: 0; }

.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 1.5rem 3rem; }
.column { display: flex; flex-direction: column; min-width: 0; }
.column > pre { flex: 1; }
.column > .run-name { margin-bottom: .5rem; font-size: .9rem; }
.layer { margin-top: 2rem; padding-top: 1rem; border-top: 1px solid var(--rule); break-inside: avoid; }
.layer:first-child { margin-top: 0; }
.heads { display: grid; grid-template-columns: repeat(var(--across), minmax(0, 1fr)); gap: 1rem; }
.map { image-rendering: pixelated; }
.head .map { display: block; width: 100%; aspect-ratio: 1; }
.mean-map { display: block; width: 100%; height: auto; }
.share { display: flex; justify-content: space-between; margin-top: .25rem; font-size: .8125rem; font-variant-numeric: tabular-nums; }
.share span, .absent { color: var(--muted); }
.absent { font-size: .875rem; }
.read { margin-bottom: 1rem; font-size: .875rem; color: var(--muted); }
.read q { color: var(--ink); white-space: pre-wrap; overflow-wrap: anywhere; }
.scale { display: flex; flex-wrap: wrap; align-items: flex-start; gap: .5rem 1rem; margin-bottom: 1.5rem; color: var(--muted); font-size: .8125rem; line-height: 14px; }
.ramp { position: relative; width: 260px; height: 34px; margin-right: .75rem; }
.ramp .map { display: block; width: 100%; height: 14px; image-rendering: auto; }
.ramp span { position: absolute; top: 18px; transform: translateX(-50%); font-variant-numeric: tabular-nums; }
.masked { display: flex; gap: .4rem; }
.masked .map { width: 14px; height: 14px; }

pre { margin: 0; padding: 1rem; border-radius: 4px; background: var(--tint); font: .8125rem/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }

@media screen and (max-width: 640px) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.6rem; }
  h2 { margin-top: 2.5rem; }
  .wide { display: none; }
  .narrow { display: block; }
  th, td { padding-left: 1rem; }
  .heads { gap: .75rem; }
  .mean-map text { display: none; }
}
@media print {
  @page { margin: 14mm; }
  body { padding: 0; max-width: none; font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { margin-top: 1.75rem; margin-bottom: .75rem; }
  h2, h3, .legend, .column > .run-name { break-after: avoid; }
  figure { margin-bottom: 1.5rem; }
  figure.long { break-inside: auto; }
  figcaption { break-before: avoid; }
  tr, .configuration { break-inside: avoid; }
  .columns, .pair { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem 2rem; }
  .small-charts { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .heads, .mean-map, .column > .share { max-width: 310px; }
  .heads { gap: .5rem; }
  .legend { gap: .25rem 1rem; }
  .layer { margin-top: 1rem; padding-top: .5rem; }
  pre { font-size: 8.5pt; }
}
`

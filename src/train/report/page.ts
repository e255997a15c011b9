/** The frame of every report: one HTML file that stands alone, without scripts and with nothing to fetch. */
import { escapeText, type Markup } from './markup.ts'
import { style } from './style.ts'

/** The page of these parts; empty ones are left out. @param more rules that follow the reports' common style sheet. */
export function page(title: string, parts: Markup[], more = ''): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeText(title)}</title>
<style>${style}${more}</style>
</head>
<body>
<main>
${parts.filter((part) => part !== '').join('\n')}
</main>
</body>
</html>
`
}

/** One-line formulas and docstrings of records as HTML: powers raised, comparisons as signs, `code` as code. */

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** A power: a sign, then letters and digits, or what stands in brackets, which then are not needed. */
const power = /\^(-?[\p{L}\p{N}]+(?:\.\d+)?|-?\((?:[^()]|\([^()]*\))*\))/gu

function math(text: string): string {
  const signs = text.replaceAll('<=', '≤').replaceAll('>=', '≥').replaceAll('!=', '≠').replaceAll('->', '→')
  return escapeHtml(signs).replace(power, (_, raised: string) => {
    const bare = raised.replace(/^\((.*)\)$/, '$1')
    return `<sup>${math(bare).replaceAll('-', '−')}</sup>`
  })
}

export function formula(text: string): string {
  return text
    .split(/(`[^`]*`)/)
    .map((part) => (part.startsWith('`') ? `<code>${escapeHtml(part.slice(1, -1))}</code>` : math(part)))
    .join('')
}

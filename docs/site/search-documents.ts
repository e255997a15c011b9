/** The texts that the search looks through: one for each section of a page, and one for each public name. */
import { writeFileSync } from 'node:fs'
import { relativeAddress } from './links.ts'

export interface SearchDocument {
  readonly id: number
  /** Of the page. */
  readonly page: string
  /** Of the section; the page's for what stands above the first one. */
  readonly title: string
  /** From the root of the site, without a slash before it. */
  readonly url: string
  readonly text: string
}

const entities: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  '#39': "'",
  '#x26': '&',
  '#x3C': '<',
}

function plain(html: string): string {
  return html
    .replace(/<(script|style)[\s\S]*?<\/\1>/g, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&(#?\w+);/g, (whole, name) => entities[name] ?? whole)
    .replace(/\s+/g, ' ')
    .trim()
}

/** The sections of a page's main part, by their headings. */
function sectionsOf(html: string): { id: string; title: string; text: string }[] {
  const main = /<main[^>]*>([\s\S]*?)<\/main>/.exec(html)?.[1] ?? ''
  const starts = [...main.matchAll(/<h([1-3])[^>]*?(?: id="([^"]*)")?[^>]*>([\s\S]*?)<\/h\1>/g)]
  return starts.map((start, i) => ({
    id: start[1] === '1' ? '' : (start[2] ?? ''),
    title: plain(start[3]),
    text: plain(main.slice(start.index + start[0].length, starts[i + 1]?.index)).slice(0, 4000),
  }))
}

export function searchDocuments(results: readonly { url: string; content: string }[], path: string): void {
  const documents: SearchDocument[] = []
  for (const { url, content } of results) {
    if (typeof content !== 'string' || !content.includes('<main')) continue
    const sections = sectionsOf(content)
    const page = sections[0]?.title ?? ''
    for (const { id, title, text } of sections) {
      const address = relativeAddress('/', id ? `${url}#${id}` : url)
      documents.push({ id: documents.length, page, title, url: address, text })
    }
  }
  writeFileSync(path, JSON.stringify(documents))
}

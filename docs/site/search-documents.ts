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

/** Tags that stand within words and between them; all others part what they stand between. */
const inline = /<\/?(?:a|b|code|em|i|kbd|span|strong|sub|sup)\b[^>]*>/g

function plain(html: string): string {
  return html
    .replace(inline, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&(#?\w+);/g, (whole, name) => entities[name] ?? whole)
    .replace(/\s+/g, ' ')
    .trim()
}

/** A page's main part as its sections, by their headings; of an operation's page, which is short, as one. */
function sectionsOf(html: string, whole: boolean): { id: string; title: string; text: string }[] {
  const main = /<main[^>]*>([\s\S]*?)(?:<nav class="turn"[\s\S]*)?<\/main>/.exec(html)?.[1] ?? ''
  const starts = [...main.matchAll(/<h([1-3])(?:[^>]* id="([^"]*)")?[^>]*>([\s\S]*?)<\/h\1>/g)]
  return starts.slice(0, whole ? 1 : undefined).map((start, i) => ({
    id: start[1] === '1' ? '' : (start[2] ?? ''),
    title: plain(start[3]),
    text: plain(main.slice(start.index + start[0].length, whole ? undefined : starts[i + 1]?.index)).slice(0, 4000),
  }))
}

export function searchDocuments(results: readonly { url: string; content: string }[], path: string): void {
  const documents: SearchDocument[] = []
  for (const { url, content } of results) {
    // The first page repeats what others say.
    if (url === '/' || typeof content !== 'string' || !content.includes('<main')) continue
    const sections = sectionsOf(content, url.startsWith('/reference/operations/'))
    const page = sections[0]?.title ?? ''
    for (const { id, title, text } of sections) {
      const address = relativeAddress('/', id ? `${url}#${id}` : url)
      documents.push({ id: documents.length, page, title, url: address, text })
    }
  }
  writeFileSync(path, JSON.stringify(documents))
}

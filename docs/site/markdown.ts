/** Markdown as this site writes it: ids for headings, links between sources, code in colour. */
import { existsSync } from 'node:fs'
import { posix } from 'node:path'
import { createCssVariablesTheme, createHighlighter, type Highlighter } from 'shiki'

/** What is used of markdown-it, which has no types of its own. */
interface Token {
  type: string
  tag: string
  content: string
  children: Token[] | null
  hidden: boolean
  nesting: number
  attrGet(name: string): string | null
  attrSet(name: string, value: string): void
}
type Rule = (state: {
  tokens: Token[]
  env: { sourcePath?: string }
  Token: new (type: string, tag: string, nesting: number) => Token
}) => void
export interface MarkdownIt {
  core: { ruler: { push(name: string, rule: Rule): void } }
  set(options: { html?: boolean; highlight?: (code: string, language: string) => string }): void
  render(text: string, env?: object): string
  renderInline(text: string, env?: object): string
}

export const languages = ['ts', 'js', 'sh', 'python', 'json', 'wgsl', 'html', 'diff'] as const

/** Colours are variables of the style sheet: one pass over a text serves both schemes. */
const theme = createCssVariablesTheme({ name: 'variables', variablePrefix: '--code-' })

export async function openHighlighter(): Promise<Highlighter> {
  return createHighlighter({ themes: [theme], langs: [...languages] })
}

/** Code as HTML, in colours; plain where the language is not known. */
export function highlightWith(highlighter: Highlighter): (code: string, language: string) => string {
  return (code, language) => {
    const lang = (languages as readonly string[]).includes(language) ? language : 'text'
    const named = {
      pre: (node: { properties: Record<string, unknown> }) => void (node.properties['data-language'] = lang),
    }
    return highlighter.codeToHtml(code.trimEnd(), { lang, theme: 'variables', transformers: [named] })
  }
}

export function slug(text: string): string {
  const plain = text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
  return plain || 'section'
}

const textOf = (tokens: readonly Token[]): string =>
  tokens.map((token) => token.content + (token.children ? textOf(token.children) : '')).join('')

/** Ids for headings, from their words; the second of the same gets a number. */
const headingIds: Rule = ({ tokens }) => {
  const taken = new Map<string, number>()
  tokens.forEach((token, i) => {
    if (token.type !== 'heading_open') return
    const id = slug(textOf(tokens[i + 1].children ?? []))
    const count = taken.get(id) ?? 0
    taken.set(id, count + 1)
    token.attrSet('id', count === 0 ? id : `${id}-${count + 1}`)
  })
}

export interface Places {
  /** Address of the page that a file of the repository is. */
  readonly pages: ReadonlyMap<string, string>
  /** Address of a picture of the repository. */
  readonly asset: (path: string) => string
}

const pictures = /\.(svg|png|jpg|webp)$/

/** The address of what a relative link names; undefined for a file of the repository that is no page. */
function addressOf(href: string, sourcePath: string, { pages, asset }: Places): string | undefined {
  const [path, hash] = href.split('#')
  if (path === '') return href
  const file = posix.normalize(posix.join(posix.dirname(sourcePath), decodeURI(path)))
  const page = pages.get(file) ?? pages.get(posix.join(file, 'README.md'))
  if (page) return hash ? `${page}#${hash}` : page
  if (!existsSync(file)) throw new Error(`${sourcePath} links to ${href}, which is not there`)
  return pictures.test(file) ? asset(file) : undefined
}

/** Makes links between files into links between pages; code that names a page's file becomes a link to it. */
function linkRule(places: Places): Rule {
  return ({ tokens, env, Token }) => {
    const { sourcePath } = env
    if (!sourcePath) return
    for (const { children } of tokens) {
      if (!children) continue
      let inLink = false
      for (let i = 0; i < children.length; i++) {
        const token = children[i]
        if (token.type === 'link_open') {
          inLink = true
          const href = token.attrGet('href')!
          if (/^[a-z]+:/.test(href)) continue
          const address = addressOf(href, sourcePath, places)
          if (address) token.attrSet('href', address)
          else {
            // A file of the repository: named, not linked, since the site does not carry it.
            token.tag = 'span'
            token.attrSet('class', 'file')
            token.attrSet('href', '')
            children.slice(i).find(({ type }) => type === 'link_close')!.tag = 'span'
          }
        } else if (token.type === 'link_close') inLink = false
        else if (token.type === 'image') {
          token.attrSet('src', addressOf(token.attrGet('src')!, sourcePath, places) ?? token.attrGet('src')!)
        } else if (token.type === 'code_inline' && !inLink) {
          const page = places.pages.get(token.content)
          if (!page || token.content === sourcePath) continue
          const open = new Token('link_open', 'a', 1)
          open.attrSet('href', page)
          children.splice(i, 1, open, token, new Token('link_close', 'a', -1))
          i += 2
        }
      }
    }
  }
}

export function setUpMarkdown(md: MarkdownIt, highlighter: Highlighter, places: Places): void {
  md.set({ html: true, highlight: highlightWith(highlighter) })
  md.core.ruler.push('heading-ids', headingIds)
  md.core.ruler.push('links', linkRule(places))
}

export interface Heading {
  readonly level: number
  readonly id: string
  readonly text: string
}

/** More than this is no help to find one's way. */
const mostHeadings = 40

/** Headings of a page for its table of contents: of the second level, and of the third where they are not too many. */
export function headingsOf(html: string): Heading[] {
  const all = [...html.matchAll(/<h([23])[^>]* id="([^"]+)"[^>]*>([\s\S]*?)<\/h\1>/g)].map(([, level, id, inner]) => ({
    level: Number(level),
    id,
    text: inner.replace(/<[^>]+>/g, '').trim(),
  }))
  return all.length <= mostHeadings ? all : all.filter(({ level }) => level === 2)
}

/** The Markdown files that are pages: where each lies, what it is called, and where it stands in the navigation. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

export type Section = 'walkthroughs' | 'guides' | 'reference' | 'changelog'

export interface Source {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
  readonly title: string
  /** From the root of the site, with a slash at both ends. */
  readonly url: string
  readonly section: Section
}

/** Guides that belong to the reference in the navigation. */
const ofReference = ['from-pytorch.md', 'pitfalls.md']

export function titleOf(markdown: string, otherwise: string): string {
  return /^# (.+)$/m.exec(markdown)?.[1].replaceAll('`', '').trim() ?? otherwise
}

function source(path: string, section: Section, url: string, title?: string): Source {
  const text = readFileSync(path, 'utf8')
  return { path, text, section, url, title: title ?? titleOf(text, basename(path, '.md')) }
}

const markdownIn = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.md'))
        .sort()
    : []

/** Guides in the order in which the README names them, then the others. */
function guides(): Source[] {
  const readme = readFileSync('README.md', 'utf8')
  const place = (name: string) => {
    const at = readme.indexOf(`docs/${name}`, readme.indexOf('## Reading on'))
    return at < 0 ? Number.POSITIVE_INFINITY : at
  }
  return markdownIn('docs')
    .sort((a, b) => place(a) - place(b) || a.localeCompare(b))
    .map((name) => {
      const section = ofReference.includes(name) ? 'reference' : 'guides'
      return source(`docs/${name}`, section, `/${section}/${basename(name, '.md')}/`)
    })
}

function walkthroughs(): Source[] {
  const folder = 'docs/walkthroughs'
  return markdownIn(folder).map((name) => {
    const place = name === 'README.md' ? '' : `${basename(name, '.md')}/`
    return source(`${folder}/${name}`, 'walkthroughs', `/walkthroughs/${place}`)
  })
}

/** Every page that is a Markdown file, in reading order. */
export function sources(): Source[] {
  return [
    ...walkthroughs().sort((a, b) => Number(b.url === '/walkthroughs/') - Number(a.url === '/walkthroughs/')),
    source('README.md', 'guides', '/guides/tour/', 'A tour'),
    ...guides(),
    source('CHANGELOG.md', 'changelog', '/changelog/'),
  ]
}

/** The part of a text under a heading of the second level, without the heading. */
export function sectionOf(markdown: string, heading: string): string {
  const parts = markdown.split(/^## /m)
  const part = parts.find((text) => text.startsWith(`${heading}\n`))
  if (part === undefined) throw new Error(`there is no section '${heading}'`)
  return part.slice(heading.length + 1).trim()
}

/** What stands between the title and the first heading. */
export function leadOf(markdown: string): string {
  return markdown
    .split(/^## /m)[0]
    .replace(/^# .*\n/, '')
    .trim()
}

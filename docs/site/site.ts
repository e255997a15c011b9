/**
 * The site: Markdown of this repository, pages of operations and of entry points, as static files in `dist-docs/`.
 *
 * Pages write addresses from the root of the site; at the end they are made relative, so the folder can lie anywhere.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { buildSync } from 'esbuild'
import type { Highlighter } from 'shiki'
import { entryPages } from './entry-pages.ts'
import { formula } from './formulas.ts'
import { withRelativeAddresses } from './links.ts'
import { headingsOf, highlightWith, type MarkdownIt, openHighlighter, setUpMarkdown } from './markdown.ts'
import { navigation, neighbours } from './navigation.ts'
import { operationViews } from './operations.ts'
import { readEntryPoints } from './public-api.ts'
import { searchDocuments } from './search-documents.ts'
import { leadOf, type Source, sectionOf, sources } from './sources.ts'

/** What is used of Eleventy's configuration, which has no types of its own. */
interface Eleventy {
  addTemplate(path: string, content: string, data: object): void
  addGlobalData(name: string, value: unknown): void
  addPassthroughCopy(paths: Record<string, string>): void
  addWatchTarget(path: string, options?: { resetConfig?: boolean }): void
  addFilter(name: string, filter: (...given: never[]) => unknown): void
  addTransform(name: string, transform: (this: { page: { url: string } }, content: string) => string): void
  amendLibrary(name: 'md', amend: (md: MarkdownIt) => void): void
  on(event: 'eleventy.after', then: (result: { results: { url: string; content: string }[] }) => void): void
  setServerOptions(options: object): void
  setNunjucksEnvironmentOptions(options: object): void
  setQuietMode(quiet: boolean): void
}

const output = process.env.SLUICE_SITE ?? 'dist-docs'

function addSource(eleventy: Eleventy, { path, text, ...data }: Source): void {
  const name = `${data.section}-${basename(path, '.md')}.md`
  const body = path === 'README.md' ? text.replace(/^# .*\n/, '# A tour\n') : text
  // Markdown is no template here: braces in it are braces.
  eleventy.addTemplate(name, body, {
    ...data,
    permalink: `${data.url}index.html`,
    layout: 'text.njk',
    templateEngineOverride: 'md',
    sourcePath: path,
  })
}

export async function configure(eleventy: Eleventy): Promise<object> {
  const highlighter: Highlighter = await openHighlighter()
  const highlight = highlightWith(highlighter)
  const pages = sources()
  const entryPoints = readEntryPoints()
  const views = operationViews(entryPoints)
  const readme = readFileSync('README.md', 'utf8')
  const hasLab = existsSync('dist-lab/index.html')

  // The pictures of the walkthroughs are copied whole, below.
  const asset = (path: string) => `/${path.replace(/^docs\//, '')}`
  const places = { pages: new Map(pages.map(({ path, url }) => [path, url])), asset }
  let markdown: MarkdownIt | undefined
  eleventy.amendLibrary('md', (md) => {
    setUpMarkdown(md, highlighter, places)
    markdown = md
  })
  const render = (text: string, path = 'README.md') => markdown!.render(text, { sourcePath: path })

  for (const page of pages) addSource(eleventy, page)
  eleventy.addGlobalData('operations', views)
  eleventy.addGlobalData(
    'groups',
    [...new Set(views.map(({ group }) => group))].map((title) => ({
      title,
      operations: views.filter(({ group }) => group === title),
    })),
  )
  eleventy.addGlobalData('entryPages', entryPages(entryPoints))
  eleventy.addGlobalData('hasLab', hasLab)
  eleventy.addGlobalData('home', {
    lead: leadOf(readme),
    first: sectionOf(readme, 'A value and its gradient').split('\n\n`draw')[0],
    gated: sectionOf(readme, 'Gated attention'),
  })
  eleventy.addGlobalData('version', JSON.parse(readFileSync('package.json', 'utf8')).version)

  eleventy.addFilter('code', (code: string, language: string) => highlight(code, language))
  eleventy.addFilter('markdown', (text: string) => render(text))
  eleventy.addFilter('formula', formula)
  eleventy.addFilter('headings', headingsOf)
  eleventy.addFilter('navigation', (url: string) => navigation(url, pages, views, entryPoints, hasLab))
  eleventy.addFilter('neighbours', (url: string) => neighbours(url, pages, views))
  eleventy.addTransform('relative addresses', function (content) {
    return withRelativeAddresses(content, this.page.url)
  })

  eleventy.addPassthroughCopy({ 'docs/site/assets': 'assets' })
  if (hasLab) eleventy.addPassthroughCopy({ 'dist-lab': 'lab' })
  if (existsSync('docs/walkthroughs/pictures')) {
    eleventy.addPassthroughCopy({ 'docs/walkthroughs/pictures': 'walkthroughs/pictures' })
  }
  for (const path of [
    'README.md',
    'CHANGELOG.md',
    'docs/**/*.md',
    'docs/site/*.ts',
    'docs/reference/*.ts',
    'src/**/*.ts',
  ]) {
    eleventy.addWatchTarget(path, { resetConfig: true })
  }
  eleventy.on('eleventy.after', ({ results }) => {
    buildSync({
      entryPoints: ['docs/site/client/search.ts'],
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      outfile: `${output}/assets/search.js`,
    })
    searchDocuments(results, `${output}/assets/search.json`)
  })
  // Worker threads of the lab share memory, which browsers allow to isolated pages only.
  eleventy.setServerOptions({
    headers: { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' },
  })
  eleventy.setNunjucksEnvironmentOptions({ trimBlocks: true, lstripBlocks: true, throwOnUndefined: false })
  eleventy.setQuietMode(true)

  return {
    dir: { input: 'docs/site/content', includes: '../includes', output },
    markdownTemplateEngine: false,
    htmlTemplateEngine: 'njk',
  }
}

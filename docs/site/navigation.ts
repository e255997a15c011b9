/** What the navigation beside a page shows, and what comes before and after a page. */
import type { OperationView } from './operations.ts'
import type { EntryPoint } from './public-api.ts'
import type { Source } from './sources.ts'

export interface Link {
  readonly title: string
  readonly url: string
  readonly current: boolean
  readonly within?: readonly Link[]
}

export interface Part {
  readonly title: string
  readonly links: readonly Link[]
}

export const entryUrl = (module: string): string => `/reference/${module.replaceAll('/', '-')}/`

/** A walkthrough's title with its number, as in '04-prove-your-gradient.md'. */
function numbered({ path, title }: Source): string {
  const number = /\/(\d+)-/.exec(path)?.[1]
  return number === undefined ? title : `${Number(number)}. ${title}`
}

export function navigation(
  url: string,
  pages: readonly Source[],
  operations: readonly OperationView[],
  entryPoints: readonly EntryPoint[],
  hasLab: boolean,
): Part[] {
  const link = (title: string, to: string, within?: readonly Link[]): Link => ({
    title,
    url: to,
    current: to === url,
    within,
  })
  const of = (section: Source['section']) => pages.filter((page) => page.section === section)
  const here = operations.find((operation) => operation.url === url)
  const siblings = here ? operations.filter(({ group }) => group === here.group) : []
  const walkthroughs = of('walkthroughs').map((page) => link(numbered(page), page.url))
  return [
    ...(walkthroughs.length > 0 ? [{ title: 'Walkthroughs', links: walkthroughs }] : []),
    { title: 'Guides', links: of('guides').map((page) => link(page.title, page.url)) },
    {
      title: 'Reference',
      links: [
        link(
          'Operations',
          '/reference/',
          siblings.map(({ name, url: to }) => link(name, to)),
        ),
        ...of('reference').map((page) => link(page.title, page.url)),
        ...entryPoints.map(({ module }) => link(module, entryUrl(module))),
      ],
    },
    {
      title: 'More',
      links: [
        ...(hasLab ? [link('The lab', '/lab/')] : []),
        ...of('changelog').map((page) => link(page.title, page.url)),
      ],
    },
  ]
}

/** The pages before and after: walkthroughs and guides in reading order, operations in that of their index. */
export function neighbours(
  url: string,
  pages: readonly Source[],
  operations: readonly OperationView[],
): { before?: { title: string; url: string }; after?: { title: string; url: string } } {
  const page = pages.find((one) => one.url === url)
  const row: { title: string; url: string }[] = page
    ? pages.filter(({ section }) => section === page.section)
    : operations.map(({ name, url: to }) => ({ title: name, url: to }))
  const at = row.findIndex((one) => one.url === url)
  return at < 0 ? {} : { before: row[at - 1], after: row[at + 1] }
}

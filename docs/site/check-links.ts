/** What is wrong with the addresses of a built site: links that lead nowhere, ids that occur twice. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'

export interface SiteFault {
  readonly page: string
  readonly what: string
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .map((name) => name.replaceAll('\\', '/'))

const idsOf = (html: string): string[] => [...html.matchAll(/<[a-z][^>]*?\sid="([^"]*)"/g)].map(([, id]) => id)

export function siteFaults(folder: string): SiteFault[] {
  const files = new Set(filesIn(folder))
  const pages = new Map(
    [...files].filter((name) => name.endsWith('.html')).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
  )
  const ids = new Map([...pages].map(([name, html]) => [name, idsOf(html)]))
  const faults: SiteFault[] = []
  for (const [page, html] of pages) {
    const own = ids.get(page)!
    for (const id of new Set(own.filter((one, i) => own.indexOf(one) < i)))
      faults.push({ page, what: `id '${id}' twice` })
    for (const [, address] of html.matchAll(/<[^>]*?\s(?:href|src)="([^"]*)"/g)) {
      if (/^(https?:|mailto:|data:)/.test(address)) continue
      if (address.startsWith('/')) {
        faults.push({ page, what: `${address} begins at the host's root` })
        continue
      }
      const [path, hash] = address.split('#')
      const named = path === '' ? page : posix.normalize(posix.join(posix.dirname(page), decodeURI(path)))
      const file = named.endsWith('/') || named === '.' ? posix.join(named, 'index.html') : named
      if (!files.has(file)) faults.push({ page, what: `${address} leads to ${file}, which is not there` })
      else if (hash && !(ids.get(file) ?? [hash]).includes(hash))
        faults.push({ page, what: `${address}: no id '${hash}'` })
    }
  }
  return faults
}

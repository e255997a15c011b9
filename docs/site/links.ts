/** Addresses as they are written into pages: relative, so that the site works in any folder of any host. */

/** From the page at `from` to `to`, both from the root of the site: '/a/b/' to '/c/#d' is '../../c/#d'. */
export function relativeAddress(from: string, to: string): string {
  const [path, hash] = to.split('#')
  const here = from.split('/').slice(1, -1)
  const there = path.split('/').slice(1)
  let common = 0
  while (common < here.length && common < there.length - 1 && here[common] === there[common]) common++
  const up = '../'.repeat(here.length - common)
  const address = `${up}${there.slice(common).join('/')}` || './'
  return hash === undefined ? address : `${address}#${hash}`
}

/** Makes every address of a page that begins with a slash relative. */
export function withRelativeAddresses(html: string, url: string): string {
  return html.replace(
    /(<[^>]*\s(?:href|src|action|data-root)=")(\/[^"]*)"/g,
    (_, before, address) => `${before}${relativeAddress(url, address)}"`,
  )
}

/** The built site: every link leads somewhere, addresses are relative, the search has what it needs. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe from 'axe-core'
import fc from 'fast-check'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { siteFaults } from '../../docs/site/check-links.ts'
import { formula } from '../../docs/site/formulas.ts'
import { relativeAddress, withRelativeAddresses } from '../../docs/site/links.ts'
import { operations } from '../../src/index.ts'
import { noBrowser } from '../browser/chromium.ts'
import { chromiumPath } from '../webgpu/drivers.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-site-'))
  execFileSync('node_modules/.bin/eleventy', ['--config=docs/site/eleventy.config.mjs'], {
    env: { ...process.env, SLUICE_SITE: folder },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}, 300_000)
afterAll(() => rmSync(folder, { recursive: true }))

const read = (path: string) => readFileSync(join(folder, path), 'utf8')

describe('the site', () => {
  it('has no dead link, no address from the root, no id twice', () => {
    expect(siteFaults(folder)).toEqual([])
  })

  it('has a page for every public operation, with its formula, shapes, gradient, bounds and example', () => {
    for (const { name, internal } of operations.values()) {
      if (internal) continue
      const page = read(`reference/operations/${name}/index.html`)
      for (const part of ['Arguments', 'Example', 'Gradient', 'Bounds', 'Errors'])
        expect(page).toContain(`>${part}</h2>`)
    }
  })

  it('is found through the search', () => {
    const documents = JSON.parse(read('assets/search.json')) as { title: string; url: string }[]
    expect(documents.find(({ title }) => title === 'softmax')?.url).toBe('reference/operations/softmax/')
    expect(documents.some(({ title }) => title === 'GatedAttention')).toBe(true)
  })

  it('takes nothing from elsewhere', () => {
    expect(read('index.html')).not.toMatch(/<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?\/\//)
    expect(read('assets/site.css')).not.toMatch(/url\(|@import/)
  })
})

describe('faults of a site', () => {
  it('are found', () => {
    const broken = mkdtempSync(join(tmpdir(), 'sluice-site-'))
    try {
      writeFileSync(
        join(broken, 'index.html'),
        '<p id="a"></p><p id="a"></p><a href="gone/">x</a><a href="/x">y</a><a href="#b">z</a>',
      )
      expect(siteFaults(broken).map(({ what }) => what)).toEqual([
        "id 'a' twice",
        'gone/ leads to gone/index.html, which is not there',
        "/x begins at the host's root",
        "#b: no id 'b'",
      ])
    } finally {
      rmSync(broken, { recursive: true })
    }
  })
})

describe('relative addresses', () => {
  const folders = fc
    .array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 })
    .map((parts) => ['', ...parts, ''].join('/'))

  it('lead where the whole ones led, in whatever folder the site lies', () => {
    fc.assert(
      fc.property(folders, folders, fc.constantFrom('', 'x.css', '#part'), (from, to, rest) => {
        const host = 'http://host/some/folder'
        expect(new URL(relativeAddress(from, to + rest), host + from).href).toBe(host + to + rest)
      }),
      { numRuns: 300 },
    )
  })

  it('are written over whole ones only', () => {
    const html = '<a href="/a/">x</a> <a href="#b">y</a> <a href="https://c/">z</a> href="/d"'
    expect(withRelativeAddresses(html, '/a/b/')).toBe(
      '<a href="../">x</a> <a href="#b">y</a> <a href="https://c/">z</a> href="/d"',
    )
  })
})

it('formulas raise powers', () => {
  expect(formula('e^(-t^2), x^2 <= k^T, 2^-24')).toBe(
    'e<sup>−t<sup>2</sup></sup>, x<sup>2</sup> ≤ k<sup>T</sup>, 2<sup>−24</sup>',
  )
  expect(formula('`a^b` < c')).toBe('<code>a^b</code> &lt; c')
})

const types: Readonly<Record<string, string>> = {
  html: 'text/html',
  css: 'text/css',
  js: 'text/javascript',
  json: 'application/json',
  svg: 'image/svg+xml',
}

/** Serves a folder below /some/base/, as a host of static files would. */
function serve(folder: string): Promise<Server> {
  const server = createServer(({ url = '/' }, response) => {
    const path = decodeURI(url.split('?')[0]).replace(/^\/some\/base/, '')
    const named = join(folder, path)
    const file = existsSync(named) && statSync(named).isDirectory() ? join(named, 'index.html') : named
    if (path === url || !existsSync(file)) {
      response.writeHead(url === '/favicon.ico' ? 204 : 404).end()
      return
    }
    response.writeHead(200, { 'content-type': types[file.split('.').at(-1)!] ?? 'text/plain' }).end(readFileSync(file))
  })
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)))
}

describe('the site in a browser', noBrowser ? { skip: true, meta: { leftOut: noBrowser } } : {}, () => {
  let server: Server
  let browser: Browser
  let base: string

  beforeAll(async () => {
    server = await serve(folder)
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/some/base`
    browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox'] })
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    server?.close()
  })

  async function open(
    path: string,
    options: Parameters<Browser['newPage']>[0] = {},
  ): Promise<{ page: Page; errors: string[] }> {
    const page = await browser.newPage(options)
    const errors: string[] = []
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('response', (answer) => answer.status() >= 400 && errors.push(`${answer.status()} ${answer.url()}`))
    await page.goto(base + path)
    return { page, errors }
  }

  it.each([
    ['the first page', '/', 1440, 'light'],
    ['an operation', '/reference/operations/gatedDeltaRule/', 390, 'dark'],
    ['a guide', '/guides/cpu/', 768, 'light'],
    ['an entry point', '/reference/sluice-optim/', 1440, 'dark'],
  ] as const)('%s is accessible', async (_, path, width, colorScheme) => {
    const { page, errors } = await open(path, { viewport: { width, height: 900 }, colorScheme })
    await page.evaluate(axe.source)
    const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run())
    const told = violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 150)}`))
    expect(told).toEqual([])
    expect(errors).toEqual([])
    await page.close()
  })

  it.each([1440, 768, 390])('no page is wider than a window of %i', async (width) => {
    const { page } = await open('/', { viewport: { width, height: 900 } })
    for (const path of [
      '',
      'guides/architecture/',
      'reference/',
      'reference/operations/attention/',
      'reference/sluice-nn/',
      'reference/from-pytorch/',
      'reference/pitfalls/',
      'changelog/',
    ]) {
      await page.goto(`${base}/${path}`)
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), path).toBeLessThanOrEqual(0)
    }
    await page.close()
  })

  it('is searched with the keyboard alone', async () => {
    const { page, errors } = await open('/guides/cpu/')
    await page.keyboard.press('/')
    await page.keyboard.type('softmax')
    const first = page.locator('#search li a').first()
    await first.waitFor()
    expect(await first.textContent()).toMatch(/softmax/i)
    expect(await page.locator('#search [role=status]').textContent()).toMatch(/^\d+ found\.$/)
    await page.keyboard.press('ArrowDown')
    expect(await first.evaluate((link) => link === document.activeElement)).toBe(true)
    await Promise.all([page.waitForURL(`${base}/reference/operations/softmax/`), page.keyboard.press('Enter')])
    expect(await page.locator('h1').textContent()).toBe('softmax')
    await page.keyboard.press('/')
    await page.keyboard.type('zzzzqqq')
    await page.getByText('Nothing found.').waitFor()
    await page.keyboard.press('Escape')
    expect(await page.locator('#search').evaluate((dialog: HTMLDialogElement) => dialog.open)).toBe(false)
    expect(errors).toEqual([])
    await page.close()
  })

  it('reads without JavaScript', async () => {
    const { page } = await open('/reference/operations/attention/', { javaScriptEnabled: false })
    expect(await page.locator('main h2').allTextContents()).toContain('Gradient')
    expect(await page.locator('#search-button').isVisible()).toBe(false)
    await page.getByRole('link', { name: 'gatedAttention', exact: true }).first().click()
    expect(page.url()).toBe(`${base}/reference/operations/gatedAttention/`)
    await page.close()
  })
})

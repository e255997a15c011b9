/** The built site: every link leads somewhere, addresses are relative, the search has what it needs. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { siteFaults } from '../../docs/site/check-links.ts'
import { formula } from '../../docs/site/formulas.ts'
import { relativeAddress, withRelativeAddresses } from '../../docs/site/links.ts'
import { operations } from '../../src/index.ts'
import { buildSite } from './build-site.ts'

let folder: string
beforeAll(() => {
  folder = buildSite()
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

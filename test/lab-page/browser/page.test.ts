/** The lab's page in Chromium, on the cpu device: its address, its keys, its widths, and what it says to who does not see it. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorsOf, launch, noBrowser, type Served, serve } from '../../browser/chromium.ts'
import { labFiles } from './lab-files.ts'

const options = noBrowser ? { skip: true, meta: { leftOut: noBrowser } } : {}

/** Models that train at once on a busy machine. */
const small = 'device=cpu&layers=1&width=16&heads=2&batch=2&o.sequenceLength=12'

describe('the page of the lab', options, () => {
  let browser: Browser
  let served: Served
  let axe: string
  const errors: (readonly string[])[] = []
  beforeAll(async () => {
    const [files, opened, source] = await Promise.all([
      labFiles(),
      launch(),
      readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'),
    ])
    served = await serve(files)
    browser = opened
    axe = source
  }, 120_000)
  afterAll(async () => {
    await browser?.close()
    served?.close()
  })

  /** Opens the lab with what stands after '#', and waits until both models were looked at. */
  async function open(hash: string, context: BrowserContextOptions = {}): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, ...context })
    errors.push(errorsOf(page))
    await page.goto(`${served.address}#${hash}`)
    await page.locator('[role=option]').first().waitFor()
    return page
  }

  const hashOf = (page: Page): string => decodeURIComponent(new URL(page.url()).hash)
  const step = async (page: Page): Promise<number> => Number(await page.locator('.count').innerText())

  test('trains without being asked, pauses, and goes a step at a time', async () => {
    const page = await open(`${small}&steps=100000`)
    await page.waitForFunction(() => Number(document.querySelector('.count')!.textContent) > 2)
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByRole('button', { name: 'Play' }).waitFor()
    await page.waitForFunction(() => location.hash.includes('play=0'))
    const before = await step(page)
    await page.getByRole('button', { name: 'Step' }).click()
    await page.waitForFunction((n) => Number(document.querySelector('.count')!.textContent) === n, before + 1)
    await page.close()
  })

  test('is in its address: what is changed on the page is read from it again', async () => {
    const page = await open(`${small}&play=0`)
    await page.getByLabel('Seed').fill('7')
    await page.getByLabel('Seed').press('Enter')
    const runA = page.getByRole('group', { name: 'Run A' })
    await runA.getByLabel('Gate').selectOption('G2')
    await runA.getByLabel('Granularity').selectOption('headwise')
    await page.getByLabel('Triggers').fill('2')
    await page.getByLabel('Triggers').press('Enter')
    await page.getByRole('group', { name: 'Run B' }).getByLabel('Mixes tokens by').selectOption('hybrid')
    await page.waitForFunction(() => location.hash.includes('hybrid'))
    const written = hashOf(page)
    for (const part of ['seed=7', 'a.gate=G2', 'a.grain=headwise', 'o.triggers=2', 'b.mixer=hybrid', 'width=16']) {
      expect(written.slice(1).split('&')).toContain(part)
    }
    const again = await open(written.slice(1))
    await again.getByRole('heading', { name: 'A softmax attention, sigmoid gate at G2, a score a head' }).waitFor()
    expect(await again.getByLabel('Seed').inputValue()).toBe('7')
    expect(await again.getByLabel('Triggers').inputValue()).toBe('2')
    expect(hashOf(again)).toBe(written)
    await Promise.all([page.close(), again.close()])
  })

  test('says what of its address it could not read, and what a control does not take', async () => {
    const page = await open(`${small}&play=0&seed=x&sed=1`)
    const problems = page.locator('.problems li')
    expect(await problems.allInnerTexts()).toEqual([
      'seed=x: expected an integer from 0 to 2147483647; 1 is used',
      'sed: there is no such key; it is left out',
    ])
    await page.getByLabel('Layers').fill('99')
    await page.getByLabel('Layers').press('Enter')
    await page.getByText('Expected an integer from 1 to 8.').waitFor()
    await page.getByLabel('Triggers').fill('62')
    await page.getByLabel('Triggers').press('Enter')
    await page.getByText('vocabularySize 64 is too small for 62 triggers').waitFor()
    expect(hashOf(page)).not.toMatch(/layers=99|triggers=62/)
    await page.close()
  })

  test('moves by keys: the followed token, a cell of a map, and training', async () => {
    const page = await open(`${small}&play=0`)
    const spoken = page.locator('[aria-live=polite]')
    const address = page.url()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('maps')
    expect(page.url()).toBe(address)
    await page.getByRole('listbox', { name: 'Tokens' }).focus()
    await page.keyboard.press('Home')
    await page.keyboard.press('ArrowRight')
    await page.waitForFunction(() => location.hash.includes('at=1'))
    expect(await page.getByRole('listbox', { name: 'Tokens' }).getByRole('option', { selected: true }).count()).toBe(1)
    expect(await spoken.innerText()).toMatch(/^Position 1: /)
    await page.getByRole('application', { name: /run B.* head 1/ }).focus()
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowRight')
    await page.waitForFunction(() =>
      /to .* at 1: [01]\.\d{3}$/.test(document.querySelector('[aria-live]')!.textContent!),
    )
    expect(await spoken.innerText()).toMatch(/^Run B, head 1\. .* at 2 to .* at 1: [01]\.\d{3}$/)
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => location.hash.includes('at=2') && location.hash.includes('head=1'))
    await page.getByRole('button', { name: 'Step' }).focus()
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => Number(document.querySelector('.count')!.textContent) === 1)
    await page.close()
  })

  test('shows a token that is typed, and names one that it does not know', async () => {
    const page = await open(`${small}&play=0`)
    const tokens = page.getByRole('listbox', { name: 'Tokens' }).getByRole('option')
    const before = await tokens.allInnerTexts()
    await page.getByLabel('Add a token').fill('!2')
    await page.getByRole('button', { name: 'Add and follow' }).click()
    await page.waitForFunction(() => document.querySelector('[aria-selected=true]')!.textContent === '!2')
    expect((await tokens.allInnerTexts()).at(-2)).toBe(before.at(-1))
    await page.getByLabel('Add a token').fill('nonsense')
    await page.getByRole('button', { name: 'Add and follow' }).click()
    expect(await page.getByRole('alert').innerText()).toContain('nonsense')
    await page.getByRole('button', { name: 'Back to held-out data' }).click()
    await page.waitForFunction((n) => document.querySelectorAll('[role=option]').length === n, before.length)
    await page.close()
  })

  test('adds what is typed to the characters of a text, spaces among them', async () => {
    const page = await open('device=cpu&data=text&width=16&heads=1&batch=2&length=16&play=0')
    const tokens = page.getByRole('listbox', { name: 'Tokens' }).getByRole('option')
    const before = await tokens.allInnerTexts()
    await page.getByLabel('Add a token').fill(' l')
    await page.getByRole('button', { name: 'Add and follow' }).click()
    await page.waitForFunction(() => document.querySelector('[aria-selected=true]')!.textContent === 'l')
    // The last context of them is shown.
    expect(await tokens.allInnerTexts()).toEqual([...before, '␣', 'l'].slice(-16))
    expect(before).toContain('␣')
    await page.close()
  })

  test.each([
    ['light', small],
    ['dark', small],
    ['light', 'device=cpu&layers=2&width=16&heads=2&batch=2&o.sequenceLength=12&a.mixer=hybrid&b.mixer=kda&play=0'],
    ['light', 'device=cpu&data=text&layers=1&width=16&heads=1&batch=2&length=16&play=0'],
  ] as const)('keeps the rules of accessibility, %s, %s', async (colorScheme, hash) => {
    const page = await open(hash, { colorScheme })
    for (const summary of await page.locator('main summary').all()) await summary.click()
    await page.addScriptTag({ content: axe })
    const violations = await page.evaluate(async () => {
      const { axe: run } = globalThis as unknown as { axe: typeof import('axe-core') }
      const found = await run.run()
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`)
    })
    expect(violations).toEqual([])
    await page.close()
  })

  test.each([1440, 768, 390])('fits a page of %i pixels', async (width) => {
    const page = await open(`${small}&play=0`, { viewport: { width, height: 844 } })
    const found = await page.evaluate(() => {
      const boxes = [...document.querySelectorAll('.column')].map((column) => column.getBoundingClientRect())
      const texts = [...document.querySelectorAll<HTMLElement>('#lab *')].filter((element) =>
        [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent!.trim() !== ''),
      )
      return {
        overflow: document.documentElement.scrollWidth - innerWidth,
        isStacked: boxes[1]!.top >= boxes[0]!.bottom,
        smallest: Math.min(...texts.map((element) => Number.parseFloat(getComputedStyle(element).fontSize))),
      }
    })
    expect(found).toEqual({ overflow: 0, isStacked: width === 390, smallest: expect.closeTo(12, 0) })
    expect(found.smallest).toBeGreaterThanOrEqual(12)
    await page.close()
  })

  test('puts no error on the console', () => {
    expect(errors.length).toBeGreaterThan(5)
    expect(errors.flat()).toEqual([])
  })
})

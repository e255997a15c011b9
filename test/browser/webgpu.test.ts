/** The webgpu device in a real browser: every operation, as `sluice check` checks it in Node, and a kernel of a page's own. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CheckRow, formatTable } from '../../src/check/index.ts'
import { operations } from '../../src/index.ts'
import { bundlePage } from './bundle.ts'
import type { CheckPage } from './check-page.ts'
import { noBrowser, type OpenPage, openPage } from './chromium.ts'
import type { KernelPage } from './kernel-page.ts'

/**
 * Cases an operation and kind. A read waits about 3 ms for Chromium's software adapter, so the gate draws fewer than
 * Node's suites do; `npm run check:browser` draws 200.
 */
const RUNS = Number(process.env.SLUICE_BROWSER_RUNS ?? 10)

const options = noBrowser ? { skip: true, meta: { leftOut: noBrowser } } : {}

describe('the webgpu device in Chromium', options, () => {
  let open: OpenPage
  const rows: CheckRow[] = []
  beforeAll(async () => {
    open = await openPage(await bundlePage('check-page.ts'))
  }, 60_000)
  afterAll(async () => {
    await open?.close()
    if (process.env.SLUICE_BROWSER_RUNS) console.log(formatTable(rows))
  })

  const inPage = { name: '', adapter: { implementation: '', vendor: '', name: '', driver: '', isSoftware: false } }

  test('runs on an adapter of the browser, and says which', async () => {
    const found = await open.page.evaluate(() => (globalThis as unknown as { page: CheckPage }).page.adapter())
    Object.assign(inPage, found)
    expect(inPage.name).toBe('webgpu')
    expect(inPage.adapter).toMatchObject({ implementation: 'navigator.gpu', isSoftware: true })
  })

  test('knows every operation', async () => {
    const names = await open.page.evaluate(() => (globalThis as unknown as { page: CheckPage }).page.names())
    expect(names).toEqual([...operations.keys()])
  })

  test.each([...operations.keys()])('%s', async (name) => {
    const found = await open.page.evaluate(
      ([each, runs]) => (globalThis as unknown as { page: CheckPage }).page.check([each as string], runs as number),
      [name, RUNS] as const,
    )
    rows.push(...found)
    expect(found.filter(({ failure }) => failure !== null).map(({ failure }) => failure)).toEqual([])
    expect(found.find(({ device }) => device === 'webgpu')?.cases).toBe(RUNS)
  })

  test('a captured program gives the eager bits', async () => {
    const results = await open.page.evaluate(() => (globalThis as unknown as { page: CheckPage }).page.replay())
    for (const [captured, eager] of results) expect(captured).toBe(eager)
    expect(new Set(results.map(String)).size).toBe(3)
  })

  test('without a word on the console, and without gpu.js', () => {
    expect(open.errors).toEqual([])
    expect(open.requests.filter((path) => path.includes('gpujs'))).toEqual([])
  })
})

describe('a page that declares kernels', options, () => {
  test('loads gpu.js for them', async () => {
    const files = await bundlePage('kernel-page.ts')
    const { page, requests, errors, close } = await openPage(files)
    try {
      const values = await page.evaluate(() => (globalThis as unknown as { page: KernelPage }).page.run())
      expect(values).toEqual([1, 8, -27])
      expect(requests.filter((path) => path.includes('gpujs'))).toHaveLength(1)
      const late = await page.evaluate(() => (globalThis as unknown as { page: KernelPage }).page.late())
      expect(late).toEqual({ error: '', values: [0.5, 1, -1.5] })
      expect(errors).toEqual([])
    } finally {
      await close()
    }
  })
})

/** Pages that show what anyone may have written, opened: nothing of it becomes a script, an element of its own, a request or a dialog. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderStudy } from '../../../src/lab/study-report/report.ts'
import { packRun } from '../../../src/train/archive.ts'
import { renderReport } from '../../../src/train/report/report.ts'
import { openSession } from '../../../src/train/session.ts'
import { launch, noBrowser, type Served, serve } from '../../browser/chromium.ts'
import { made, study } from '../../lab/study-report/small-study.ts'
import { labFiles } from './lab-files.ts'

const options = noBrowser ? { skip: true, meta: { leftOut: noBrowser } } : {}

const hostile = [
  '<script>alert(1)</script>',
  '"><img src=/gone onerror=alert(2)>',
  "'><svg onload=alert(3)>",
  '</script></style></title></textarea><script src=/gone.js></script>',
  '\u2028</text><foreignObject><iframe src=javascript:alert(4)></iframe>',
  '<!--<b>]]>{{x}}{alert(5)}javascript:alert(6)',
].join(' ')

const steps = [1, 2, 3]
const losses = steps.map((step) => ({ step, loss: 3 / step }))

const trainingReport = (): string => {
  const evil = (place: string) => `${place} ${hostile}`
  const run = {
    ...{ name: evil('run'), parameters: 10, steps: 3, trainLoss: losses, heldOutLoss: losses, finalHeldOutLoss: 1 },
    ...{ prompt: evil('prompt'), sample: evil('sample') },
    attention: { tokens: [hostile, 'b'], layers: [{ heads: [Float32Array.of(1, 0, 0.5, 0.5)] }] },
    firstToken: { perLayerHead: [[0.4]], mean: 0.4, corrected: 0.3, uniform: 0.1 },
    gateScores: { layers: [{ counts: [1, 2], mean: 0.3 }], mean: 0.3, shareBelowTenth: 0, shareAboveNineTenths: 0 },
    maximumActivation: [3],
  }
  return renderReport({
    ...{ title: evil('title'), subtitle: evil('subtitle'), createdAt: evil('created'), lossUnit: evil('unit') },
    configuration: { [evil('key')]: evil('value') },
    text: { name: evil('text'), characters: 10, vocabularySize: 2 },
    baselines: [{ name: evil('baseline'), loss: 2 }],
    runs: [run, { ...run, name: 'other' }],
  })
}

const studyReport = (): string => {
  const maps = { tokens: [hostile, 'b'], layers: [{ heads: [[1, 0, 0.5, 0.5]] }] }
  const runs = [
    made({ job: { variant: 'baseline' }, changes: { maps, name: hostile } }),
    made({ job: { variant: hostile, size: hostile }, gate: 0.3, changes: { maps, name: `2${hostile}` } }),
    made({ job: { variant: 'g5' }, loss: null, changes: { diverged: { step: 3, reason: hostile } } }),
  ]
  const said = { title: hostile, createdAt: hostile, preset: hostile, machine: hostile }
  return renderStudy(study(runs, { ...said, settings: { [hostile]: hostile } }))
}

describe('what anyone may have written', options, () => {
  let browser: Browser
  let served: Served
  let lab: ReadonlyMap<string, string>
  beforeAll(async () => {
    lab = await labFiles()
    const files = new Map(lab)
    files.set('/report', trainingReport()).set('/study', studyReport())
    served = await serve(files)
    browser = await launch()
  }, 120_000)
  afterAll(async () => {
    await browser?.close()
    served?.close()
  })

  /** A page without the protection of its own policy, and what happened on it that must not. */
  async function open(path: string): Promise<{ page: Page; offences: string[] }> {
    const context = await browser.newContext({ bypassCSP: true })
    const page = await context.newPage()
    const offences: string[] = []
    page.on('dialog', async (dialog) => {
      offences.push(`dialog ${dialog.message()}`)
      await dialog.dismiss()
    })
    page.on('pageerror', (error) => offences.push(String(error)))
    page.on('request', (request) => {
      const { origin, pathname, protocol } = new URL(request.url())
      const known = lab.has(pathname) || ['/report', '/study', '/favicon.ico'].includes(pathname)
      if (protocol === 'data:' || protocol === 'blob:' || (known && served.address.startsWith(origin))) return
      offences.push(`request ${request.url()}`)
    })
    await page.goto(served.address + path)
    return { page, offences }
  }

  /** Elements and attributes that a text would have brought. */
  const intruders = (page: Page): Promise<string[]> =>
    page.evaluate(() => {
      const handlers = (element: Element) => [...element.attributes].some(({ name }) => name.startsWith('on'))
      const isForeign = (element: Element) =>
        element.matches(
          'script:not([src="page.js"], [src="./page.js"], [src="/page.js"]), iframe, object, embed, foreignObject',
        ) ||
        (element.matches('img') && !element.getAttribute('src')!.startsWith('data:')) ||
        handlers(element)
      return [...document.querySelectorAll('*')].filter(isForeign).map(({ outerHTML }) => outerHTML.slice(0, 200))
    })

  test.each(['report', 'study'])('stays text in a %s', async (path) => {
    const { page, offences } = await open(path)
    expect(await page.locator('body').innerText()).toContain('<script>alert(1)</script>')
    expect(await intruders(page)).toEqual([])
    expect(offences).toEqual([])
    await page.context().close()
  })

  test('stays text in the lab: in its address', async () => {
    const asked = {
      data: 'text',
      text: `${hostile} `.repeat(20),
      show: hostile,
      [hostile]: '1',
      seed: hostile,
      play: '0',
    }
    const size = { device: 'cpu', layers: '1', width: '16', heads: '1', batch: '2', length: '8' }
    const { page, offences } = await open(`#${new URLSearchParams({ ...size, ...asked })}`)
    await page.locator('[role=option]').first().waitFor()
    expect(await page.locator('.problems').innerText()).toContain('<script>alert(1)</script>')
    expect(await intruders(page)).toEqual([])
    expect(offences).toEqual([])
    await page.context().close()
  })

  test('stays text in the lab: in a run that is opened, and in the name of its file', async () => {
    const session = await openSession({
      text: `${hostile} `.repeat(20),
      config: {
        ...{ data: { text: hostile }, contextLength: 8, batchSize: 2, steps: 5, evaluationBatches: 1 },
        model: { width: 16, layers: 1, heads: 1 },
      },
      device: 'reference',
    })
    const zip = await packRun('run', await session.snapshot(), [], `${hostile} `.repeat(20))
    session.dispose()
    const { page, offences } = await open('#device=cpu&layers=1&width=16&heads=1&batch=2&o.sequenceLength=12&play=0')
    await page.locator('[role=option]').first().waitFor()
    const input = page.locator('input[type=file]').first()
    const name = hostile.replaceAll('/', '').slice(0, 100)
    await input.setInputFiles({ name: `${name}.zip`, mimeType: 'application/zip', buffer: Buffer.from(zip) })
    await page.getByText('is open; the address of this page does not hold it').waitFor()
    await page.locator('[role=option]').first().waitFor()
    expect(await intruders(page)).toEqual([])
    await input.setInputFiles({ name: `2${name}.zip`, mimeType: 'application/zip', buffer: Buffer.from('PK') })
    await page.getByRole('alert').getByText('is not a whole zip').waitFor()
    expect(await intruders(page)).toEqual([])
    expect(offences).toEqual([])
    await page.context().close()
  })
})

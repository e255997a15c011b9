/** The lab's runs in Chromium: devices, the same bits from the same seed, files to the command line and back, nothing left behind. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { WorkerMessage } from '../../../docs/lab/src/protocol.ts'
import { trainCommand } from '../../../src/cli/train.ts'
import type { LogEntry } from '../../../src/train/run.ts'
import { errorsOf, launch, noBrowser, type Served, serve } from '../../browser/chromium.ts'
import { labFiles } from './lab-files.ts'

const options = noBrowser ? { skip: true, meta: { leftOut: noBrowser } } : {}

/** Models that train at once on a busy machine. */
const small = 'width=16&batch=2&o.sequenceLength=12'

type Statistics = Extract<WorkerMessage, { type: 'statistics' }>

/** What the page's workers are overheard with; see `overhear`. */
interface Overheard {
  readonly workers: Worker[]
  readonly messages: WorkerMessage[]
}

/** In the page, before its program: keeps its workers, and what they say. */
function overhear(): void {
  const overheard: Overheard = { workers: [], messages: [] }
  const Plain = Worker
  class OverheardWorker extends Plain {
    constructor(address: string | URL, settings?: WorkerOptions) {
      super(address, settings)
      overheard.workers.push(this)
      this.addEventListener('message', ({ data }) => overheard.messages.push(data))
    }
  }
  Object.assign(globalThis, { Worker: OverheardWorker, overheard })
}

describe('the runs of the lab', options, () => {
  let browser: Browser
  let served: Served
  let folder: string
  const errors: (readonly string[])[] = []
  beforeAll(async () => {
    const [files, opened] = await Promise.all([labFiles(), launch()])
    served = await serve(files)
    browser = opened
    folder = await mkdtemp(join(tmpdir(), 'sluice-lab-'))
  }, 120_000)
  afterAll(async () => {
    await browser?.close()
    served?.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function open(hash: string): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
    errors.push(errorsOf(page))
    await page.addInitScript(overhear)
    await page.goto(`${served.address}#${hash}`)
    await page.locator('[role=option]').first().waitFor()
    return page
  }

  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
  const finished = (page: Page) => page.getByText('finished', { exact: true }).waitFor({ timeout: 100_000 })

  /** Both logs of the experiment that is shown, without times. */
  async function logs(page: Page): Promise<Omit<LogEntry, 'seconds'>[][]> {
    const told = await page.evaluate(() => {
      const { messages } = (globalThis as unknown as { overheard: Overheard }).overheard
      const experiment = messages.findLast(({ type }) => type === 'started') as { experiment: number }
      const own = messages.filter(
        (message): message is Extract<WorkerMessage, { type: 'progress' }> =>
          message.type === 'progress' && message.experiment === experiment.experiment,
      )
      return [0, 1].map((arm) => own.flatMap(({ entries }) => [...entries[arm]!]))
    })
    return told.map((log) => log.map(({ seconds: _, ...entry }) => entry))
  }

  /** What the page's device holds. */
  const statistics = (page: Page): Promise<Statistics> =>
    page.evaluate(() => {
      const { workers } = (globalThis as unknown as { overheard: Overheard }).overheard
      const worker = workers.at(-1)!
      return new Promise<Statistics>((resolve) => {
        worker.addEventListener('message', ({ data }) => {
          if (data.type === 'statistics') resolve(data)
        })
        worker.postMessage({ type: 'statistics' })
      })
    })

  /** Begins again, for the `count`th time, and trains to the end. */
  async function restarted(page: Page, count: number): Promise<void> {
    await button(page, 'Begin again').click()
    await page.waitForFunction((starts) => {
      const { messages } = (globalThis as unknown as { overheard: Overheard }).overheard
      return messages.filter(({ type }) => type === 'started').length === starts
    }, count + 1)
    await finished(page)
  }

  async function downloaded(page: Page, arm: 'A' | 'B'): Promise<string> {
    const [file] = await Promise.all([page.waitForEvent('download'), button(page, `Download run ${arm}`).click()])
    const path = join(folder, file.suggestedFilename())
    await file.saveAs(path)
    return path
  }

  /** What `sluice train --resume` prints. */
  async function resumed(path: string): Promise<string> {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const stderr = vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
    try {
      await trainCommand.run(['--resume', path, '--device', 'cpu'])
      return log.mock.calls.map(([line]) => line).join('\n')
    } finally {
      log.mockRestore()
      stderr.mockRestore()
    }
  }

  test('are the same bits again on the cpu device, and others from another seed', async () => {
    const page = await open(`${small}&device=cpu&steps=12`)
    await finished(page)
    const first = await logs(page)
    expect(first.map((log) => log.map(({ step }) => step))).toEqual(
      [1, 1].map(() => Array.from({ length: 12 }, (_, i) => i + 1)),
    )
    expect(first[0]![0]!.loss).not.toBe(first[1]![0]!.loss)
    await restarted(page, 1)
    expect(await logs(page)).toEqual(first)
    const [again, other] = [
      await open(`${small}&device=cpu&steps=12`),
      await open(`${small}&device=cpu&steps=12&seed=2`),
    ]
    await Promise.all([finished(again), finished(other)])
    expect(await logs(again)).toEqual(first)
    expect((await logs(other))[0]![0]!.loss).not.toBe(first[0]![0]!.loss)
    for (const each of [page, again, other]) await each.close()
  })

  test('learn on webgpu what they learn on the cpu device', async () => {
    const gpu = await open(`${small}&steps=3&device=webgpu`)
    await finished(gpu)
    expect(await gpu.locator('.status').innerText()).toMatch(/WebGPU, .*, emulated/)
    const cpu = await open(`${small}&steps=3&device=cpu`)
    await finished(cpu)
    const [onGpu, onCpu] = [await logs(gpu), await logs(cpu)]
    for (const arm of [0, 1]) {
      for (const step of [0, 1, 2]) {
        // A thousand float32 roundings in the sums of a loss near 4, and what two updates make of them.
        expect(onGpu[arm]![step]!.loss).toBeCloseTo(onCpu[arm]![step]!.loss, 3)
      }
    }
    const before = await statistics(gpu)
    await restarted(gpu, 1)
    expect(await statistics(gpu)).toEqual(before)
    await Promise.all([gpu.close(), cpu.close()])
  })

  test('take the cpu device by themselves where the GPU is emulated, and leave a processor to the page', async () => {
    const page = await open(`${small}&play=0`)
    expect(await page.locator('.status').innerText()).toContain('WebAssembly')
    const [device, processors] = await page.evaluate(() => {
      const { messages } = (globalThis as unknown as { overheard: Overheard }).overheard
      const started = messages.find(({ type }) => type === 'started') as Extract<WorkerMessage, { type: 'started' }>
      return [started.device, navigator.hardwareConcurrency] as const
    })
    expect(device).toMatchObject({ name: 'cpu', threads: Math.max(1, Math.min(4, processors - 1)), isIsolated: true })
    await page.close()
  })

  test('train on a page that is not isolated, on one thread, which it says', async () => {
    const page = await browser.newPage()
    errors.push(errorsOf(page))
    await page.route('**/*', async (route) => {
      const response = await route.fetch()
      const { 'cross-origin-opener-policy': _, 'cross-origin-embedder-policy': __, ...headers } = response.headers()
      await route.fulfill({ response, headers })
    })
    await page.goto(`${served.address}#${small}&device=cpu&steps=2`)
    await finished(page)
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false)
    expect(await page.locator('.status').innerText()).toContain('one thread: this page is not isolated')
    await page.close()
  })

  test('leave nothing behind in ten restarts', async () => {
    const page = await open(`${small}&device=cpu&a.mixer=hybrid&layers=2&steps=2`)
    await finished(page)
    const before = await statistics(page)
    expect(before.buffers).toBeGreaterThan(0)
    for (let restart = 1; restart <= 10; restart++) {
      await restarted(page, restart)
    }
    expect(await statistics(page)).toEqual(before)
    await page.close()
  })

  test('are downloaded, go on on the command line, and come back', async () => {
    const whole = await open(`${small}&device=cpu&steps=12`)
    await finished(whole)
    const expected = (await logs(whole)).map((log) => log.map(({ loss }) => loss))
    await whole.close()

    const page = await open(`${small}&device=cpu&steps=12&play=0`)
    for (let step = 1; step <= 4; step++) {
      await button(page, 'Step').click()
      await page.waitForFunction((n) => Number(document.querySelector('.count')!.textContent) === n, step)
    }
    const [a, b] = [await downloaded(page, 'A'), await downloaded(page, 'B')]
    expect([a, b].map((path) => path.slice(folder.length + 1))).toEqual([
      'a-attention.zip',
      'b-attention-g1-elementwise-sigmoid.zip',
    ])
    expect(await page.locator('code').innerText()).toBe('sluice train --resume b-attention-g1-elementwise-sigmoid.zip')

    // Back on the page, both go on to the bits of the run that was not stopped.
    await page.getByLabel('Open a file as run A').setInputFiles(a)
    await page.getByText('a-attention.zip is open').waitFor()
    await page.getByLabel('Open a file as run B').setInputFiles(b)
    await page.getByText('b-attention-g1-elementwise-sigmoid.zip is open').waitFor()
    await page.waitForFunction(() => document.querySelector('.count')!.textContent === '4')
    await button(page, 'Play').click()
    await finished(page)
    expect((await logs(page)).map((log) => log.map(({ loss }) => loss))).toEqual(expected.map((log) => log.slice(4)))

    const said = await resumed(a)
    expect(said).toMatch(/^12 steps on cpu: held-out loss/)

    // And what the command line has trained is opened here.
    const file = join(folder, 'a-attention', 'checkpoints', 'step-000012.safetensors')
    await page.getByLabel('Open a file as run A').setInputFiles(file)
    await page.getByText('step-000012.safetensors is open').waitFor()
    await finished(page)
    await page.close()
  })

  test('on a text that was pasted go on on the command line, which has no file of it', async () => {
    const text = 'to be or not to be, that is the question. '.repeat(30)
    const page = await open(
      `device=cpu&data=text&width=16&batch=2&length=12&steps=4&play=0&text=${encodeURIComponent(text)}`,
    )
    await button(page, 'Step').click()
    await page.waitForFunction(() => document.querySelector('.count')!.textContent === '1')
    const zip = await downloaded(page, 'B')
    await page.close()
    expect(await resumed(zip)).toMatch(/^4 steps on cpu/)
  })

  test('put no error on the console', () => {
    expect(errors.length).toBeGreaterThan(5)
    expect(errors.flat()).toEqual([])
  })
})

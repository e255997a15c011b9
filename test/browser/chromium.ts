/** Headless Chromium with WebGPU in software, on a page served from memory. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, chromium, type Page } from 'playwright-core'
import { chromiumPath } from '../webgpu/drivers.ts'

/** Why there is no browser to test in; undefined where there is one. */
export const noBrowser: string | undefined = chromiumPath()
  ? undefined
  : 'no Chromium: install Debian’s, or name one with CHROMIUM_PATH'
if (noBrowser && process.env.SLUICE_REQUIRE_WEBGPU === '1')
  throw new Error(`SLUICE_REQUIRE_WEBGPU is set, but ${noBrowser}`)

export interface OpenPage {
  readonly page: Page
  /** Paths that were asked for. */
  readonly requests: readonly string[]
  /** Errors on the console, and uncaught ones. */
  readonly errors: readonly string[]
  close(): Promise<void>
}

const args = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--ignore-gpu-blocklist']

const types: Readonly<Record<string, string>> = {
  js: 'text/javascript',
  css: 'text/css',
  txt: 'text/plain; charset=utf-8',
}

export interface Served {
  readonly address: string
  /** Paths that were asked for. */
  readonly requests: readonly string[]
  close(): void
}

const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

/** Serves `files`, isolated across origins as worker threads need it, unless told otherwise. */
export async function serve(files: ReadonlyMap<string, string>, { isIsolated = true } = {}): Promise<Served> {
  const requests: string[] = []
  const server = createServer(({ url = '/' }, response) => {
    requests.push(url)
    const text = files.get(url)
    const missing = url === '/favicon.ico' ? 204 : 404
    response.writeHead(text === undefined ? missing : 200, {
      'content-type': types[url.split('.').at(-1)!] ?? 'text/html',
      ...(isIsolated ? isolation : {}),
    })
    response.end(text)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests,
    close: () => server.close(),
  }
}

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: chromiumPath(), headless: true, args })

/** Errors on a page's console, and uncaught ones, as they come. */
export function errorsOf(page: Page): readonly string[] {
  const errors: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text())
  })
  page.on('pageerror', (error) => errors.push(String(error)))
  return errors
}

/** Serves `files` and opens `/`. */
export async function openPage(files: ReadonlyMap<string, string>): Promise<OpenPage> {
  const { address, requests, close: stop } = await serve(files)
  let browser: Browser | undefined
  try {
    browser = await launch()
    const page = await browser.newPage()
    const errors = errorsOf(page)
    await page.goto(address)
    return {
      page,
      requests,
      errors,
      async close() {
        await browser?.close()
        stop()
      },
    }
  } catch (error) {
    await browser?.close()
    stop()
    throw error
  }
}

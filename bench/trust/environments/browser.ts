/** The models on a page, served with and without the headers that isolate it from other origins. */
import { join } from 'node:path'
import { build } from 'esbuild'
import { launch, noBrowser, serve } from '../../../test/browser/chromium.ts'
import type { Consumer } from './consumer.ts'
import type { Trained } from './judge.ts'

export interface OnPage extends Trained {
  readonly version: string
  readonly isIsolated: boolean
}

/** Why there is no browser here; undefined where there is. */
export const missing = noBrowser

/** Trains on a page of its own. */
export async function trainOnPage({ folder }: Consumer, isIsolated: boolean): Promise<OnPage> {
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'page.mjs')],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    outdir: '/',
    external: ['node:*', 'gpu.js'],
    write: false,
  })
  const files = new Map(outputFiles.map(({ path, text }) => [path, text]))
  files.set('/', '<!doctype html><title>Sluice</title><script type="module" src="/page.js"></script>')
  const served = await serve(files, { isIsolated })
  try {
    const browser = await launch()
    try {
      const page = await browser.newPage()
      await page.goto(served.address)
      await page.waitForFunction('globalThis.run !== undefined')
      const trained = (await page.evaluate('run()')) as Trained
      const isolated = (await page.evaluate('crossOriginIsolated')) as boolean
      return { ...trained, version: `Chromium ${browser.version()}`, isIsolated: isolated }
    } finally {
      await browser.close()
    }
  } finally {
    served.close()
  }
}

/** Builds the site into a folder of its own, as `npm run docs:build` does. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export function buildSite(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-site-'))
  execFileSync('node_modules/.bin/eleventy', ['--config=docs/site/eleventy.config.mjs'], {
    env: { ...process.env, SLUICE_SITE: folder },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return folder
}

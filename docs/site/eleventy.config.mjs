/** The site's configuration is TypeScript; Node 20 reads it bundled. */
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const outfile = '.cache/site/site.mjs'

export default async function (eleventy) {
  await build({
    entryPoints: ['docs/site/site.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
    logLevel: 'warning',
  })
  // Named anew at each reading: a module is loaded once for each address.
  const { configure } = await import(`${pathToFileURL(outfile).href}?read=${Date.now()}`)
  return configure(eleventy)
}

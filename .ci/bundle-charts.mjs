/**
 * Build step: puts ECharts into the package's file of charts, so that users install nothing for a report, and beside it the
 * licences and notices of what was put in, as they ask for.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { build } from 'esbuild'

const outfile = 'dist/src/train/report/charts.js'

const { metafile } = await build({
  entryPoints: [outfile],
  outfile,
  allowOverwrite: true,
  bundle: true,
  format: 'esm',
  platform: 'neutral',
  mainFields: ['module', 'main'],
  define: { 'process.env.NODE_ENV': '"production"' },
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  metafile: true,
})
// The compiler's map is of the file that stood here before.
rmSync(`${outfile}.map`, { force: true })

const isLegal = (name) => /^(licen[cs]e|notice|copyright)/i.test(name) && !/\.[cm]?[jt]s$/.test(name)
const folders = new Set(
  Object.keys(metafile.inputs).flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []),
)
if (folders.size === 0) throw new Error('the charts are bundled already; run npm run build, which compiles them anew')
const texts = [...folders].sort().flatMap((folder) => {
  const { name, version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && isLegal(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('node_modules'))
    .sort()
  if (files.length === 0) throw new Error(`${name} is bundled and has no licence file`)
  return files.map(
    (path) => `==== ${name} ${version}: ${path}\n\n${readFileSync(`${folder}/${path}`, 'utf8').trim()}\n`,
  )
})
writeFileSync(`${outfile}.LEGAL.txt`, `charts.js contains, bundled:\n\n${texts.join('\n')}`)

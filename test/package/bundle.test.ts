/** A bundler may rename and minify everything: the engine still runs, and finds nothing of Node in its way. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

const entry = `
import { tensor, gatedDeltaRule, randn, manualSeed } from './src/index.ts'
import { train } from './src/train/index.ts'
import { encodeSafetensors, loadSafetensors } from './src/hub/index.ts'
manualSeed(1)
const bytes = encodeSafetensors(new Map([['w', { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) }]]))
const { tensors } = await loadSafetensors(new Blob([bytes]))
const a = tensor([[1, 2], [3, 4]], { requiresGrad: true })
a.sigmoid().sum().backward()
const k = randn([1, 5, 1, 3])
const { state } = gatedDeltaRule(k, k, k, randn([1, 5, 1]).abs().neg(), randn([1, 5, 1]).sigmoid())
const run = await train({
  text: 'to be or not to be '.repeat(50),
  config: { steps: 3, contextLength: 16, batchSize: 2, evaluationBatches: 1, model: { width: 8, layers: 1, heads: 2 } },
})
export const result = {
  gradient: [...(await a.grad.data())],
  state: state.shape,
  steps: run.step,
  read: [...tensors.get('w').data],
}
`

test('minified for a browser', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bundle-'))
  try {
    const { outputFiles } = await build({
      stdin: { contents: entry, resolveDir: process.cwd(), loader: 'ts' },
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      // Only what a program asks for by name needs gpu.js, and only folders need a file system.
      external: ['gpu.js', 'node:*'],
      splitting: true,
      outdir: folder,
      write: false,
    })
    for (const { path, contents } of outputFiles) await writeFile(path, contents)
    const main = outputFiles.find(({ path }) => path.endsWith('stdin.js'))!
    expect(main.text).not.toMatch(/^import[^;]*["']node:/m)
    const { result } = await import(/* @vite-ignore */ pathToFileURL(main.path).href)
    const { gradient, ...rest } = result as { gradient: number[] }
    expect(rest).toEqual({ state: [1, 1, 3, 3], steps: 3, read: [1, 2] })
    // y (1 - y) in float32: 1 - y keeps y's error of 2^-24.
    const expected = [1, 2, 3, 4].map((x) => 1 / (1 + Math.exp(-x)) / (1 + Math.exp(x)))
    expect(gradient).toHaveLength(4)
    gradient.forEach((value, i) => {
      expect(Math.abs(value - expected[i])).toBeLessThanOrEqual(2 ** -22)
    })
  } finally {
    await rm(folder, { recursive: true })
  }
})

/** What a program that uses all of the core loads at its start, minified and gzipped, and the files it is made of. */
async function coreOf(external: readonly string[]): Promise<{ bytes: number; inputs: string[]; external: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: "export * from './src/index.ts'", resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    external: ['gpu.js', 'node:*', ...external],
    splitting: true,
    outdir: 'core',
    write: false,
    metafile: true,
  })
  const [path, main] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint !== undefined)!
  // What the start needs at once: the entry and the pieces that it imports without asking.
  const atOnce = [
    path,
    ...main.imports.filter(({ kind, external }) => kind === 'import-statement' && !external).map((i) => i.path),
  ]
  const texts = outputFiles.filter((file) => atOnce.some((name) => file.path.endsWith(name)))
  return {
    bytes: texts.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0),
    inputs: atOnce.flatMap((name) => Object.keys(metafile.outputs[name].inputs)),
    external: atOnce.flatMap((name) =>
      metafile.outputs[name].imports.flatMap((i) => (i.external && i.kind === 'import-statement' ? i.path : [])),
    ),
  }
}

test('the core is small: 100 KB gzipped, without gpu.js, plots or the prose of the reference', async () => {
  // Its one dependency at run time besides gpu.js, the parser of kernels, is 33 KB more.
  const own = await coreOf(['acorn'])
  const whole = await coreOf([])
  expect(own.bytes).toBeLessThanOrEqual(100 * 1024)
  expect(own.external).toEqual(['acorn'])
  expect(whole.external).toEqual([])
  expect(whole.bytes).toBeLessThanOrEqual(135 * 1024)
  expect(whole.inputs.some((path) => path.includes('src/ops/attention.ts'))).toBe(true)
  expect(
    whole.inputs.filter((path) => /draw-text|echarts|zrender|docs\/|src\/(train|lab|hub|nn)\//.test(path)),
  ).toEqual([])
})

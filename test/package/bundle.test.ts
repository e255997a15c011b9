/** A bundler may rename and minify everything: the engine still runs, and finds nothing of Node in its way. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type Plugin } from 'esbuild'
import { build as viteBuild } from 'vite'
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

test('rolldown, which passes over files without effects of their own, keeps the methods of tensors', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-bundle-'))
  try {
    const source = (path: string): string => JSON.stringify(join(process.cwd(), 'src', path))
    await writeFile(
      join(folder, 'entry.js'),
      `import { tensor } from ${source('index.ts')}
import { Linear } from ${source('nn/index.ts')}
const layer = new Linear(2, 1)
layer.forward(tensor([[1, 2]])).sum().backward()
export const gradient = layer.weight.grad.shape`,
    )
    await viteBuild({
      root: folder,
      configFile: false,
      logLevel: 'silent',
      build: {
        outDir: 'dist',
        target: 'es2022',
        rolldownOptions: {
          input: join(folder, 'entry.js'),
          external: ['gpu.js', /^node:/],
          preserveEntrySignatures: 'strict',
          output: { entryFileNames: 'entry.js' },
        },
      },
    })
    const { gradient } = await import(/* @vite-ignore */ pathToFileURL(join(folder, 'dist/entry.js')).href)
    expect(gradient).toEqual([1, 2])
  } finally {
    await rm(folder, { recursive: true })
  }
})

/** Leaves out of a bundle what a program loads only when it asks for it: webgpu, the text of drawings. */
const later: Plugin = {
  name: 'later',
  setup({ onResolve }) {
    onResolve({ filter: /.*/ }, ({ kind, path }) => (kind === 'dynamic-import' ? { path, external: true } : undefined))
  },
}

test('the core is small: 100 KB gzipped, without gpu.js, plots, the prose of the reference, or any other package', async () => {
  const { outputFiles, metafile } = await build({
    stdin: { contents: "export * from './src/index.ts'", resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    plugins: [later],
    outfile: 'core.js',
    write: false,
    metafile: true,
  })
  const [{ inputs, imports }] = Object.values(metafile.outputs)
  expect(gzipSync(outputFiles[0].contents, { level: 9 }).length).toBeLessThanOrEqual(100 * 1024)
  expect(imports.filter(({ kind }) => kind === 'import-statement')).toEqual([])
  expect(Object.keys(inputs)).toContain('src/ops/attention.ts')
  expect(Object.keys(inputs).filter((path) => !/^(src|kernels)\/|^<stdin>$/.test(path))).toEqual([])
  expect(Object.keys(inputs).filter((path) => /draw-text|src\/(train|lab|hub|nn)\//.test(path))).toEqual([])
})

/** The tables from PyTorch: every operation occurs, every name of ours exists, the example runs. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { fencedBlocks, promised, runExample } from '../../.ci/examples.mjs'
import * as check from '../../src/check/index.ts'
import * as hub from '../../src/hub/index.ts'
import * as sluice from '../../src/index.ts'
import * as nn from '../../src/nn/index.ts'
import * as optim from '../../src/optim/index.ts'
import * as training from '../../src/train/index.ts'

const text = readFileSync('docs/from-pytorch.md', 'utf8')

/** The middle column: what things are called here. */
const ours = text
  .split('\n')
  .filter((line) => /^\| (?!PyTorch)/.test(line))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| ?| ?\|$/g, '')))
  .map((cells) => cells[1] ?? '')
const spans = ours.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code))

const members = (of: { readonly prototype: object }): string[] => {
  const found: string[] = []
  for (let at: object = of.prototype; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    found.push(...Object.getOwnPropertyNames(at))
  }
  return found
}

/** Own properties of instances, which no prototype shows, and options. */
const fields = ['shape', 'grad', 'lr', 'axis', 'keepdim']

const known = new Set([
  ...[sluice, nn, optim, check, hub, training].flatMap((module) => Object.keys(module)),
  ...[sluice.Tensor, nn.Module, nn.Transformer, optim.Optimizer].flatMap(members),
  ...fields,
])

/** What a span calls, reads or names: `x.mul(2).add(y)` uses mul and add. */
function namesIn(code: string): string[] {
  const bare = code.replace(/'[^']*'/g, "''")
  const used = [...bare.matchAll(/(?<![\w.])(?:new )?([A-Za-z]\w*)(?=\()|\.([A-Za-z]\w*)/g)].map(
    ([, called, member]) => called ?? member,
  )
  return /^\w+$/.test(bare) ? [bare] : used
}

it('has every operation', () => {
  const used = new Set(spans.flatMap(namesIn))
  const missing = [...sluice.operations.values()].filter(({ name, internal }) => !internal && !used.has(name))
  expect(missing.map(({ name }) => name)).toEqual([])
})

it('has every module and optimizer', () => {
  const classes = [...Object.entries(nn), ...Object.entries(optim)].filter(
    ([, value]) =>
      typeof value === 'function' &&
      (value.prototype instanceof nn.Module || value.prototype instanceof optim.Optimizer),
  )
  const used = new Set(spans.flatMap(namesIn))
  // The long name of MoE, and parts that a model is made of.
  const parts = ['MixtureOfExperts', 'NextToken', 'SwitchHead']
  expect(classes.map(([name]) => name).filter((name) => !used.has(name) && !parts.includes(name))).toEqual([])
})

it('names only what there is', () => {
  const named = spans.filter((code) => !/^[{A-Z_]*[ A-Z_]*=|^SLUICE_|^\{/.test(code)).flatMap(namesIn)
  expect(named.length).toBeGreaterThan(150)
  const local = new Set(['String', 'Float32Array'])
  expect(named.filter((name) => !known.has(name) && !local.has(name))).toEqual([])
})

it('shows a step that runs', async () => {
  const blocks = fencedBlocks(text, ['ts'])
  expect(blocks.length).toBeGreaterThan(0)
  for (const block of blocks) {
    const modules = { sluice, 'sluice/nn': nn, 'sluice/optim': optim }
    expect(await runExample(block.text, modules)).toEqual(promised(block.text))
  }
})

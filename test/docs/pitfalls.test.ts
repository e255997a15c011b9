/** Every pitfall shows the wrong and the right line, and both give what the page says. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fencedBlocks, promised, runExample } from '../../.ci/examples.mjs'
import * as sluice from '../../src/index.ts'
import * as nn from '../../src/nn/index.ts'
import * as optim from '../../src/optim/index.ts'

const sections = readFileSync('docs/pitfalls.md', 'utf8')
  .split(/^### /m)
  .slice(1)
  .map((text) => ({ title: text.split('\n')[0], blocks: fencedBlocks(text, ['ts']) }))

describe('the pitfall', () => {
  for (const { title, blocks } of sections) {
    it(title, async () => {
      expect(blocks.length).toBeGreaterThan(0)
      for (const { text } of blocks) {
        const said = promised(text)
        expect(said.length, 'lines that show the wrong and the right').toBeGreaterThan(0)
        expect(await runExample(text, { sluice, 'sluice/nn': nn, 'sluice/optim': optim })).toEqual(said)
      }
    })
  }

  it('is one of many', () => {
    expect(sections.length).toBeGreaterThan(20)
  })
})

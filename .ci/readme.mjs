/**
 * Runs what the README shows: every `ts` block, whose console.log lines must print what the comments beside them say, and
 * every command of a `sh` block. The package must be built.
 */
import { execFileSync, execSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fencedBlocks, printedLines, promised, withoutTypes } from './examples.mjs'

const readme = readFileSync('README.md', 'utf8')
const blocks = fencedBlocks(readme, ['ts', 'sh'])
const folder = '.cache/readme'
mkdirSync(folder, { recursive: true })

let ran = 0
blocks.forEach(({ language, text }, i) => {
  if (language === 'ts') {
    // A file of the package may import it by its own name.
    const file = `${folder}/block-${i}.mjs`
    writeFileSync(file, withoutTypes(text))
    const printed = printedLines(execFileSync(process.execPath, [file], { encoding: 'utf8' }))
    const wanted = promised(text)
    if (printed.join('\n') !== wanted.join('\n')) {
      throw new Error(`README block ${i} prints\n${printed.join('\n')}\nbut says\n${wanted.join('\n')}`)
    }
    ran++
    return
  }
  for (const line of text.split('\n')) {
    const command = line.replace(/\s+#.*$/, '').trim()
    if (command === '' || command.includes('npm test')) continue
    // The install has just been done; the main job runs with a few steps only, so that the gate stays short.
    const short = command.replace(/^npm ci && /, '').replace(/^npm start$/, 'npm start -- --steps 20')
    console.log(`$ ${short}`)
    execSync(short, { stdio: 'inherit' })
    ran++
  }
})
rmSync(folder, { recursive: true })
console.log(`README: ${ran} blocks and commands ran as they say`)

/**
 * Runs what the README shows: every `ts` block, whose console.log lines must print what the comments beside them say, and
 * every command of a `sh` block. The package must be built.
 */
import { execFileSync, execSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { transformSync } from 'esbuild'

const readme = readFileSync('README.md', 'utf8')
const blocks = [...readme.matchAll(/^```(ts|sh)\n([\s\S]*?)^```/gm)].map(([, language, text]) => ({ language, text }))
const folder = '.cache/readme'
mkdirSync(folder, { recursive: true })

/** What the comments say a block prints: the one behind each console.log, and comment lines straight after it. */
function expected(text) {
  const lines = []
  let open = false
  for (const line of text.split('\n')) {
    const logged = /^\s*console\.log\(.*\) \/\/ (.*)$/.exec(line)
    const more = open && /^\/\/ +(.*)$/.exec(line)
    if (logged) lines.push(logged[1])
    else if (more) lines.push(more[1])
    open = Boolean(logged || more)
  }
  return lines
}

const words = (line) => line.trim()
let ran = 0
blocks.forEach(({ language, text }, i) => {
  if (language === 'ts') {
    // A file of the package may import it by its own name.
    const file = `${folder}/block-${i}.mjs`
    writeFileSync(file, transformSync(text, { loader: 'ts', target: 'node20' }).code)
    const printed = execFileSync(process.execPath, [file], { encoding: 'utf8' }).split('\n').map(words).filter(Boolean)
    const wanted = expected(text).map(words)
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

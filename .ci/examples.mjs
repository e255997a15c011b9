/**
 * Examples that say what they print: `console.log(…) // what it prints`, and lines of comment straight after it for what
 * takes several lines. README, reference pages and docstrings are written so, and run with what stands here.
 */
import { inspect } from 'node:util'
import { transformSync } from 'esbuild'

/** What a text says that it prints, a line each. */
export function promised(text) {
  const lines = []
  let open = false
  for (const line of text.split('\n')) {
    const logged = /^\s*console\.log\(.*\) \/\/ (.*)$/.exec(line)
    const more = open && /^\s*\/\/ +(.*)$/.exec(line)
    if (logged) lines.push(logged[1])
    else if (more) lines.push(more[1])
    open = Boolean(logged || more)
  }
  return lines.map((line) => line.trim())
}

/** Fenced blocks of Markdown in the given languages, with the line that each begins at. */
export function fencedBlocks(markdown, languages) {
  const fence = new RegExp(`^\`\`\`(${languages.join('|')})\\n([\\s\\S]*?)^\`\`\``, 'gm')
  return [...markdown.matchAll(fence)].map((match) => ({
    language: match[1],
    text: match[2],
    line: markdown.slice(0, match.index).split('\n').length,
  }))
}

/** TypeScript as JavaScript that Node can run. */
export function withoutTypes(text) {
  return transformSync(text, { loader: 'ts', target: 'node20' }).code
}

/** Lines as printed, without blank ones and without space at the ends. */
export function printedLines(output) {
  return output
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
}

const AsyncFunction = (async () => {}).constructor

/**
 * Runs a text in this process and gives the lines that it prints.
 *
 * @param modules what `import … from 'name'` gives, by name
 */
export async function runExample(text, modules) {
  const printed = []
  const show = (value) => (typeof value === 'string' ? value : inspect(value))
  const console = { log: (...values) => printed.push(...printedLines(values.map(show).join(' '))) }
  const body = withoutTypes(text).replace(
    /^import \{([^}]*)\} from ["']([^"']+)["'];?$/gm,
    (_, names, from) => `const {${names.replaceAll(' as ', ': ')}} = modules[${JSON.stringify(from)}];`,
  )
  await new AsyncFunction('modules', 'console', body)(modules, console)
  return printed
}

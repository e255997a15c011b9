/** The import lines that an example needs, found from the names it uses. */

/** Public names and the entry point that has each. */
export type PublicNames = ReadonlyMap<string, string>

export function publicNames(modules: Readonly<Record<string, object>>): PublicNames {
  const found = new Map<string, string>()
  for (const [from, names] of Object.entries(modules)) {
    for (const name of Object.keys(names)) if (!found.has(name)) found.set(name, from)
  }
  return found
}

/** The example with its imports, trimmed: a program that can be pasted. */
export function withImports(example: string, names: PublicNames): string {
  const code = example.trim()
  // Comments and strings name things too, and so do properties behind a dot and variables that the example makes itself.
  const bare = code.replace(/\/\/.*$/gm, '').replace(/'[^'\n]*'/g, "''")
  const own = new Set(
    [...bare.matchAll(/(?:const|let) (?:[[{]([^\]}]*)[\]}]|(\w+))/g)].flatMap(([, list, one]) =>
      (list ?? one).split(/[\s,:]+/),
    ),
  )
  const byModule = new Map<string, Set<string>>()
  for (const [, name] of bare.matchAll(/(?<![\w.]|\.\s*)([A-Za-z_]\w*)\b(?!\s*:(?!:))/g)) {
    const from = names.get(name)
    if (from === undefined || own.has(name)) continue
    byModule.set(from, (byModule.get(from) ?? new Set()).add(name))
  }
  const lines = [...byModule].sort().map(([from, used]) => `import { ${[...used].sort().join(', ')} } from '${from}'`)
  return lines.length === 0 ? code : `${lines.join('\n')}\n\n${code}`
}

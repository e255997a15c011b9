/** What the package depends on: few things, each with its reason, under licences that may be used. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

type Versions = Readonly<Record<string, string>>
const about = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Versions
  peerDependencies: Versions
  devDependencies: Versions
}
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, { license?: string } & Partial<typeof about>>
}

const free = ['MIT', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'BlueOak-1.0.0']
/** Used here and handed to nobody. */
const forDevelopment: Readonly<Record<string, RegExp>> = {
  'MPL-2.0': /^(axe-core|lightningcss)\b/,
  'Python-2.0': /^argparse$/,
}

interface Component {
  readonly name: string
  readonly version: string
  readonly licenses?: readonly { license?: { id?: string; name?: string }; expression?: string }[]
  readonly properties?: readonly { name: string; value: string }[]
}

/** '(MIT OR WTFPL)' to its alternatives. */
const alternatives = (expression: string): string[] => expression.replace(/[()]/g, '').split(' OR ')

function licencesOf({ licenses = [] }: Component): string[] {
  return licenses.flatMap(({ license, expression }) => alternatives(expression ?? license?.id ?? license?.name ?? ''))
}

function refusal(component: Component): string | undefined {
  const licences = licencesOf(component)
  if (licences.some((licence) => free.includes(licence))) return undefined
  const isDevelopment = component.properties?.some(({ name }) => name === 'cdx:npm:package:development')
  if (isDevelopment && licences.some((licence) => forDevelopment[licence]?.test(component.name))) return undefined
  return `${component.name} ${component.version}: ${licences.join(' or ') || 'no licence'}`
}

describe('licences', () => {
  it('of all that is in the lockfile are allowed', () => {
    const text = execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], { encoding: 'utf8' })
    const { components } = JSON.parse(text) as { components: Component[] }
    expect(components.length).toBeGreaterThan(400)
    expect(components.flatMap((component) => refusal(component) ?? [])).toEqual([])
  })

  it('are refused where they are not', () => {
    const component = { name: 'a', version: '1.0.0' }
    expect(refusal(component)).toBe('a 1.0.0: no licence')
    expect(refusal({ ...component, licenses: [{ license: { id: 'GPL-3.0-only' } }] })).toBe('a 1.0.0: GPL-3.0-only')
    expect(refusal({ ...component, licenses: [{ expression: '(GPL-2.0-only OR MIT)' }] })).toBeUndefined()
    const mozilla = { licenses: [{ license: { id: 'MPL-2.0' } }], version: '1.0.0', name: 'axe-core' }
    expect(refusal(mozilla)).toBe('axe-core 1.0.0: MPL-2.0')
    expect(
      refusal({ ...mozilla, properties: [{ name: 'cdx:npm:package:development', value: 'true' }] }),
    ).toBeUndefined()
  })
})

/** Rows of a table of `docs/architecture.md` by the first word of its heading: name, licence, reason. */
function table(heading: string): string[][] {
  const page = readFileSync('docs/architecture.md', 'utf8')
  const [, rows] = new RegExp(`^\\| ${heading} \\|.*\\n\\|[-|]+\\n((?:\\|.*\\n)+)`, 'm').exec(page) ?? []
  if (rows === undefined) throw new Error(`docs/architecture.md has no table '${heading}'`)
  return rows
    .trim()
    .split('\n')
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
}

describe('docs/architecture.md', () => {
  it.each([
    ['package', about.dependencies],
    ['optional peer', about.peerDependencies],
    ['for development', about.devDependencies],
  ] as const)('has each %s, with its licence and its reason, and no other', (heading, wanted) => {
    const rows = table(heading)
    expect(rows.map(([name]) => name).toSorted()).toEqual(Object.keys(wanted).toSorted())
    for (const [name, licence, reason] of rows) {
      expect(reason.length, name).toBeGreaterThan(5)
      expect(licence, name).toBe(lock.packages[`node_modules/${name}`].license)
    }
  })
})

it('the lockfile is in step, and versions for development are exact', () => {
  const { dependencies, peerDependencies, devDependencies } = lock.packages['']
  expect({ dependencies, peerDependencies, devDependencies }).toEqual({
    dependencies: about.dependencies,
    peerDependencies: about.peerDependencies,
    devDependencies: about.devDependencies,
  })
  expect(Object.values(about.devDependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
})

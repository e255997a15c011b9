/** What the pages of entry points show: their names by kind, in the order in which a reader looks for them. */
import { formula } from './formulas.ts'
import { entryUrl } from './navigation.ts'
import { operationUrl } from './operations.ts'
import type { EntryPoint, Kind, PublicName } from './public-api.ts'

const kinds: readonly { kind: Kind; title: string }[] = [
  { kind: 'class', title: 'Classes' },
  { kind: 'function', title: 'Functions' },
  { kind: 'value', title: 'Values' },
  { kind: 'interface', title: 'Interfaces' },
  { kind: 'type', title: 'Types' },
]

export interface EntryPage {
  readonly module: string
  readonly url: string
  readonly doc: string
  readonly operations: readonly { name: string; url: string }[]
  readonly parts: readonly { title: string; id: string; names: readonly NameView[] }[]
}

export type NameView = Omit<PublicName, 'parameters'> & {
  readonly id: string
  readonly parameters: readonly { name: string; text: string }[]
}

function viewOf(name: PublicName): NameView {
  return {
    ...name,
    id: `${name.kind === 'interface' || name.kind === 'type' ? 'type-' : ''}${name.name}`,
    parameters: name.parameters.map(({ name: parameter, text }) => ({ name: parameter, text: formula(text) })),
    returns: formula(name.returns),
    throws: formula(name.throws),
  }
}

export function entryPages(entryPoints: readonly EntryPoint[]): EntryPage[] {
  return entryPoints.map(({ module, doc, names }) => ({
    module,
    url: entryUrl(module),
    doc,
    operations: names.filter(({ kind }) => kind === 'operation').map(({ name }) => ({ name, url: operationUrl(name) })),
    parts: kinds
      .map(({ kind, title }) => ({
        title,
        id: `part-${title.toLowerCase()}`,
        names: names.filter((name) => name.kind === kind).map(viewOf),
      }))
      .filter((part) => part.names.length > 0),
  }))
}

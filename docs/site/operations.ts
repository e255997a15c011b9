/** What the pages of operations show: record, page and source of each, joined. */

import * as sluice from '../../src/index.ts'
import { type OpRecord, operations, scope } from '../../src/index.ts'
import { publicNames, withImports } from '../reference/imports.ts'
import { type OperationName, operationGroups, operationPages } from '../reference/operations.ts'
import { escapeHtml, formula } from './formulas.ts'
import { slug } from './markdown.ts'
import type { EntryPoint } from './public-api.ts'

export interface Shaped {
  readonly name: string
  /** '[B, T]', or ''. */
  readonly shape: string
  readonly meaning: string
}

export interface OperationView {
  readonly name: string
  readonly url: string
  readonly group: string
  readonly groupUrl: string
  readonly doc: string
  readonly plainDoc: string
  readonly signature: string
  readonly asMethod: boolean
  readonly arguments: readonly Shaped[]
  readonly results: readonly Shaped[]
  readonly gradient: string | null
  readonly composite: boolean
  readonly rule: string | undefined
  /** Internal operations that the rule uses. */
  readonly helpers: readonly { readonly name: string; readonly doc: string }[]
  readonly absolute: string
  readonly relative: string
  readonly why: string
  readonly errors: readonly { readonly what: string; readonly message: string }[]
  readonly example: string
  readonly source: string | undefined
  readonly file: string
  readonly line: number
}

export const operationUrl = (name: string): string => `/reference/operations/${name}/`

/** '[B, T]: meaning' as a shape and a meaning; what has no shape is a meaning alone. */
function shaped(name: string, text: string): Shaped {
  const [, shape, meaning] = /^(\[[^:;]*\])(?:[:;] (.*))?$/.exec(text) ?? ['', '', text]
  return { name, shape, meaning: formula(meaning ?? '') }
}

/** The message that a bad input gets, without the place in this program. */
function messageOf(record: OpRecord, make: () => unknown[]): string {
  return scope(() => {
    try {
      ;(record.call as (...given: unknown[]) => unknown)(...make())
    } catch (error) {
      return (error as Error).message.replace(/ \(at [^()]*\)$/, '')
    }
    throw new Error(`${record.name} does not refuse what its record calls a bad input`)
  })
}

/** 2e-6 as '2 · 10⁻⁶'. */
function scientific(value: number): string {
  const [digits, exponent] = value.toExponential().split('e')
  const raised = exponent.replace('-', '⁻').replace(/\d/g, (digit) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)])
  return digits === '1' ? `10${raised}` : `${digits} · 10${raised}`
}

export function operationViews(entryPoints: readonly EntryPoint[]): OperationView[] {
  const sources = new Map(entryPoints.flatMap(({ names }) => names.map((name) => [name.name, name] as const)))
  const names = publicNames({ sluice })
  const methods = sluice.Tensor.prototype as unknown as Record<string, unknown>
  return operationGroups.flatMap(({ title, pages }) =>
    Object.keys(pages).map((name): OperationView => {
      const record = operations.get(name)!
      const page = operationPages[name as OperationName]
      const source = sources.get(name)!
      const rule = record.composite ? undefined : source.rule?.text
      const results = typeof page.result === 'string' ? { '': page.result } : page.result
      return {
        name,
        url: operationUrl(name),
        group: title,
        groupUrl: `/reference/#${slug(title)}`,
        doc: formula(record.doc),
        plainDoc: record.doc,
        signature: source.declaration,
        asMethod: name in methods,
        arguments: Object.entries(page.arguments).map(([key, text]) => shaped(key, text)),
        results: Object.entries(results).map(([key, text]) => shaped(key, text)),
        gradient: page.gradient && formula(page.gradient),
        composite: record.composite,
        rule,
        helpers: [...operations.values()]
          .filter(({ internal, name: other }) => internal && rule && new RegExp(`\\b${other}\\b`).test(rule))
          .map((helper) => ({ name: helper.name, doc: formula(helper.doc) })),
        absolute: scientific(record.tolerance.absolute),
        relative: scientific(record.tolerance.relative),
        why: formula(record.tolerance.why),
        errors: record.errors.map(({ what, arguments: make }) => ({
          what,
          message: escapeHtml(messageOf(record, make)),
        })),
        example: withImports(page.example, names),
        source: record.source,
        file: source.file,
        line: source.line,
      }
    }),
  )
}

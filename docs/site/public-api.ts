/** Every public name of every entry point, read from its declaration and docstring by the compiler itself. */
import { readFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import type { Node, SourceFile } from 'typescript/unstable/ast'
import { API, type Checker, type Symbol as CompilerSymbol, type Project } from 'typescript/unstable/sync'

/** The compiler's flags of these names; its enumerations are no part of its package's surface. */
const FUNCTION = 16
const CLASS = 32
const INTERFACE = 64
const TYPE_ALIAS = 524288
const ALIAS = 2097152

export type Kind = 'operation' | 'function' | 'class' | 'interface' | 'type' | 'value'

/** What a class, an interface or a type of an object's form holds. */
export interface PublicMember {
  readonly name: string
  /** Its comment as it stands, tags included; '' where there is none. */
  readonly doc: string
  /** The declaration without comment and body. */
  readonly declaration: string
  /** Whether it throws in its own body. */
  readonly throwsItself: boolean
  readonly line: number
}

export interface PublicName {
  readonly name: string
  readonly kind: Kind
  /** The docstring without its tags; Markdown. */
  readonly doc: string
  readonly parameters: readonly { readonly name: string; readonly text: string }[]
  readonly returns: string
  readonly throws: string
  readonly example: string
  /** The declaration without bodies: overloads, members of a class with their comments, a whole interface or type. */
  readonly declaration: string
  /** Without what an ancestor documents: members marked with `override`. */
  readonly members: readonly PublicMember[]
  /** Whether a function throws in its own body. */
  readonly throwsItself: boolean
  /** From the root of the repository. */
  readonly file: string
  readonly line: number
  /** The record's `vjp` or `compose`, as it stands in the source; of operations only. */
  readonly rule: { readonly kind: 'vjp' | 'compose'; readonly text: string } | undefined
}

export interface EntryPoint {
  /** 'sluice/nn' */
  readonly module: string
  readonly file: string
  /** The first comment of its file. */
  readonly doc: string
  readonly names: readonly PublicName[]
}

/** Entry points as package.json names them, with the sources that they are built from. */
export function entryFiles(): { module: string; file: string }[] {
  const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    name: string
    exports: Record<string, { default: string } | string>
  }
  return Object.entries(exports).flatMap(([path, target]) =>
    typeof target === 'string'
      ? []
      : [
          {
            module: name + path.slice(1),
            file: target.default.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts'),
          },
        ],
  )
}

/** Lines moved left by what all but the first are indented. */
function outdent(text: string): string {
  const [first, ...rest] = text.split('\n').map((line) => line.trimEnd())
  const indents = rest.filter((line) => line.trim() !== '').map((line) => /^ */.exec(line)![0].length)
  const least = Math.min(...indents, Number.POSITIVE_INFINITY)
  return [first, ...rest.map((line) => line.slice(Number.isFinite(least) ? least : 0))].join('\n')
}

interface WithBody extends Node {
  readonly body?: Node
  /** What an alias stands for. */
  readonly type?: WithBody
  /** The parts of an intersection or a union. */
  readonly types?: readonly WithBody[]
  readonly initializer?: Node
  readonly name?: Node
  readonly members?: readonly WithBody[]
}

/** The text of a declaration, from its comment or its first word to its body. */
function headOf(node: WithBody, file: SourceFile, withComment: boolean): string {
  const end = node.body ? node.body.getStart(file) : node.end
  return outdent(file.text.slice(node.getStart(file, withComment), end).trim())
}

const lineOf = (node: Node, file: SourceFile): number => file.text.slice(0, node.getStart(file)).split('\n').length

/** Whether a function's body, a closure's apart or not, throws. */
const throws = ({ body }: WithBody): boolean => body !== undefined && /\bthrow /.test(body.getText())

const isHidden = (text: string): boolean =>
  /^((readonly|static|override|async|get|set) )*(#|private |protected )/.test(text)

function classListing(node: WithBody, file: SourceFile): string {
  const members = node.members ?? []
  const first = members[0]
  const head = file.text.slice(node.getStart(file), first ? first.pos : node.end).trim()
  const shown = members
    .filter((member) => !isHidden(file.text.slice(member.getStart(file), member.end)))
    .map((member) => headOf(member, file, true).replaceAll('\n', '\n  '))
  return `${head.replace(/\{$/, '').trim()} {\n  ${shown.join('\n\n  ')}\n}`
}

/** Members of a class, an interface, or the object types that an alias is put together from. */
function memberNodes({ members, type, types }: WithBody): readonly WithBody[] {
  return members ?? (type ? memberNodes(type) : (types ?? []).flatMap(memberNodes))
}

function publicMembers(node: WithBody, file: SourceFile): PublicMember[] {
  return memberNodes(node).flatMap((member) => {
    const text = file.text.slice(member.getStart(file), member.end)
    // What an ancestor documents, and what the language defines, need no second docstring.
    if (isHidden(text) || /^((static|async|readonly) )*(override |\[Symbol)/.test(text)) return []
    const before = file.text.slice(member.getStart(file, true), member.getStart(file))
    const comment = before.slice(Math.max(before.lastIndexOf('/**'), 0))
    return {
      name: member.name?.getText() ?? text.split('(')[0],
      doc: openingComment(comment),
      declaration: headOf(member, file, false),
      throwsItself: throws(member),
      line: lineOf(member, file),
    }
  })
}

function findProperty(node: Node, names: readonly string[]): { name: string; value: Node } | undefined {
  const { name, initializer } = node as WithBody
  if (name && initializer && names.includes(name.getText())) return { name: name.getText(), value: initializer }
  return node.forEachChild((child) => findProperty(child, names))
}

function listing(declarations: readonly Node[], flags: number, name: string, type: () => string): string {
  const [node] = declarations as WithBody[]
  const file = node.getSourceFile()
  const bare = (text: string) => text.replace(/^export (default )?(declare )?/, '')
  if (flags & CLASS) return bare(classListing(node, file))
  if (flags & FUNCTION) {
    const overloads = (declarations as WithBody[]).filter(({ body }) => !body)
    const shown = overloads.length > 0 ? overloads : [node]
    return shown.map((declaration) => bare(headOf(declaration, file, false))).join('\n')
  }
  if (flags & (INTERFACE | TYPE_ALIAS)) return bare(headOf(node, file, false))
  return `const ${name}: ${type()}`
}

/** The comment that a file opens with: what its one class is, where the class itself says nothing. */
function openingComment(text: string): string {
  return (
    /^(?:\/\/\/.*\n)*\/\*\*([\s\S]*?)\*\//
      .exec(text)?.[1]
      .replace(/^\s*\* ?/gm, '')
      .trim() ?? ''
  )
}

class Reader {
  readonly #project: Project
  readonly #checker: Checker
  readonly #root = process.cwd()

  constructor(project: Project) {
    this.#project = project
    this.#checker = project.checker
  }

  entryPoint(module: string, path: string): EntryPoint {
    const file = this.#project.program.getSourceFile(resolve(this.#root, path))!
    const symbols = this.#checker.getExportsOfModule(this.#checker.getSymbolAtLocation(file)!)
    const names = symbols.map((symbol) => this.#name(symbol)).sort((a, b) => a.name.localeCompare(b.name, 'en'))
    return { module, file: path, doc: openingComment(file.text), names }
  }

  #name(exported: CompilerSymbol): PublicName {
    const checker = this.#checker
    const symbol = exported.flags & ALIAS ? checker.getAliasedSymbol(exported) : exported
    const { flags } = symbol
    const declarations = symbol.declarations.flatMap((handle) => handle.resolve(this.#project) ?? [])
    const [node] = declarations
    const file = node.getSourceFile()
    const type = () => checker.typeToString(checker.getTypeOfSymbol(symbol)!)
    const isOperation =
      !(flags & (FUNCTION | CLASS | INTERFACE | TYPE_ALIAS)) && /^(Operation<|Unary$|Binary$|Reduction$)/.test(type())
    const tags = checker.getJsDocTagsOfSymbol(symbol)
    const textOf = (name: string) =>
      tags
        .filter((tag) => tag.name === name)
        .map((tag) => String(tag.text ?? ''))
        .join('\n')
    const rule = isOperation ? findProperty(node, ['vjp', 'compose']) : undefined
    return {
      name: exported.name,
      kind: isOperation
        ? 'operation'
        : flags & FUNCTION
          ? 'function'
          : flags & CLASS
            ? 'class'
            : flags & INTERFACE
              ? 'interface'
              : flags & TYPE_ALIAS
                ? 'type'
                : 'value',
      doc: checker.getDocumentationCommentOfSymbol(symbol) || (flags & CLASS ? openingComment(file.text) : ''),
      parameters: tags
        .filter(({ name }) => name === 'param')
        .map(({ text }) => {
          const [, name, rest] = /^(\S+)\s+(?:- )?([\s\S]*)$/.exec(String(text ?? '')) ?? ['', String(text ?? ''), '']
          return { name, text: rest }
        }),
      returns: textOf('returns'),
      throws: textOf('throws'),
      example: textOf('example'),
      declaration: isOperation
        ? `${exported.name}${this.#parameters(symbol)}`
        : listing(declarations, flags, exported.name, type),
      members: flags & (CLASS | INTERFACE | TYPE_ALIAS) ? publicMembers(node, file) : [],
      throwsItself: (declarations as WithBody[]).some(throws),
      file: relative(this.#root, file.fileName),
      line: lineOf(node, file),
      rule: rule && { kind: rule.name as 'vjp' | 'compose', text: outdent(rule.value.getText()) },
    }
  }

  /** '(x: Tensor, axis?: number): Tensor' */
  #parameters(symbol: CompilerSymbol): string {
    const checker = this.#checker
    const [signature] = checker.getSignaturesOfType(checker.getTypeOfSymbol(symbol)!, 0)
    const written = checker.signatureToSignatureDeclaration(signature, 180)!
    const text = this.#project.emitter.printNode(written).replace(/;\s*$/, '')
    // An optional parameter's own `| undefined` says nothing more.
    return text.replace(/(\?: [^,()]*?) \| undefined(?=[,)}; ])/g, '$1').replace(/\s*\n\s*/g, ' ')
  }
}

export function readEntryPoints(): EntryPoint[] {
  const api = new API({ cwd: process.cwd() })
  try {
    const snapshot = api.updateSnapshot({ openProjects: ['tsconfig.build.json'] })
    const [project] = snapshot.getProjects()
    const reader = new Reader(project)
    return entryFiles().map(({ module, file }) => reader.entryPoint(module, file))
  } finally {
    api.close()
  }
}

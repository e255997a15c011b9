/**
 * What a docstring of a public name must say, as far as a test can tell: a meaning, shapes of tensors, units of time and
 * memory, errors.
 */
import type { EntryPoint, PublicMember, PublicName } from '../../docs/site/public-api.ts'

/** Takes, gives or holds tensors. */
const hasTensors = (declaration: string): boolean => /\bTensor\b/.test(declaration)

/** '[B, T, C]', '[]', or a word about it. */
const saysShape = (doc: string): boolean => /\[[^\]]*\]|\bshapes?\b|\bscalar\b/i.test(doc)

const saysErrors = (doc: string): boolean =>
  /@throws|Error\b|\berrors?\b|\brefuse[sd]?\b|\brejects?\b|\bthrows?\b/i.test(doc)

/** Names that hold an amount of time or memory. */
const isAmount = (name: string): boolean => /(bytes|memory|seconds|duration|elapsed|timeout)/i.test(name)

const saysUnit = (text: string): boolean =>
  /\b(bytes?|KB|MB|GB|seconds?|s|milliseconds?|ms|minutes?|steps?)\b|(Bytes|Seconds|Milliseconds)\b/.test(text)

/** A member of an object whose type is a number, or a list of them. */
const isNumber = (declaration: string): boolean => /: (readonly )?number\b/.test(declaration)

/** A member of what a class implements: an interface's docstring is its own. */
function inherited(owner: PublicName, member: PublicMember, names: ReadonlyMap<string, PublicName>): string {
  const [, parent] = /\bimplements (\w+)/.exec(owner.declaration) ?? []
  return names.get(parent)?.members.find(({ name }) => name === member.name)?.doc ?? ''
}

/** What a member lacks. Overloads and accessors of one name share a docstring. */
function memberFaults(owner: PublicName, member: PublicMember, names: ReadonlyMap<string, PublicName>): string[] {
  const siblings = owner.members.filter(({ name }) => name === member.name)
  const own =
    siblings
      .map(({ doc }) => doc)
      .join('\n')
      .trim() || inherited(owner, member, names)
  // What the docstring of the whole says of its constructor, or of all members of a small object type, is said.
  const isSaid = member.name === 'constructor' || owner.doc.includes(`\`${member.name}\``)
  const doc = own || (isSaid ? owner.doc : '')
  if (!doc) return ['has no docstring']
  const faults: string[] = []
  if (hasTensors(member.declaration) && !saysShape(doc)) faults.push('has a tensor without a shape')
  if (member.throwsItself && !saysErrors(doc)) faults.push('throws, and does not say so')
  if (isAmount(member.name) && isNumber(member.declaration) && !saysUnit(`${doc} ${member.name}`)) {
    faults.push('has no unit')
  }
  return faults
}

/** What a name and its members lack, each as 'file:line name: what'. */
export function documentationFaults(entryPoints: readonly EntryPoint[]): string[] {
  const byName = new Map(entryPoints.flatMap(({ names }) => names.map((name) => [name.name, name])))
  const found = entryPoints.flatMap(({ doc, names, file }) => [
    ...(doc ? [] : [`${file}: has no docstring`]),
    ...names.flatMap((name) => [
      ...nameFaults(name).map((fault) => `${name.file}:${name.line} ${name.name}: ${fault}`),
      ...name.members.flatMap((member) =>
        memberFaults(name, member, byName).map(
          (fault) => `${name.file}:${member.line} ${name.name}.${member.name}: ${fault}`,
        ),
      ),
    ]),
  ])
  return [...new Set(found)]
}

function nameFaults(name: PublicName): string[] {
  // An operation is documented by its record and its page, arguments with shapes, errors and bounds: reference.test.ts.
  if (name.kind === 'operation') return []
  if (!name.doc) return ['has no docstring']
  if (name.kind !== 'function') return []
  const said = [name.doc, ...name.parameters.map(({ text }) => text), name.returns].join('\n')
  const faults: string[] = []
  if (hasTensors(name.declaration) && !saysShape(said)) faults.push('takes or gives tensors, and no shape is said')
  if (name.throwsItself && !name.throws && !saysErrors(said)) faults.push('throws, and does not say so')
  return faults
}

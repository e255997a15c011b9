/**
 * Einstein summation: every letter is an axis, letters missing from the result are summed.
 *
 * The operands are taken in from left to right. Two of them are joined by one matrix product: letters in both and still
 * needed are its batch, letters in both and needed no more are summed by it, the others are its rows and columns.
 */
import { SluiceError, showShape } from '../errors.ts'
import { eye } from '../tensor/create.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { mul } from './elementwise.ts'
import { matmul } from './matmul.ts'
import { expand, permute, reshape } from './movement.ts'
import { example, needTensor } from './operands.ts'
import { type Draw, defineOp, type Operation } from './record.ts'
import { sum } from './reduce.ts'

/** A tensor and the letter of each of its axes. */
interface Lettered {
  t: Tensor
  letters: string[]
}

/** Stands for the axis at `place` from the end of an ellipsis. */
const ellipsisLetter = (place: number): string => `.${place}`

function lettersOf(spec: string, term: string, rank: number): string[] {
  const parts = term.split('...')
  if (parts.length > 2 || !/^[A-Za-z]*$/.test(parts.join(''))) {
    throw new SluiceError('einsum', `'${spec}': '${term}' may hold letters and one '...'`)
  }
  const named = parts.join('').length
  const hidden = rank - named
  if (parts.length === 1 ? hidden !== 0 : hidden < 0) {
    throw new SluiceError('einsum', `'${spec}': '${term}' names ${named} axes, its operand has ${rank}`)
  }
  const middle = parts.length === 2 ? Array.from({ length: hidden }, (_, i) => ellipsisLetter(hidden - i)) : []
  return [...parts[0], ...middle, ...(parts[1] ?? '')]
}

function parse(spec: string, operands: readonly Tensor[]): { terms: string[][]; result: string[] } {
  const [left, right, more] = spec.replaceAll(' ', '').split('->')
  if (more !== undefined) throw new SluiceError('einsum', `'${spec}' has more than one '->'`)
  const given = left.split(',')
  if (given.length !== operands.length) {
    throw new SluiceError('einsum', `'${spec}' names ${given.length} operands, got ${operands.length}`)
  }
  const terms = given.map((term, i) => lettersOf(spec, term, operands[i].rank))
  const hidden = Math.max(0, ...terms.map((letters) => letters.filter((l) => l.startsWith('.')).length))
  const middle = Array.from({ length: hidden }, (_, i) => ellipsisLetter(hidden - i))
  if (right === undefined) {
    // NumPy's implicit result: the ellipsis, then letters that occur once, in alphabetical order.
    const all = terms.flat().filter((l) => !l.startsWith('.'))
    return { terms, result: [...middle, ...all.filter((l) => all.indexOf(l) === all.lastIndexOf(l)).sort()] }
  }
  const result = right.includes('...')
    ? lettersOf(spec, right, right.replace('...', '').length + hidden)
    : lettersOf(spec, right, right.length)
  for (const letter of result) {
    if (result.indexOf(letter) !== result.lastIndexOf(letter))
      throw new SluiceError('einsum', `'${spec}': '${letter}' is twice in the result`)
    if (!terms.some((letters) => letters.includes(letter)))
      throw new SluiceError('einsum', `'${spec}': '${letter}' is in the result, but in no operand`)
  }
  return { terms, result }
}

/** The size of every letter; ellipsis axes of size 1 broadcast, letters must agree. */
function sizesOf(spec: string, operands: readonly Lettered[]): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const { t, letters } of operands) {
    letters.forEach((letter, axis) => {
      const n = t.shape[axis]
      const known = sizes.get(letter) ?? 1
      if (sizes.has(letter) && n !== known && !(letter.startsWith('.') && (n === 1 || known === 1))) {
        const shapes = operands.map((o) => showShape(o.t.shape)).join(', ')
        throw new SluiceError('einsum', `'${spec}' with ${shapes}: '${letter}' has sizes ${known} and ${n}`)
      }
      sizes.set(letter, Math.max(n, sizes.has(letter) ? known : 0))
      if (n === 0) sizes.set(letter, 0)
    })
  }
  return sizes
}

/** A repeated letter made one axis: everything off its diagonal is masked out, and one of the two axes summed. */
function diagonals({ t, letters }: Lettered): Lettered {
  const axis = letters.findIndex((letter, i) => letters.indexOf(letter) < i)
  if (axis < 0) return { t, letters }
  const first = letters.indexOf(letters[axis])
  const n = t.shape[axis]
  const mask = reshape(
    eye(n, n, { device: t.device }),
    t.shape.map((_, i) => (i === first || i === axis ? n : 1)),
  )
  return diagonals({ t: sum(mul(t, mask), { axis }), letters: letters.toSpliced(axis, 1) })
}

function sumOut({ t, letters }: Lettered, needed: ReadonlySet<string>): Lettered {
  const axis = letters.flatMap((letter, i) => (needed.has(letter) ? [] : [i]))
  return axis.length === 0 ? { t, letters } : { t: sum(t, { axis }), letters: letters.filter((l) => needed.has(l)) }
}

function reorder({ t, letters }: Lettered, order: readonly string[]): Tensor {
  return permute(
    t,
    order.map((letter) => letters.indexOf(letter)),
  )
}

function join(a: Lettered, b: Lettered, needed: ReadonlySet<string>, sizes: ReadonlyMap<string, number>): Lettered {
  const shared = a.letters.filter((l) => b.letters.includes(l))
  const batch = shared.filter((l) => needed.has(l))
  const summed = shared.filter((l) => !needed.has(l))
  const rows = a.letters.filter((l) => !shared.includes(l))
  const columns = b.letters.filter((l) => !shared.includes(l))
  const size = (letters: readonly string[]) => letters.reduce((n, l) => n * sizes.get(l)!, 1)
  const whole = (operand: Lettered, order: string[]) => {
    const moved = reorder(operand, order)
    return expand(
      moved,
      order.map((l) => sizes.get(l)!),
    )
  }
  const left = reshape(whole(a, [...batch, ...rows, ...summed]), [size(batch), size(rows), size(summed)])
  const right = reshape(whole(b, [...batch, ...summed, ...columns]), [size(batch), size(summed), size(columns)])
  const letters = [...batch, ...rows, ...columns]
  const t = reshape(
    matmul(left, right),
    letters.map((l) => sizes.get(l)!),
  )
  return { t, letters }
}

const specs = [
  'ij,jk->ik',
  'ij,jk',
  'ii->i',
  'ii',
  'i,j->ij',
  'bij,bjk->bik',
  'ij->ji',
  '...i,...i->...',
  'ij,jk,kl->il',
  'i->',
  'bhtd,bhsd->bhts',
]

export const einsum: Operation<[spec: string, ...operands: Tensor[]]> = defineOp({
  name: 'einsum',
  doc: "Sums of products by letters: 'ij,jk->ik' is the matrix product. A letter twice in one operand takes its diagonal; '...' stands for axes that broadcast.",
  compose: (spec: string, ...operands: Tensor[]): Tensor => {
    for (const t of operands) needTensor('einsum', 'each operand', t)
    const { terms, result } = parse(spec, operands)
    const given = operands.map((t, i) => ({ t, letters: terms[i] }))
    const sizes = sizesOf(spec, given)
    let parts = given.map(diagonals)
    const neededAfter = (count: number) => new Set([...result, ...parts.slice(count).flatMap((p) => p.letters)])
    parts = parts.map((part, i) => {
      const elsewhere = new Set([...result, ...parts.flatMap((p, j) => (i === j ? [] : p.letters))])
      return sumOut(part, elsewhere)
    })
    let joined = parts[0]
    for (let i = 1; i < parts.length; i++) joined = join(joined, parts[i], neededAfter(i + 1), sizes)
    return reorder(joined, result)
  },
  samples: (draw: Draw): [string, ...Tensor[]] => {
    const spec = draw.pick(specs)
    const sizes = new Map<string, number>()
    const operands = spec
      .split('->')[0]
      .split(',')
      .map((term) => {
        const letters = [...term.replace('...', '')]
        const shape = letters.map((l) => sizes.get(l) ?? sizes.set(l, draw.integer(1, 3)).get(l)!)
        return draw.tensor(term.startsWith('...') ? [draw.pick([1, 2]), ...shape] : shape)
      })
    return [spec, ...operands]
  },
  errors: [
    {
      what: 'sizes that differ',
      arguments: () => ['ij,jk->ik', example([2, 3]), example([4, 5])],
      message: /'ij,jk->ik' with \[2, 3\], \[4, 5\]: 'j' has sizes 3 and 4/,
    },
    { what: 'an operand missing', arguments: () => ['ij,jk->ik', example([2, 3])], message: /names 2 operands, got 1/ },
    { what: 'a wrong rank', arguments: () => ['ij->i', example([2])], message: /'ij' names 2 axes, its operand has 1/ },
    {
      what: 'a letter from nowhere',
      arguments: () => ['i->k', example([2])],
      message: /'k' is in the result, but in no operand/,
    },
  ],
})

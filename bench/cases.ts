/** What is measured: a case for every public operation, made from its record, and the hot cases. */
import { operations } from '../src/index.ts'
import { type OpRecord, tensorsAmong } from '../src/ops/record.ts'
import { hot, type Sizes, sizes } from './arguments.ts'
import { benchDraw } from './draw.ts'

export interface BenchCase {
  readonly name: string
  readonly group: 'operation' | 'hot'
  readonly record: OpRecord
  readonly note: string
  readonly flops: number | undefined
  /** On the reference device; the same at every call. */
  readonly arguments: () => unknown[]
}

function caseOf(group: BenchCase['group'], record: OpRecord, given: Sizes | undefined): BenchCase {
  const draws = given?.arguments ?? record.samples
  return {
    name: record.name,
    group,
    record,
    note: given?.note ?? '',
    flops: given?.flops,
    arguments: () => draws(benchDraw()),
  }
}

/** All cases, hot ones last. */
export function benchCases(): BenchCase[] {
  const all = [...operations.values()].filter(({ internal }) => !internal)
  return [
    ...all.map((record) => caseOf('operation', record, sizes[record.name])),
    ...hot.map(([name, given]) => caseOf('hot', operations.get(name)!, given)),
  ]
}

/** Shapes of the tensors among arguments, and the note: `256x256, 256x256`. */
export function describeArguments(given: readonly unknown[], note = ''): string {
  const shapes = tensorsAmong(given).map(({ shape }) => shape.join('x') || 'scalar')
  return [...shapes, ...(note ? [note] : [])].join(', ')
}

/** The page of every public operation; a missing one does not type-check. */
import type * as all from '../../src/ops/all.ts'
import { elementwisePages } from './elementwise.ts'
import { movementPages } from './movement.ts'
import type { OperationPage } from './page.ts'
import { productPages } from './products.ts'
import { reducePages } from './reduce.ts'
import { sequencePages } from './sequence.ts'

export type OperationName = keyof typeof all

/** In the order in which the index of the reference lists them. */
export const operationGroups = [
  { title: 'Elementwise', pages: elementwisePages },
  { title: 'Reductions and indexing', pages: reducePages },
  { title: 'Shapes, cutting and joining', pages: movementPages },
  { title: 'Products, softmax and norms', pages: productPages },
  { title: 'Sequences', pages: sequencePages },
] as const

export const operationPages: Readonly<Record<OperationName, OperationPage>> = {
  ...elementwisePages,
  ...reducePages,
  ...movementPages,
  ...productPages,
  ...sequencePages,
}

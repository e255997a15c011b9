/** Every operation. */
// Internal, used by layers; loaded so that its record is checked with the others.
import './linear.ts'

export * from './attention.ts'
export * from './delta.ts'
export * from './einsum.ts'
export * from './elementwise.ts'
export * from './functions.ts'
export * from './indexing.ts'
export * from './matmul.ts'
export * from './movement.ts'
export * from './norm.ts'
export * from './parts.ts'
export * from './reduce.ts'
export * from './sequence.ts'
export * from './softmax.ts'

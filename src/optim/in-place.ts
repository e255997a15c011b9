/**
 * Updating tensors in place, and still keeping the promise that a tensor's value never changes for anyone else.
 *
 * A buffer may be shared: `detach` and `reshape` give tensors on the same one, and so may the graph of a loss. Before a
 * kernel writes into a tensor's buffer, a shared one is copied and the copy becomes this tensor's own; whoever shared it
 * keeps the old value. The copy is made once: afterwards nothing shares the buffer.
 */
import { copyStrided } from '../ops/strided.ts'
import { stridesOf } from '../tensor/shape.ts'
import type { Tensor } from '../tensor/tensor.ts'

/**
 * Gives the leaf a buffer that no other tensor shares, with the same numbers; most already have one.
 *
 * @throws SluiceError when it is an operation's result: those are values
 */
export function ownBuffer(leaf: Tensor): Tensor {
  // `assign` refuses results.
  if (leaf.storage.isShared || leaf.node) {
    leaf.assign(copyStrided('ownBuffer', leaf, leaf.shape, 0, stridesOf(leaf.shape)))
  }
  return leaf
}

/** Runs of at most `most` items, in order: what one launch takes. */
export function runsOf<T>(items: readonly T[], most: number): T[][] {
  const runs: T[][] = []
  for (let start = 0; start < items.length; start += most) runs.push(items.slice(start, start + most))
  return runs
}

/**
 * Exercise: the gradients of Y = A Bᵀ, with A [m, k], B [n, k] and Y [m, n].
 *
 * This is the product that attention takes of queries and keys: every row of A with every row of B.
 *
 * TODO: from dY [m, n], the gradient of A [m, k] and of B [n, k]. Use `matmul` and `transpose` only. If you get lost, write
 * down one number of Y, and ask where A[i, k] goes.
 */
import type { Tensor } from 'sluice'

export function gradients(dY: Tensor, A: Tensor, B: Tensor): [dA: Tensor, dB: Tensor] {
  return [A.mul(dY.sum()), B.mul(dY.sum())]
}

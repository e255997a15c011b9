/** Y[i, j] = sum over k of A[i, k] B[j, k]; so dA[i, k] = sum over j of dY[i, j] B[j, k], and B's with i and j exchanged. */
import type { Tensor } from 'sluice'

export function gradients(dY: Tensor, A: Tensor, B: Tensor): [dA: Tensor, dB: Tensor] {
  return [dY.matmul(B), dY.transpose().matmul(A)]
}

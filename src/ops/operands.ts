/** Checks and conversions that records share. */
import { SluiceError, showShape } from '../errors.ts'
import { full, scalarLike } from '../tensor/create.ts'
import { isTensor, type Tensor } from '../tensor/tensor.ts'
import type { Operand } from './record.ts'

/** Zeros on the reference device: an operand for records of bad input, where only the shape matters. */
export function example(shape: readonly number[]): Tensor {
  return full(shape, 0, { device: 'reference' })
}

/** Numbers made into rank-0 tensors on the device of the first tensor among the operands. */
export function toTensors(operation: string, operands: readonly Operand[]): readonly Tensor[] {
  if (operands.every(isTensor)) return operands
  const first = operands.find(isTensor)
  if (!first) {
    throw new SluiceError(
      operation,
      `expected a tensor among the operands, got ${operands.map((o) => typeof o).join(', ')}`,
    )
  }
  return operands.map((o) => {
    if (isTensor(o)) return o
    if (typeof o === 'number') return scalarLike(o, first)
    throw new SluiceError(operation, `expected a tensor or a number, got ${o === null ? 'null' : typeof o}`)
  })
}

export function needTensor(operation: string, name: string, value: unknown): asserts value is Tensor {
  if (!isTensor(value)) {
    throw new SluiceError(
      operation,
      `${name} must be a tensor, got ${value === null ? 'null' : typeof value}; make one with tensor(…)`,
    )
  }
}

export function needRank(operation: string, name: string, t: Tensor, rank: number, letters: string): void {
  needTensor(operation, name, t)
  if (t.rank !== rank) {
    throw new SluiceError(operation, `${name} must be [${letters}], got ${showShape(t.shape)} of rank ${t.rank}`)
  }
}

/** @throws SluiceError unless `t` has exactly `shape`, said in `letters`. */
export function needShape(operation: string, name: string, t: Tensor, shape: readonly number[], letters: string): void {
  needTensor(operation, name, t)
  if (t.rank !== shape.length || t.shape.some((n, i) => n !== shape[i])) {
    throw new SluiceError(operation, `${name} must be [${letters}] = ${showShape(shape)}, got ${showShape(t.shape)}`)
  }
}

/**
 * Checks that int32 indices lie in [0, n); on devices whose memory the host can read.
 *
 * @throws SluiceError naming the first bad index and its position
 */
export function needIndices(operation: string, indices: Tensor, n: number, ignore?: number): void {
  needTensor(operation, 'indices', indices)
  if (indices.dtype !== 'int32') {
    throw new SluiceError(operation, `indices must be int32, got ${indices.dtype}; make them with { dtype: 'int32' }`)
  }
  if (!indices.storage.device.readNow) return
  const values = indices.dataNow()
  for (let i = 0; i < values.length; i++) {
    if ((values[i] < 0 || values[i] >= n) && values[i] !== ignore) {
      throw new SluiceError(operation, `index ${values[i]} at position ${i} is out of range; expected 0 to ${n - 1}`)
    }
  }
}

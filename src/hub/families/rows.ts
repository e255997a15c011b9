/**
 * How the weights of a file and those of a model correspond: as rows in another order.
 *
 * On either side stand tensors, taken as one list of rows; the table says, in the order of the file's rows, which rows of the
 * model they are. Read forwards it loads, read backwards it saves: there is one table, so one cannot disagree with the other.
 * Splits, joins, interleaved heads and stacks of experts are all of this kind; no value is computed.
 */
import type { TypedArray } from '../../device/device.ts'
import { SluiceError, showShape } from '../../errors.ts'
import type { HostTensor } from '../../tensor/host.ts'
import { hostArray } from '../formats.ts'

/** A tensor's name and shape. */
export interface Named {
  readonly name: string
  readonly shape: readonly number[]
}

/** `count` consecutive rows, from row `begin` on, of the model's tensor number `of`. */
export type Run = readonly [of: number, begin: number, count: number]

/** Consecutive rows of one tensor of the file that are consecutive rows of one tensor of the model. */
interface Copy {
  readonly fileRow: number
  readonly model: number
  readonly modelRow: number
  readonly count: number
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)

export class RowMap {
  readonly file: readonly Named[]
  readonly model: readonly Named[]
  /** Values a row. */
  readonly #width: number
  /** One list for each tensor of the file. */
  readonly #copies: readonly (readonly Copy[])[]

  /**
   * @param runs the model's rows in the order of the file's, every one once
   * @throws SluiceError when the runs are not a permutation of the rows
   */
  constructor(file: readonly Named[], model: readonly Named[], width: number, runs: readonly Run[]) {
    this.file = file
    this.model = model
    this.#width = width
    const rowsOf = ({ shape }: Named) => sizeOf(shape) / width
    requirePermutation(file, model, rowsOf, runs)
    const copies: Copy[][] = file.map(() => [])
    let [at, fileRow] = [0, 0]
    for (const [of, begin, count] of runs) {
      for (let done = 0; done < count; ) {
        while (fileRow === rowsOf(file[at])) [at, fileRow] = [at + 1, 0]
        const part = Math.min(count - done, rowsOf(file[at]) - fileRow)
        copies[at].push({ fileRow, model: of, modelRow: begin + done, count: part })
        done += part
        fileRow += part
      }
    }
    this.#copies = copies
  }

  /** The model's tensors, from the file's, of which one is in memory at a time. */
  async load(
    read: (name: string) => Promise<HostTensor>,
    dtype: 'float32' | 'float64',
  ): Promise<Map<string, HostTensor>> {
    const values = this.model.map(({ shape }) => hostArray(dtype, sizeOf(shape)))
    for (const [i, { name }] of this.file.entries()) {
      const { data } = await read(name)
      for (const { fileRow, model, modelRow, count } of this.#copies[i]) {
        this.#copy(data, fileRow, values[model], modelRow, count)
      }
    }
    return new Map(this.model.map(({ name, shape }, i) => [name, { dtype, shape, data: values[i] }]))
  }

  /** The file's tensor number `at`, from the model's, each read as often as it is part of one. */
  async save(
    at: number,
    read: (name: string) => Promise<HostTensor>,
    dtype: 'float32' | 'float64',
  ): Promise<HostTensor> {
    const { shape } = this.file[at]
    const values = hostArray(dtype, sizeOf(shape))
    for (const [i, { name }] of this.model.entries()) {
      const parts = this.#copies[at].filter(({ model }) => model === i)
      if (parts.length === 0) continue
      const { data } = await read(name)
      for (const { fileRow, modelRow, count } of parts) this.#copy(data, modelRow, values, fileRow, count)
    }
    return { dtype, shape, data: values }
  }

  #copy(from: TypedArray, fromRow: number, to: TypedArray, toRow: number, count: number): void {
    const width = this.#width
    to.set(from.subarray(fromRow * width, (fromRow + count) * width), toRow * width)
  }
}

function requirePermutation(
  file: readonly Named[],
  model: readonly Named[],
  rowsOf: (tensor: Named) => number,
  runs: readonly Run[],
): void {
  const total = (tensors: readonly Named[]) => tensors.reduce((sum, tensor) => sum + rowsOf(tensor), 0)
  const isWhole = [...file, ...model].every((tensor) => Number.isInteger(rowsOf(tensor)))
  const covered = model.map((tensor, i) => {
    let next = 0
    for (const [, begin, count] of runs.filter(([of]) => of === i).sort((a, b) => a[1] - b[1])) {
      if (begin !== next) return false
      next += count
    }
    return next === rowsOf(tensor)
  })
  if (isWhole && covered.every(Boolean) && total(file) === total(model)) return
  const show = (tensors: readonly Named[]) => tensors.map(({ name, shape }) => `${name} ${showShape(shape)}`).join(', ')
  throw new SluiceError('RowMap', `the rows of ${show(file)} are not those of ${show(model)}`)
}

/** The same values in the same order, maybe in another shape. */
export function same(file: Named, model: Named): RowMap {
  return new RowMap([file], [model], sizeOf(file.shape), [[0, 0, 1]])
}

/** A plain kernel in WGSL, as plain data: made by gpu.js, at build time for the kernels of this package. */
import type { Kernel, ParameterType } from './kernel.ts'

export interface Translation {
  /** The functions that the kernel calls; of a map kernel also its scalar function. */
  readonly functions: string
  /**
   * Of a cell kernel: the statements that compute the cell at `threadGid` from `get_user_…(0, 0, i)` and `params.user_…`
   * and store it in `result[data_index]`. Of a map kernel: the name of the scalar function.
   */
  readonly body: string
  /** Parameters of a cell kernel in order, under their names in `body`. */
  readonly parameters: readonly (readonly [name: string, type: ParameterType])[]
}

export type Translations = ReadonlyMap<Kernel, Translation>

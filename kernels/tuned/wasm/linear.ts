/** The fused linear layers (kernels/fused-linear.ts) on the cpu device: matrix products that begin from an addend or end in an activation. */
import { type Epilogue, linearKernels, matmulAdd } from '../../fused-linear.ts'
import type { FusedKernel } from '../../kernel.ts'
import type { Features } from './assembler.ts'
import { productTask } from './matmul.ts'
import { productFunctions } from './product.ts'
import type { Launcher, Place } from './task.ts'

function linearLauncher(features: Features, { activation, hasBias }: Epilogue): Launcher {
  return ([out, preactivation], _grid, parameters) => {
    const [x, w, bias] = parameters as Place[]
    const [m, n, k] = parameters.slice(-3) as number[]
    return [
      productTask(productFunctions(features), {
        batch: 1,
        ...{ m, n, k, activation, out },
        a: { offset: x.offset, batch: 0, across: k, depth: 1 },
        b: { offset: w.offset, batch: 0, across: k, depth: 1 },
        sums: preactivation ?? out,
        ...(hasBias ? { addend: { place: bias, isRow: true } } : {}),
      }),
    ]
  }
}

const addLauncher =
  (features: Features): Launcher =>
  ([sums], _grid, parameters) => {
    const [a, b, residual] = parameters as Place[]
    const [k, az, ay, ak, bz, bk, bx, m, n, batch] = parameters.slice(3) as number[]
    return [
      productTask(productFunctions(features), {
        ...{ batch, m, n, k, sums },
        a: { offset: a.offset, batch: az, across: ay, depth: ak },
        b: { offset: b.offset, batch: bz, across: bx, depth: bk },
        addend: { place: residual, isRow: false },
      }),
    ]
  }

export function linearLaunchers(features: Features): [FusedKernel, Launcher][] {
  return [
    ...linearKernels.map(([kernel, epilogue]): [FusedKernel, Launcher] => [kernel, linearLauncher(features, epilogue)]),
    [matmulAdd, addLauncher(features)],
  ]
}

/** The fused linear layers on WebGPU: the matrix product with an epilogue. */
import { type Epilogue, linearKernels } from '../../fused-linear.ts'
import type { FusedKernel } from '../../kernel.ts'
import { encodeProduct } from './matmul.ts'
import type { FusedLauncher } from './program.ts'

const launchLinear =
  (epilogue: Epilogue): FusedLauncher =>
  <Buffer>(
    encoder: Parameters<typeof encodeProduct<Buffer>>[0],
    outputs: readonly Buffer[],
    parameters: readonly (Buffer | number)[],
  ) => {
    const [out, preactivation] = outputs
    const [x, w] = parameters as Buffer[]
    const [m, n, k] = parameters.slice(-3) as number[]
    const bias = epilogue.hasBias ? { bias: parameters[2] as Buffer } : {}
    encodeProduct(encoder, {
      m,
      n,
      k,
      batch: 1,
      a: { buffer: x, batch: 0, across: k, depth: 1 },
      b: { buffer: w, batch: 0, across: k, depth: 1 },
      out,
      epilogue,
      ...bias,
      ...(epilogue.saves ? { preactivation } : {}),
    })
  }

export const linearLaunchers: readonly (readonly [FusedKernel, FusedLauncher])[] = linearKernels.map(
  ([kernel, epilogue]) => [kernel, launchLinear(epilogue)] as const,
)

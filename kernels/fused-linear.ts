/**
 * A linear layer in one launch: out = act(x w^T + bias), with x [m, k], w [n, k], bias [n], out [m, n]. Elsewhere it is the
 * composition of a matrix product, a sum and the activation, see src/ops/linear.ts.
 */
import { defineFused, type FusedKernel } from './kernel.ts'

export const linearActivations = ['identity', 'relu', 'sigmoid', 'silu', 'gelu'] as const

export type Activation = (typeof linearActivations)[number]

/** What a product does with its finished sums. */
export interface Epilogue {
  readonly activation: Activation
  /** Whether `bias` [n] is added. */
  readonly hasBias: boolean
  /** Whether `preactivation`, the value before the activation, is a second result [m, n]. */
  readonly saves: boolean
}

/** The gradient of these needs the value before the activation; that of the others is known from the result. */
export const needsPreactivation = (activation: Activation): boolean => activation === 'silu' || activation === 'gelu'

function define(epilogue: Epilogue): FusedKernel {
  const { activation, hasBias, saves } = epilogue
  const bias: FusedKernel['parameters'] = hasBias ? { bias: 'array' } : {}
  return defineFused(
    `linear${hasBias ? 'Bias' : ''}${activation[0].toUpperCase()}${activation.slice(1)}${saves ? 'Saved' : ''}`,
    { x: 'array', w: 'array', ...bias, m: 'integer', n: 'integer', k: 'integer' },
    saves ? { out: 'new', preactivation: 'new' } : { out: 'new' },
  )
}

/** Every fused linear layer with what it does at the end. The plain product is not among them: it is a kernel of its own. */
export const linearKernels: readonly (readonly [FusedKernel, Epilogue])[] = linearActivations.flatMap((activation) =>
  [false, true].flatMap((hasBias) =>
    [false, true]
      .filter((saves) => (!saves || needsPreactivation(activation)) && (hasBias || activation !== 'identity'))
      .map((saves) => {
        const epilogue = { activation, hasBias, saves }
        return [define(epilogue), epilogue] as const
      }),
  ),
)

/** The kernel that ends so; undefined for what is no fused layer. */
export function linearKernel({ activation, hasBias, saves }: Epilogue): FusedKernel | undefined {
  const found = linearKernels.find(([, e]) => e.activation === activation && e.hasBias === hasBias && e.saves === saves)
  return found?.[0]
}

/**
 * out = a b + residual: kernels/matmul.ts with its strides and the sizes of its grid, plus an array of the result's shape.
 * No operation launches it: a device puts it in place of a product whose result is only added to something.
 */
export const matmulAdd = defineFused(
  'matmulAdd',
  {
    ...{ a: 'array', b: 'array', residual: 'array' },
    ...{ K: 'integer', az: 'integer', ay: 'integer', ak: 'integer', bz: 'integer', bk: 'integer', bx: 'integer' },
    ...{ m: 'integer', n: 'integer', batch: 'integer' },
  },
  { out: 'new' },
)

/** Sums of a captured program that go into the matrix product which makes one of their terms, with the same bits. */
import { add } from '../../../kernels/elementwise.ts'
import { matmulAdd } from '../../../kernels/fused-linear.ts'
import { operandLayout } from '../../../kernels/kernel.ts'
import { matmul } from '../../../kernels/matmul.ts'
import type { TracedLaunch, UnplacedValue } from '../device.ts'
import { type IsTemporary, Uses, valuesRead } from './uses.ts'

/** A product that is only used in a sum with something of its shape takes the sum over. */
export function foldSums<V extends UnplacedValue>(
  launches: readonly TracedLaunch<V>[],
  isTemporary: IsTemporary<V>,
): TracedLaunch<V>[] {
  const uses = new Uses(launches)
  const result: (TracedLaunch<V> | null)[] = [...launches]
  launches.forEach((sum, at) => {
    if (
      sum.kernel !== add ||
      ![0, 1].every((operand) => operandLayout(sum.grid!, sum.parameters, operand) === 'contiguous')
    ) {
      return
    }
    const terms = [sum.parameters[0], sum.parameters[4]] as V[]
    // The product that was made last: the other term is there by then, and the sum need not wait.
    const made = terms.map((term) => uses.makers.get(term) ?? -1)
    const order = made[0] > made[1] ? [0, 1] : [1, 0]
    for (const place of order) {
      const [product, other] = [terms[place], terms[1 - place]]
      const from = made[place]
      const launch = from >= 0 ? result[from] : null
      const isOnlyHere = uses.readers.get(product)!.length === 1 && product !== other
      if (launch?.kernel !== matmul || !isTemporary(product) || !isOnlyHere) continue
      if (uses.changesBetween(valuesRead(launch), from, at)) continue
      const [n, m, batch] = launch.grid!
      const [operands, sizes] = [launch.parameters.slice(0, 2), launch.parameters.slice(2)]
      result[at] = {
        kernel: matmulAdd,
        outputs: sum.outputs,
        grid: null,
        parameters: [...operands, other, ...sizes, m, n, batch],
      }
      result[from] = null
      return
    }
  })
  return result.filter((launch) => launch !== null)
}

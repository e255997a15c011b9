/** e^g for the decays of the gated delta rule: one number a step and head. */
import { integers, type WasmModule } from './assembler.ts'
import { v128 } from './instructions.ts'
import { exponential } from './math.ts'
import { withRange } from './task.ts'
import { eachVector } from './vectors.ts'

/** Items: vectors of g. */
export function defineDecays(module: WasmModule) {
  const parameters = { ...integers('g', 'decays'), ...withRange } as const
  return module.function('decays', parameters, (f, { g, decays, from, to }) => {
    const exp = exponential(f)
    eachVector(f, from, to, [g, decays], () => f.store(decays, exp(v128.load(g))))
  })
}

/** The variants of WebAssembly that this machine can test. */
import { setFlagsFromString } from 'node:v8'
import { type Features, WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { f32x4 } from '../../../kernels/tuned/wasm/instructions.ts'

function hasRelaxed(): boolean {
  // Node 20 has it behind this flag; later ones know no such flag and need none.
  setFlagsFromString('--experimental-wasm-relaxed-simd')
  const module = new WasmModule({ relaxed: true })
  module.function('probe', {}, (f) => {
    const x = f32x4.splat(1)
    f.drop(f.madd(x, x, x))
  })
  return WebAssembly.validate(module.bytes())
}

export const variants: readonly Features[] = [{ relaxed: false }, ...(hasRelaxed() ? [{ relaxed: true }] : [])]

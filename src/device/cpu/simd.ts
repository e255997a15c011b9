/**
 * Which instructions of WebAssembly the kernels use: found out by trying, since no version number tells.
 *
 *  - `plain`: the vectors of 128 bits that every engine has.
 *  - `relaxed`: the fused multiply-add of relaxed SIMD. Taken where it rounds once: there it is one instruction of the
 *    processor, and where it rounds twice it is the two instructions of `plain`, in a tile that has no register for them.
 *  - `wide`: pairs of vectors as vectors of 256 bits, by a flag of V8 in Node 24 and later that is experimental. A fault of
 *    V8 would end the process, so it is tried in a child process first.
 */
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import { integers, WasmModule } from '../../../kernels/tuned/wasm/assembler.ts'
import { f32, f32x4 } from '../../../kernels/tuned/wasm/instructions.ts'
import { SluiceError } from '../../errors.ts'
import { nodeMajor, setFlags } from './v8-flags.ts'
import { tryWide } from './wide-trial.ts'

export const simdNames = ['plain', 'relaxed', 'wide'] as const

export type Simd = (typeof simdNames)[number]

export const featuresOf: Readonly<Record<Simd, Features>> = {
  plain: { relaxed: false, wide: false },
  relaxed: { relaxed: true, wide: false },
  wide: { relaxed: true, wide: true },
}

/** What can be used here, and why the rest cannot. */
export interface SimdChoice {
  readonly simd: Simd
  /** Why not the next faster one; undefined where this is the fastest. */
  readonly reason: string | undefined
}

/** Whether x y + z comes out as if rounded once: (1 + e)(1 - e) - 1 is -e^2 then, and 0 when the product is rounded first. */
function isFused(): boolean {
  const module = new WasmModule({ relaxed: true, wide: false })
  const e = 2 ** -13
  module.function('multiplyAdd', integers('out'), (f, { out }) => {
    const splat = (x: number) => f32x4.splat(f32.const(x))
    f.store(out, f.madd(splat(1 + e), splat(1 - e), splat(-1)))
  })
  const memory = new WebAssembly.Memory({ initial: 1 })
  module.instantiate(memory)(module.callees[0])(0)
  return new Float32Array(memory.buffer)[0] === -(e ** 2)
}

function relaxedChoice(): SimdChoice {
  // In Node 20 it is there, behind a flag.
  if (nodeMajor > 0 && nodeMajor < 22) setFlags('--experimental-wasm-relaxed-simd')
  try {
    if (isFused()) return { simd: 'relaxed', reason: undefined }
    return { simd: 'plain', reason: 'this processor has no fused multiply-add' }
  } catch {
    return { simd: 'plain', reason: 'this engine has no relaxed SIMD' }
  }
}

let best: SimdChoice | undefined

/** The fastest that works here. */
function bestChoice(): SimdChoice {
  if (best) return best
  best = relaxedChoice()
  if (best.simd === 'relaxed') {
    const refusal = tryWide()
    best = refusal === undefined ? { simd: 'wide', reason: undefined } : { simd: 'relaxed', reason: refusal }
  }
  return best
}

/**
 * @param asked a name, or undefined for the fastest that works here
 * @throws SluiceError when what is asked for does not work here, or is no name
 */
export function chooseSimd(asked: string | undefined): SimdChoice {
  if (asked === undefined || asked === 'auto') return bestChoice()
  const place = simdNames.indexOf(asked as Simd)
  if (place < 0) {
    throw new SluiceError('cpu device', `there is no SIMD variant '${asked}'; there are auto, ${simdNames.join(', ')}`)
  }
  if (asked === 'plain') return { simd: 'plain', reason: 'it was asked for' }
  const relaxed = relaxedChoice()
  if (relaxed.simd !== 'relaxed')
    throw new SluiceError('cpu device', `SIMD '${asked}' does not work here: ${relaxed.reason}`)
  if (asked === 'relaxed') return { simd: 'relaxed', reason: 'it was asked for' }
  const refusal = tryWide()
  if (refusal !== undefined) throw new SluiceError('cpu device', `SIMD 'wide' does not work here: ${refusal}`)
  return { simd: 'wide', reason: undefined }
}

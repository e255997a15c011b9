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
import { reserveMemory, useReference } from './memory.ts'
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

const e = 2 ** -13

/** (1 + e)(1 - e) - 1, as x y + z of vectors: -e^2 where it is rounded once, and 0 where the product is rounded first. */
function multiplyAdd(relaxed: boolean): number {
  const module = new WasmModule({ relaxed, wide: false })
  module.function('multiplyAdd', integers('out'), (f, { out }) => {
    const splat = (x: number) => f32x4.splat(f32.const(x))
    f.store(out, f.madd(splat(1 + e), splat(1 - e), splat(-1)))
  })
  const memory = reserveMemory({ initial: 1 })
  module.instantiate(memory)(module.callees[0])(0)
  return new Float32Array(memory.buffer)[0]
}

/** @throws SluiceError where there are no vectors, which an engine may find out when it first compiles one */
function needVectors(): void {
  try {
    multiplyAdd(false)
  } catch (error) {
    if (error instanceof SluiceError) throw error
    throw new SluiceError(
      'cpu device',
      'it computes in vectors of WebAssembly (SIMD), which this engine or processor does not have: they take an engine ' +
        `of 2021 or later, and SSE4.1 on x64; ${useReference}`,
    )
  }
}

function relaxedChoice(): SimdChoice {
  // In Node 20 it is there, behind a flag.
  if (nodeMajor > 0 && nodeMajor < 22) setFlags('--experimental-wasm-relaxed-simd')
  try {
    if (multiplyAdd(true) === -(e ** 2)) return { simd: 'relaxed', reason: undefined }
    return { simd: 'plain', reason: 'the multiply-add of relaxed SIMD rounds twice here' }
  } catch (error) {
    if (error instanceof SluiceError) throw error
    needVectors()
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
 * @throws SluiceError when what is asked for does not work here, or is no name, and where no kernel can run
 */
export function chooseSimd(asked: string | undefined): SimdChoice {
  if (asked === undefined || asked === 'auto') return bestChoice()
  const place = simdNames.indexOf(asked as Simd)
  if (place < 0) {
    throw new SluiceError('cpu device', `there is no SIMD variant '${asked}'; there are auto, ${simdNames.join(', ')}`)
  }
  if (asked === 'plain') {
    needVectors()
    return { simd: 'plain', reason: 'it was asked for' }
  }
  const relaxed = relaxedChoice()
  if (relaxed.simd !== 'relaxed')
    throw new SluiceError('cpu device', `SIMD '${asked}' does not work here: ${relaxed.reason}`)
  if (asked === 'relaxed') return { simd: 'relaxed', reason: 'it was asked for' }
  const refusal = tryWide()
  if (refusal !== undefined) throw new SluiceError('cpu device', `SIMD 'wide' does not work here: ${refusal}`)
  return { simd: 'wide', reason: undefined }
}

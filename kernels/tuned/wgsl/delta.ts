/**
 * Launchers of the fused gated delta rule: which programs run, on which scratch.
 *
 *   forward:  gates, inverse, scores | W, K', U | scan over chunks: S, V̂ | out
 *   backward: W, K', U, S, V̂ again   | Q', dV̂ begun | scan back: dS, dV̂ | within chunks: dq, dk, dv, dg, dbeta
 *
 * All but the scans take every chunk at once. Scratch grows with the number of heads done together, so a launch is done in
 * slices of heads: none of its buffers passes 128 MiB, which every WebGPU device binds, unless one head alone does.
 */
import { DELTA_CHUNK } from '../../fused-delta.ts'
import { inverseProgram, keysProgram, outputProgram, valuesProgram } from './delta-chunk.ts'
import {
  inverseGradientProgram,
  SUMS,
  scoresGradientProgram,
  throughGradientProgram,
  throughStateProgram,
} from './delta-gradient.ts'
import { keysGradientProgram, valuesGradientProgram } from './delta-gradient-rows.ts'
import { SCAN_WIDTHS, scanColumns, scanProgram } from './delta-scan.ts'
import { type Encoder, type FusedLauncher, folded, type Program } from './program.ts'

/** Elements of the largest scratch buffer: 128 MiB. */
const MOST_SCRATCH = 2 ** 25

type Bindings<Buffer> = Readonly<Record<string, Buffer>>

/** A device compiles each program object once, so each is made once. */
const programs = {
  inverse: inverseProgram(),
  keys: keysProgram('forward'),
  keysBackward: keysProgram('backward'),
  values: valuesProgram('corrections'),
  valuesBackward: valuesProgram('gradients'),
  output: outputProgram(),
  throughState: throughStateProgram(),
  throughGradient: throughGradientProgram(),
  scoresGradient: scoresGradientProgram(),
  inverseGradient: inverseGradientProgram(),
  keysGradient: keysGradientProgram(),
  valuesGradient: valuesGradientProgram(),
}

const scans = SCAN_WIDTHS.map((most) => ({
  most,
  columns: scanColumns(most),
  forward: scanProgram('forward', most),
  backward: scanProgram('backward', most),
}))

interface Sizes {
  readonly B: number
  readonly T: number
  readonly H: number
  readonly K: number
  readonly V: number
  readonly scale: number
}

/** The chunks of a launch, in slices of heads, and how programs are dispatched on one of them. */
function plan<Buffer>(encoder: Encoder<Buffer>, { B, T, H, K, V, scale }: Sizes, mostScratch: number) {
  const N = Math.ceil(T / DELTA_CHUNK)
  const scan = scans.find(({ most }) => K <= most)!
  const perHead = N * Math.max(K * V, 3 * DELTA_CHUNK * K, DELTA_CHUNK * V, 3 * DELTA_CHUNK ** 2)
  const together = Math.min(B * H, Math.max(1, Math.floor(mostScratch / perHead)))
  /** Scratch of `elements` a chunk. */
  const scratch = (elements: number) => encoder.scratch(together * N * elements)
  const slices = Array.from({ length: Math.ceil((B * H) / together) }, (_, i) => {
    const heads = Math.min(together, B * H - i * together)
    const chunks = heads * N
    const parameters = { T, H, K, V, N, chunks, base: i * together * N, depth: DELTA_CHUNK, scale }
    const run = (program: Program, buffers: Bindings<Buffer>, workgroups: number) =>
      encoder.dispatch(program, buffers, parameters, folded(workgroups))
    return {
      chunkwise: (program: Program, buffers: Bindings<Buffer>) => run(program, buffers, chunks),
      byKeys: (program: Program, buffers: Bindings<Buffer>) => run(program, buffers, chunks * Math.ceil(K / 64)),
      byValues: (program: Program, buffers: Bindings<Buffer>) => run(program, buffers, chunks * Math.ceil(V / 64)),
      scanning: (program: Program, buffers: Bindings<Buffer>) =>
        run(program, buffers, heads * Math.ceil(V / scan.columns)),
    }
  })
  return { slices, scratch, scan }
}

const forward =
  (mostScratch: number): FusedLauncher =>
  (encoder, outputs, given) => {
    type Buffer = (typeof outputs)[number]
    const [out, last, gates, inverse, scores] = outputs
    const [q, k, v, g, beta, state] = given as Buffer[]
    const [B, T, H, K, V, scale] = given.slice(6) as number[]
    const { slices, scratch, scan } = plan(encoder, { B, T, H, K, V, scale }, mostScratch)
    const [turned, rows] = [scratch(DELTA_CHUNK * K), scratch(DELTA_CHUNK * K)]
    const [corrections, states] = [scratch(DELTA_CHUNK * V), scratch(K * V)]
    for (const { chunkwise, byKeys, byValues, scanning } of slices) {
      chunkwise(programs.inverse, { q, k, g, beta, gates, inverse, scores })
      byKeys(programs.keys, { k, gates, inverse, turned, rows })
      byValues(programs.values, { v, gates, inverse, corrections })
      scanning(scan.forward, { gates, turned, rows, begin: state, corrections, states, end: last })
      byValues(programs.output, { q, gates, scores, states, corrections, out })
    }
  }

const backward =
  (mostScratch: number): FusedLauncher =>
  (encoder, outputs, given) => {
    type Buffer = (typeof outputs)[number]
    const [dq, dk, dv, dg, dbeta, dstate] = outputs
    const [q, k, v, , , state, gates, inverse, scores, dout, dlast] = given as Buffer[]
    const [B, T, H, K, V, scale] = given.slice(11) as number[]
    const { slices, scratch, scan } = plan(encoder, { B, T, H, K, V, scale }, mostScratch)
    const [turned, rows] = [scratch(DELTA_CHUNK * K), scratch(2 * DELTA_CHUNK * K)]
    const [corrections, changes] = [scratch(DELTA_CHUNK * V), scratch(DELTA_CHUNK * V)]
    const [states, gradients] = [scratch(K * V), scratch(K * V)]
    const [through, inner] = [scratch(3 * DELTA_CHUNK * K), scratch(3 * DELTA_CHUNK ** 2)]
    const sums = scratch(SUMS.length)
    for (const { chunkwise, byKeys, byValues, scanning } of slices) {
      byKeys(programs.keys, { k, gates, inverse, turned, rows })
      byValues(programs.values, { v, gates, inverse, corrections })
      // Where the forward scan ends is known; the buffer that the backward one fills takes it meanwhile.
      scanning(scan.forward, { gates, turned, rows, begin: state, corrections, states, end: dstate })
      byKeys(programs.keysBackward, { q, k, gates, inverse, turned, rows })
      byValues(programs.valuesBackward, { dout, scores, corrections: changes })
      const backward = { dout, gates, turned, rows, begin: dlast, corrections: changes, states: gradients, end: dstate }
      scanning(scan.backward, backward)
      byKeys(programs.throughState, { dout, gates, corrections: changes, states, through })
      byKeys(programs.throughGradient, { gates, corrections, states, gradients, through, sums })
      chunkwise(programs.scoresGradient, { dout, gates, corrections, inner })
      chunkwise(programs.inverseGradient, { k, v, gates, inverse, corrections: changes, through, inner })
      chunkwise(programs.keysGradient, { q, k, gates, inner, through, dq, dk, sums })
      chunkwise(programs.valuesGradient, { v, gates, inverse, corrections: changes, sums, dv, dg, dbeta })
    }
  }

/** Launchers whose slices are as many heads as `mostScratch` elements of scratch take, one at least. */
export const deltaLaunchers = (mostScratch: number) => ({
  forward: forward(mostScratch),
  backward: backward(mostScratch),
})

/** Computes `gatedDeltaForward`. */
export const launchGatedDeltaForward: FusedLauncher = forward(MOST_SCRATCH)
/** Computes `gatedDeltaBackward`. */
export const launchGatedDeltaBackward: FusedLauncher = backward(MOST_SCRATCH)

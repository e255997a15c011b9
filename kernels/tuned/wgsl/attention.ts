/** Launchers of attention's fused kernels: which programs, over how many workgroups. */
import {
  attentionBackward,
  attentionForward,
  gatedAttentionBackward,
  gatedAttentionForward,
} from '../../fused-attention.ts'
import type { FusedKernel } from '../../kernel.ts'
import { keyProgram, queryProgram } from './attention-backward.ts'
import { forwardProgram } from './attention-forward.ts'
import { rowProgram } from './attention-gate.ts'
import { BLOCK, groupsOf } from './attention-parts.ts'
import { type Encoder, type FusedLauncher, folded, type Program } from './program.ts'

/** Programs by what they are made for. */
const programs = new Map<string, Program>()
function programFor(name: string, make: () => Program): Program {
  let program = programs.get(name)
  if (!program) programs.set(name, (program = make()))
  return program
}

function sizesOf(numbers: readonly unknown[]) {
  const [B, T, S, H, KV, D, causal, scale, headwise = 0, activation = 0, additive = 0] = numbers as number[]
  return {
    D,
    groups: groupsOf(D),
    sizes: { B, T, S, H, KV, D4: D / 4, depth: 16, block: BLOCK, causal, scale },
    gating: { headwise, activation, additive },
  }
}

const queryBlocks = ({ B, T, H }: { B: number; T: number; H: number }) => folded(Math.ceil(T / BLOCK) * H * B)
const keyBlocks = ({ B, S, KV }: { B: number; S: number; KV: number }) => folded(Math.ceil(S / BLOCK) * KV * B)

const forward =
  (isGated: boolean): FusedLauncher =>
  <Buffer>(encoder: Encoder<Buffer>, outputs: readonly Buffer[], parameters: readonly (Buffer | number)[]) => {
    const arrays = parameters.slice(0, isGated ? 4 : 3) as Buffer[]
    const { groups, sizes, gating } = sizesOf(parameters.slice(arrays.length))
    const [q, k, v, gate] = arrays
    const [out, logSum, ungated] = outputs
    encoder.dispatch(
      programFor(`forward ${groups} ${isGated}`, () => forwardProgram(groups, isGated)),
      isGated ? { q, k, v, gate, out, logSum, ungated } : { q, k, v, out, logSum },
      { ...sizes, ...gating },
      queryBlocks(sizes),
    )
  }

const backward =
  (isGated: boolean): FusedLauncher =>
  <Buffer>(encoder: Encoder<Buffer>, outputs: readonly Buffer[], parameters: readonly (Buffer | number)[]) => {
    const arrays = parameters.slice(0, isGated ? 7 : 6) as Buffer[]
    const { D, groups, sizes, gating } = sizesOf(parameters.slice(arrays.length))
    const [dout, out, logSum, q, k, v, gate] = arrays
    const [dq, dk, dv, dgate] = outputs
    const rows = sizes.B * sizes.T * sizes.H
    const delta = encoder.scratch(rows)
    const dy = isGated ? encoder.scratch(rows * D) : dout
    encoder.dispatch(
      programFor(`rows ${isGated}`, () => rowProgram(isGated)),
      isGated ? { dout, out, gate, delta, dy, dgate } : { dout, out, delta },
      { ...sizes, ...gating },
      folded(Math.ceil(rows / 4)),
    )
    const operands = { q, k, v, dy, logSum, delta }
    encoder.dispatch(
      programFor(`dq ${groups}`, () => queryProgram(groups)),
      { ...operands, dq },
      sizes,
      queryBlocks(sizes),
    )
    encoder.dispatch(
      programFor(`dk dv ${groups}`, () => keyProgram(groups)),
      { ...operands, dk, dv },
      sizes,
      keyBlocks(sizes),
    )
  }

export const attentionLaunchers: readonly (readonly [FusedKernel, FusedLauncher])[] = [
  [attentionForward, forward(false)],
  [gatedAttentionForward, forward(true)],
  [attentionBackward, backward(false)],
  [gatedAttentionBackward, backward(true)],
]

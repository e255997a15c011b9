/** The gated delta rule, step by step: the launches of kernels/fused-delta.ts on the cpu. */
import { recurrentDeltaBackward, recurrentDeltaForward } from '../../fused-delta.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, integers, WasmModule } from './assembler.ts'
import { blockColumns, defineDeltaBackward, gradientScratch } from './delta-backward.ts'
import { defineDecays } from './delta-decay.ts'
import { defineDeltaForward } from './delta-forward.ts'
import { type Sizes, segmentsIn, splitColumns } from './delta-parts.ts'
import { f32x4, v128 } from './instructions.ts'
import { type Launcher, lazily, type Place, task, type Workspace, withRange } from './task.ts'
import { eachVector, vectorsIn } from './vectors.ts'

/** Sums of `count` parts, `step` bytes from one to the next, added in order. Items: vectors. */
function defineSumParts(module: WasmModule) {
  const parameters = { ...integers('parts', 'out', 'count', 'step'), ...withRange } as const
  return module.function('sumParts', parameters, (f, { parts, out, count, step, from, to }) => {
    eachVector(f, from, to, [parts, out], () => {
      const part = f.local('i32', parts)
      const sum = f.local('v128', f32x4.splat(0))
      f.times(count, () => {
        f.set(sum, f32x4.add(sum, v128.load(part)))
        f.advance(part, step)
      })
      f.store(out, sum)
    })
  })
}

function define(features: Features) {
  const narrow = { ...features, wide: false }
  const [forward, backward] = [new WasmModule(narrow), new WasmModule(narrow)]
  return {
    decays: defineDecays(forward),
    forward: defineDeltaForward(forward),
    backward: defineDeltaBackward(backward),
    sumParts: defineSumParts(backward),
  }
}

type Kernels = ReturnType<typeof define>

const operandNames = ['q', 'k', 'v', 'g', 'beta', 'state'] as const
const savedNames = ['decays', 'errors', 'checkpoints'] as const

const offsets = <const N extends string>(names: readonly N[], places: readonly unknown[]): Record<N, number> =>
  Object.fromEntries(names.map((name, i) => [name, (places[i] as Place).offset])) as Record<N, number>

/** Bytes from a head's checkpoints to the next head's. */
const checkpointStep = ([, T, , K, V]: Sizes): number => 4 * segmentsIn(T) * K * V

function launchForward(kernels: () => Kernels): Launcher {
  return (outputs, _grid, parameters, workspace) => {
    const { g, state, ...operands } = offsets(operandNames, parameters)
    const sizes = parameters.slice(6) as unknown as Sizes
    const [B, T, H, K, V, scale] = sizes
    const { last, checkpoints, ...results } = offsets(['out', 'last', ...savedNames], outputs)
    const { decays, forward } = kernels()
    const { splits, share } = splitColumns(sizes)
    const [heads, states] = [B * H, B * H * K * V]
    const blocks = workspace.floats(states)
    const given = { ...operands, ...results, states: blocks, checkpoints, checkpointStep: checkpointStep(sizes) }
    return [
      task(decays, { g, decays: results.decays }, { items: vectorsIn(B * T * H), cost: 20 * B * T * H }),
      task(forward.toBlocks, { states: state, blocks, K, V }, { items: heads, cost: states }),
      task(
        forward.pass,
        { ...given, T, H, K, V, splits, share, scale },
        { items: heads * splits, cost: 7 * T * states },
      ),
      task(forward.fromBlocks, { states: last, blocks, K, V }, { items: heads, cost: states }),
    ]
  }
}

function launchBackward(kernels: () => Kernels): Launcher {
  return (outputs, _grid, parameters, workspace) => {
    const { g: _, state, ...operands } = offsets(operandNames, parameters)
    const { checkpoints, ...saved } = offsets(['out', ...savedNames], parameters.slice(6))
    const { dlast, dout } = offsets(['dout', 'dlast'], parameters.slice(10))
    const sizes = parameters.slice(12) as unknown as Sizes
    const [B, T, H, K, V, scale] = sizes
    const { dstate, ...gradients } = offsets(['dq', 'dk', 'dv', 'dg', 'dbeta', 'dstate'], outputs)
    const { backward, sumParts } = kernels()
    const { splits, share } = splitColumns(sizes)
    const [heads, states] = [B * H, B * H * K * V]
    const turned = workspace.floats(states)
    const block = blockColumns(K)
    // What sums over all columns is each share's own first, where there are several.
    const rows = B * T * H
    const sums = { dq: rows * K, dk: rows * K, dg: rows, dbeta: rows }
    const { parts, splitStep } = splits === 1 ? { parts: {}, splitStep: 0 } : partsOf(sums, splits, workspace)
    const tensors = { ...operands, ...saved, dout, ...gradients, ...parts, states: turned }
    const shared = { T, H, K, V, splits, share, splitStep, block, scale }
    const items = heads * splits
    const turn = (matrices: number, out: number, rows: number, columns: number) =>
      task(backward.turn, { matrices, out, rows, columns }, { items: heads, cost: states })
    return [
      turn(dlast, turned, K, V),
      task(
        backward.gradientPass,
        { ...tensors, checkpoints, checkpointStep: checkpointStep(sizes), ...shared },
        { items, cost: 9 * T * states, scratch: gradientScratch(block) },
      ),
      turn(turned, dstate, V, K),
      turn(state, turned, K, V),
      task(backward.statePass, { ...tensors, ...shared }, { items, cost: 7 * T * states }),
      ...Object.entries(parts).map(([name, first]) => {
        const size = sums[name as keyof typeof sums]
        const given = { parts: first, out: gradients[name as keyof typeof sums], count: splits, step: splitStep }
        return task(sumParts, given, { items: vectorsIn(size), cost: size * splits })
      }),
    ]
  }
}

/** Room for `count` parts of each sum, and the bytes from a part to the next. */
function partsOf<N extends string>(
  sums: Readonly<Record<N, number>>,
  count: number,
  workspace: Workspace,
): { parts: Partial<Record<N, number>>; splitStep: number } {
  const lengths = Object.entries<number>(sums).map(([name, size]) => [name as N, 4 * vectorsIn(size)] as const)
  const each = lengths.reduce((total, [, length]) => total + length, 0)
  let at = workspace.floats(count * each)
  const parts: Partial<Record<N, number>> = {}
  for (const [name, length] of lengths) {
    parts[name] = at
    at += 4 * length
  }
  return { parts, splitStep: 4 * each }
}

export function deltaKernels(features: Features): [FusedKernel, Launcher][] {
  const kernels = lazily(() => define(features))
  return [
    [recurrentDeltaForward, launchForward(kernels)],
    [recurrentDeltaBackward, launchBackward(kernels)],
  ]
}

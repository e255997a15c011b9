/** The gated delta rule, step by step: the launches of kernels/fused-delta.ts on the cpu. */
import { recurrentDeltaBackward, recurrentDeltaForward } from '../../fused-delta.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, integers, WasmModule } from './assembler.ts'
import { backwardRoom, defineDeltaBackward } from './delta-backward.ts'
import { defineDecays } from './delta-decay.ts'
import { defineDeltaForward } from './delta-forward.ts'
import { f32x4, v128 } from './instructions.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, type Workspace, withRange } from './task.ts'
import { eachVector, vectorsIn } from './vectors.ts'

/** Heads of all sequences that keep 8 threads busy; where there are fewer, a head's columns are split. */
const BUSY = 8
/** Columns of a split are a multiple of this: the forward pass takes 8 at once. */
const COLUMNS = 8
/** Floats of a block of the backward pass's state: half of the first-level cache. */
const BLOCK = 4096

type Sizes = readonly [B: number, T: number, H: number, K: number, V: number, scale: TaskArgument]

interface Split {
  readonly splits: number
  /** Columns of each but the last. */
  readonly share: number
}

/** How many parts a head's columns are split into: it depends on the sizes alone, as the sums over the parts do. */
function splitColumns([B, , H, , V]: Sizes): Split {
  const blocks = Math.ceil(V / COLUMNS)
  const share = COLUMNS * Math.ceil(blocks / Math.min(blocks, Math.ceil(BUSY / (B * H))))
  return { splits: Math.ceil(V / share), share }
}

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
  const [forward, backward] = [new WasmModule(features), new WasmModule(features)]
  return {
    decays: defineDecays(forward),
    forward: defineDeltaForward(forward),
    backward: defineDeltaBackward(backward),
    sumParts: defineSumParts(backward),
  }
}

type Kernels = ReturnType<typeof define>

const offsets = <const N extends string>(names: readonly N[], places: readonly Place[]): Record<N, number> =>
  Object.fromEntries(names.map((name, i) => [name, places[i].offset])) as Record<N, number>

function launchForward(kernels: () => Kernels): Launcher {
  return (outputs, _grid, parameters) => {
    const sizes = parameters.slice(6) as unknown as Sizes
    const [B, T, H, K, V, scale] = sizes
    const { g, ...operands } = offsets(['q', 'k', 'v', 'g', 'beta', 'state'], parameters as Place[])
    const { splits, share } = splitColumns(sizes)
    const results = offsets(['out', 'last', 'decays', 'errors', 'checkpoints'], outputs)
    const { decays, forward } = kernels()
    const gates = B * T * H
    return [
      task(decays, { g, decays: results.decays }, { items: vectorsIn(gates), cost: 20 * gates }),
      task(
        forward,
        { ...operands, ...results, T, H, K, V, splits, share, scale },
        { items: B * H * splits, cost: 7 * gates * K * V, scratch: 4 * K * share },
      ),
    ]
  }
}

function launchBackward(kernels: () => Kernels): Launcher {
  return (outputs, _grid, parameters, workspace) => {
    const operands = offsets(['q', 'k', 'v', 'g', 'beta', 'state'], parameters as Place[])
    const results = offsets(['out', 'last', 'decays', 'errors', 'checkpoints'], parameters.slice(6) as Place[])
    const cotangents = offsets(['dout', 'dlast'], parameters.slice(11) as Place[])
    const gradients = offsets(['dq', 'dk', 'dv', 'dg', 'dbeta', 'dstate'], outputs)
    const sizes = parameters.slice(13) as unknown as Sizes
    const [B, T, H, K, V, scale] = sizes
    const { splits, share } = splitColumns(sizes)
    const block = Math.max(4, Math.floor(BLOCK / K / 4) * 4)
    const gates = B * T * H
    const { backward, sumParts } = kernels()
    // What sums over all columns is each split's own first.
    const sums = [
      ['dq', gates * K],
      ['dk', gates * K],
      ['dg', gates],
      ['dbeta', gates],
    ] as const
    const { parts, step } = splits === 1 ? { parts: {}, step: 0 } : partsOf(sums, splits, workspace)
    const { g: _, ...given } = { ...operands, ...results, ...cotangents, ...gradients, ...parts }
    return [
      task(
        backward,
        { ...given, T, H, K, V, splits, share, splitStep: step, block, scale },
        {
          items: B * H * splits,
          cost: 16 * gates * K * V,
          scratch: 4 * (K * share + backwardRoom(block)),
        },
      ),
      ...Object.entries(parts).map(([name, first]) => {
        const out = gradients[name as keyof typeof gradients]
        const size = sums.find(([of]) => of === name)![1]
        return task(
          sumParts,
          { parts: first, out, count: splits, step },
          { items: vectorsIn(size), cost: size * splits },
        )
      }),
    ]
  }
}

/** Room for `count` parts of each sum, and the bytes from a part to the next. */
function partsOf<N extends string>(
  sums: readonly (readonly [name: N, size: number])[],
  count: number,
  workspace: Workspace,
): { parts: Partial<Record<N, number>>; step: number } {
  const vectors = sums.map(([, size]) => 4 * vectorsIn(size))
  const each = vectors.reduce((a, b) => a + b)
  let at = workspace.floats(count * each)
  const parts: Partial<Record<N, number>> = {}
  sums.forEach(([name], i) => {
    parts[name] = at
    at += 4 * vectors[i]
  })
  return { parts, step: 4 * each }
}

export function deltaKernels(features: Features): [FusedKernel, Launcher][] {
  const kernels = lazily(() => define(features))
  return [
    [recurrentDeltaForward, launchForward(kernels)],
    [recurrentDeltaBackward, launchBackward(kernels)],
  ]
}

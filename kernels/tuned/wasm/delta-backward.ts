/**
 * The gated delta rule's gradient on the cpu, in two walks over time, neither of which keeps a history of states.
 *
 * Backward in time goes G = dL/dS. With the errors e = v - r of the forward pass it needs no state, and gives dv, dbeta, dg
 * and a part of dk. Forward in time then goes the state itself, made anew from u = beta e: no lookups, as e is known. It
 * gives dq and the other part of dk.
 *
 * dg_t = <a G, S_{t-1}> also comes without a state. From S_t = a S_{t-1} + k u^T follows
 *
 *   dg_t = dg_{t+1} + do_t o_t - dv_t v_t,    dg_{T+1} = <dlast, last>
 *
 * Its roundings add up, so it starts anew after each segment, from <G, S> with the state that the forward pass kept.
 *
 * Columns of the state go in blocks that fit the first-level cache, and a segment's steps are in cache for all blocks.
 */
import { RECURRENT_SEGMENT } from '../../fused-delta.ts'
import { floats, integers, type WasmModule } from './assembler.ts'
import { defineClearRows, defineTranspose, laneSum } from './delta-blocks.ts'
import { defineGradientSteps, defineStateSteps } from './delta-steps.ts'
import { f32x4, i32, type Operand, select, v128 } from './instructions.ts'
import { withScratch } from './task.ts'
import { vectorBytes } from './vectors.ts'

const bytes = (count: Operand<'i32'>) => i32.shl(count, 2)

const productParameters = integers('x', 'y', 'step', 'rows', 'columns', 'sum')

/** The sum of x y over `rows` rows of `columns` floats, a multiple of 4, to `sum`. */
function defineInnerProduct(module: WasmModule) {
  return module.function('innerProduct', productParameters, (f, { x, y, step, rows, columns, sum }) => {
    const total = f.local('v128', f32x4.splat(0))
    f.times(rows, () => {
      const [left, right] = [f.local('i32', x), f.local('i32', y)]
      f.times(i32.shr_u(columns, 2), () => {
        f.set(total, f.madd(v128.load(left), v128.load(right), total))
        f.advance(left, vectorBytes)
        f.advance(right, vectorBytes)
      })
      f.advance(x, step)
      f.advance(y, step)
    })
    f.store(sum, laneSum(total))
  })
}

/**
 * Items: a head's share of columns, `splits` of them a head, each `share` columns but for the last. What sums over all
 * columns, dq, dk, dbeta and dg, each share writes to its own place, `splitStep` bytes after the one before.
 *
 * Scratch: the share's columns of the state, `backwardRoom(block)` floats.
 */
export function defineDeltaBackward(module: WasmModule) {
  const clearRows = defineClearRows(module)
  const transpose = defineTranspose(module)
  const innerProduct = defineInnerProduct(module)
  const gradientSteps = defineGradientSteps(module)
  const stateSteps = defineStateSteps(module)
  const parameters = {
    ...integers('q', 'k', 'v', 'decays', 'beta', 'state', 'out', 'last', 'errors', 'checkpoints', 'dout', 'dlast'),
    ...integers('dq', 'dk', 'dv', 'dg', 'dbeta', 'dstate'),
    ...integers('T', 'H', 'K', 'V', 'splits', 'share', 'splitStep', 'block'),
    ...floats('scale'),
    ...withScratch,
  } as const
  return module.function('deltaBackward', parameters, (f, p) => {
    const { T, H, K, V } = p
    const [keyStep, valueStep, gateStep] = [i32.mul(H, K), i32.mul(H, V), H].map((x) => f.local('i32', bytes(x)))
    const [keyRow, valueRow] = [f.local('i32', bytes(K)), f.local('i32', bytes(V))]
    const lastSegment = f.local('i32', i32.div_u(i32.sub(T, 1), RECURRENT_SEGMENT))
    const steps4 = f.local('i32', i32.add(p.scratch, i32.mul(p.share, keyRow)))
    const slope = f.local('i32', i32.add(steps4, bytes(i32.mul(p.block, 6))))
    const item = f.local('i32', p.from)
    f.while(i32.lt_u(item, p.to), () => {
      const head = f.local('i32', i32.div_u(item, p.splits))
      const split = f.local('i32', i32.rem_u(item, p.splits))
      const first = f.local('i32', i32.mul(split, p.share))
      const limit = i32.add(first, p.share)
      const end = f.local('i32', select(i32.lt_u(limit, V), limit, V))
      const columns = f.local('i32', i32.sub(end, first))
      const splitAt = f.local('i32', i32.mul(split, p.splitStep))
      /** Where the share's part of a state [B, H, K, V] begins. */
      const stateAt = f.local('i32', bytes(i32.add(i32.mul(i32.mul(head, K), V), first)))
      const checkpoint = f.local(
        'i32',
        i32.add(p.checkpoints, bytes(i32.mul(K, i32.add(i32.mul(V, i32.mul(i32.add(head, 1), lastSegment)), first)))),
      )
      /** Row (b, t, h) of an operand [B, T, H, ...] for t = 0. */
      const firstRow = f.local('i32', i32.add(i32.mul(i32.mul(i32.div_u(head, H), T), H), i32.rem_u(head, H)))
      const step = f.local('i32')
      const steps = f.local('i32')
      const column = f.local('i32')
      const width = f.local('i32')
      const block = f.local('i32')
      const eachBlock = (body: () => void) => {
        f.set(column, first)
        f.set(block, p.scratch)
        f.while(i32.lt_u(column, end), () => {
          const left = f.local('i32', i32.sub(end, column))
          f.set(width, select(i32.lt_u(left, p.block), left, p.block))
          body()
          f.advance(column, width)
          f.advance(block, i32.mul(width, keyRow))
        })
      }
      /** The steps' arguments for the block at hand, with pointers to row (b, t, h). */
      const given = (row: Operand<'i32'>) => {
        const keys = f.local('i32', i32.mul(row, keyRow))
        const partialKeys = f.local('i32', i32.add(keys, splitAt))
        const values = f.local('i32', bytes(i32.add(i32.mul(row, V), column)))
        const gates = f.local('i32', bytes(row))
        const at = (pointer: Operand<'i32'>, offset: Operand<'i32'>) => i32.add(pointer, offset)
        return {
          ...{ q: at(p.q, keys), k: at(p.k, keys), dq: at(p.dq, partialKeys), dk: at(p.dk, partialKeys) },
          ...{ v: at(p.v, values), out: at(p.out, values), errors: at(p.errors, values) },
          ...{ dout: at(p.dout, values), dv: at(p.dv, values) },
          ...{ decay: at(p.decays, gates), beta: at(p.beta, gates) },
          ...{ dbeta: at(at(p.dbeta, gates), splitAt), dg: at(at(p.dg, gates), splitAt) },
          ...{ state: block, keyStep, valueStep, gateStep, K, columns: width, steps, scale: p.scale },
        }
      }
      const turn = (state: Operand<'i32'>) =>
        f.call(transpose, {
          ...{ from: i32.add(state, stateAt), fromStep: valueRow, rows: K },
          ...{ to: p.scratch, toStep: keyRow, columns },
        })

      for (const [gradient, step, width] of [
        [p.dq, keyStep, K],
        [p.dk, keyStep, K],
        [p.dbeta, gateStep, i32.const(1)],
        [p.dg, gateStep, i32.const(1)],
      ] as const) {
        const at = i32.add(i32.add(gradient, splitAt), i32.mul(firstRow, bytes(width)))
        f.call(clearRows, { at, step, rows: T, columns: width })
      }

      turn(p.dlast)
      f.set(step, i32.mul(lastSegment, RECURRENT_SEGMENT))
      f.set(steps, i32.sub(T, step))
      const segments = f.local('i32', i32.add(lastSegment, 1))
      f.while(segments, () => {
        eachBlock(() => {
          const offset = i32.sub(column, first)
          f.if(
            i32.gt_u(segments, lastSegment),
            () => {
              const at = i32.add(stateAt, bytes(offset))
              f.call(innerProduct, {
                ...{ x: i32.add(p.dlast, at), y: i32.add(p.last, at), step: valueRow, rows: K, columns: width },
                sum: slope,
              })
            },
            () => {
              const y = i32.add(checkpoint, i32.mul(offset, keyRow))
              f.call(innerProduct, { x: block, y, step: keyRow, rows: width, columns: K, sum: slope })
            },
          )
          const row = i32.add(firstRow, i32.mul(i32.sub(i32.add(step, steps), 1), H))
          f.call(gradientSteps, { ...given(row), slope, scratch: steps4 })
        })
        f.set(step, i32.sub(step, RECURRENT_SEGMENT))
        f.set(steps, i32.const(RECURRENT_SEGMENT))
        f.set(checkpoint, i32.sub(checkpoint, i32.mul(V, keyRow)))
        f.advance(segments, -1)
      })
      f.call(transpose, {
        ...{ from: p.scratch, fromStep: keyRow, rows: columns },
        ...{ to: i32.add(p.dstate, stateAt), toStep: valueRow, columns: K },
      })

      turn(p.state)
      f.set(step, i32.const(0))
      f.while(i32.lt_u(step, T), () => {
        const left = f.local('i32', i32.sub(T, step))
        f.set(steps, select(i32.lt_u(left, RECURRENT_SEGMENT), left, i32.const(RECURRENT_SEGMENT)))
        eachBlock(() => f.call(stateSteps, given(i32.add(firstRow, i32.mul(step, H)))))
        f.advance(step, steps)
      })
      f.advance(item, 1)
    })
  })
}

/** Floats that the backward pass needs beside the state, for blocks of so many columns. */
export const backwardRoom = (block: number): number => 6 * block + 4

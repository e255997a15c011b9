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
 * Its roundings add up, so it starts anew at each segment's end, from <G, S> with the state that the forward pass kept.
 *
 * Columns of the state go in blocks that fit the first-level cache.
 */
import { type FunctionBuilder, floats, integers, type WasmModule } from './assembler.ts'
import {
  bytes,
  defineClearRows,
  defineFetchRows,
  defineTranspose,
  eachItem,
  eachSegment,
  fetchHeads,
  type Item,
  least,
  passParameters,
  sum,
} from './delta-parts.ts'
import { defineGradientSteps, defineStateSteps } from './delta-steps.ts'
import { i32, type Local } from './instructions.ts'
import { withRange, withScratch } from './task.ts'

/** Floats of a block of the state: half of the first-level cache. */
const BLOCK = 4096

/** Columns of a block of the transposed state. */
export const blockColumns = (K: number): number => Math.max(4, Math.floor(BLOCK / K / 4) * 4)

/** Bytes of scratch memory that the gradient's steps need for blocks of so many columns. */
export const gradientScratch = (block: number): number => 4 * 6 * block

/** Operands and results with a row of K numbers a step, with one of V, and with one number. */
const keyRows = ['q', 'k', 'dq', 'dk'] as const
const valueRows = ['v', 'out', 'errors', 'dout', 'dv'] as const
const numbers = ['decays', 'beta', 'dg', 'dbeta'] as const
/** What sums over all columns: each share has a place of its own, `splitStep` bytes after the one before. */
const partial = ['dq', 'dk', 'dg', 'dbeta'] as const

type Name = (typeof keyRows)[number] | (typeof valueRows)[number] | (typeof numbers)[number]

const shared = { ...integers('states', 'splitStep', 'block'), ...passParameters, ...floats('scale') } as const

type Given<N extends Name> = Readonly<Record<N | 'H' | 'K' | 'V' | 'splitStep' | 'block', Local<'i32'>>>

/** An item's place in the tensors that a segment's steps read and write. */
class Places<N extends Name> {
  readonly #f: FunctionBuilder
  readonly #p: Given<N>
  readonly #item: Item
  /** Pointers to the segment's first step, at the first column that is to be done. */
  readonly at: Readonly<Record<N, Local<'i32'>>>
  /** Bytes from a step to the next. */
  readonly steps: Readonly<Record<'keyStep' | 'valueStep' | 'numberStep', Local<'i32'>>>

  constructor(f: FunctionBuilder, p: Given<N>, item: Item, names: readonly N[]) {
    this.#f = f
    this.#p = p
    this.#item = item
    const { first, row, split } = item
    const start = (name: Name) => {
      if (includes(keyRows, name)) return i32.mul(row, p.K)
      return includes(valueRows, name) ? i32.add(i32.mul(row, p.V), first) : row
    }
    const place = (name: N) => {
      const shareAt = includes(partial, name) ? i32.mul(split, p.splitStep) : 0
      return f.local('i32', sum(p[name], bytes(start(name)), shareAt))
    }
    this.at = Object.fromEntries(names.map((name) => [name, place(name)])) as Record<N, Local<'i32'>>
    const step = (width: Local<'i32'> | number) => f.local('i32', bytes(i32.mul(p.H, width)))
    this.steps = { keyStep: step(p.K), valueStep: step(p.V), numberStep: step(1) }
  }

  /** Runs `body` for each block of the share's columns; `offset` is the block's place in the states of all heads. */
  eachBlock(body: (columns: Local<'i32'>, offset: Local<'i32'>) => void): void {
    const [f, p, { head, first, columns }] = [this.#f, this.#p, this.#item]
    const offset = f.local('i32', bytes(i32.mul(p.K, sum(i32.mul(head, p.V), first))))
    const left = f.local('i32', columns)
    f.while(left, () => {
      const width = f.local('i32', least(left, p.block))
      body(width, offset)
      for (const [name, pointer] of Object.entries<Local<'i32'>>(this.at)) {
        if (includes(valueRows, name as N)) f.advance(pointer, bytes(width))
      }
      f.advance(offset, bytes(i32.mul(p.K, width)))
      f.set(left, i32.sub(left, width))
    })
  }
}

const includes = (names: readonly Name[], name: Name) => names.includes(name)

/**
 * The pass backward in time. `states` [B, H, V, K] holds G transposed; `checkpoints` [B, H, segments, V, K] S after each segment,
 * `checkpointStep` bytes from head to head.
 */
function defineGradientPass(
  module: WasmModule,
  clearRows: ReturnType<typeof defineClearRows>,
  fetchRows: ReturnType<typeof defineFetchRows>,
) {
  const steps = defineGradientSteps(module)
  const names = ['q', 'k', 'v', 'out', 'errors', 'dout', 'decays', 'beta', 'dk', 'dv', 'dg', 'dbeta'] as const
  const parameters = { ...integers(...names, 'checkpoints', 'checkpointStep'), ...shared, ...withScratch } as const
  return module.function('gradientPass', parameters, (f, p) => {
    eachSegment(f, p.T, true, (segment) => {
      eachItem(f, p, segment, (item) => {
        fetchHeads(f, fetchRows, p, segment, item, [p.q, p.k, p.dk], [p.v, p.out, p.errors, p.dout, p.dv])
        const places = new Places(f, p, item, names)
        const { at } = places
        const { keyStep, numberStep } = places.steps
        f.call(clearRows, { at: at.dk, step: keyStep, rows: segment.steps, columns: p.K })
        for (const number of [at.dg, at.dbeta]) {
          f.call(clearRows, { at: number, step: numberStep, rows: segment.steps, columns: 1 })
        }
        const end = f.local(
          'i32',
          sum(
            p.checkpoints,
            i32.mul(item.head, p.checkpointStep),
            bytes(i32.mul(p.K, i32.add(i32.mul(segment.index, p.V), item.first))),
          ),
        )
        places.eachBlock((columns, offset) => {
          const { K, scale, scratch } = p
          const state = sum(p.states, offset)
          f.call(steps, { ...at, ...places.steps, state, end, K, columns, steps: segment.steps, scale, scratch })
          f.advance(end, bytes(i32.mul(K, columns)))
        })
      })
    })
  })
}

/** The pass forward in time, after the other: adds to dk, and writes dq. `states` holds S transposed. */
function defineStatePass(
  module: WasmModule,
  clearRows: ReturnType<typeof defineClearRows>,
  fetchRows: ReturnType<typeof defineFetchRows>,
) {
  const steps = defineStateSteps(module)
  const names = ['k', 'errors', 'dout', 'decays', 'beta', 'dq', 'dk', 'dv'] as const
  const parameters = { ...integers(...names), ...shared, ...withRange } as const
  return module.function('statePass', parameters, (f, p) => {
    eachSegment(f, p.T, false, (segment) => {
      eachItem(f, p, segment, (item) => {
        fetchHeads(f, fetchRows, p, segment, item, [p.k, p.dq, p.dk], [p.errors, p.dout, p.dv])
        const places = new Places(f, p, item, names)
        const { at } = places
        f.call(clearRows, { at: at.dq, step: places.steps.keyStep, rows: segment.steps, columns: p.K })
        places.eachBlock((columns, offset) => {
          const { K, scale } = p
          f.call(steps, {
            ...at,
            ...places.steps,
            state: sum(p.states, offset),
            K,
            columns,
            steps: segment.steps,
            scale,
          })
        })
      })
    })
  })
}

/** The transpose of every head's matrix. Items: heads. */
function defineTurn(module: WasmModule) {
  const transpose = defineTranspose(module)
  const parameters = { ...integers('matrices', 'out', 'rows', 'columns'), ...withRange } as const
  return module.function('turn', parameters, (f, { matrices, out, rows, columns, from, to }) => {
    const size = f.local('i32', bytes(i32.mul(rows, columns)))
    for (const pointer of [matrices, out]) f.advance(pointer, i32.mul(from, size))
    f.times(i32.sub(to, from), () => {
      const [fromStep, toStep] = [bytes(columns), bytes(rows)]
      f.call(transpose, { from: matrices, fromStep, to: out, toStep, rows, columns })
      for (const pointer of [matrices, out]) f.advance(pointer, size)
    })
  })
}

export function defineDeltaBackward(module: WasmModule) {
  const clearRows = defineClearRows(module)
  const fetchRows = defineFetchRows(module)
  return {
    turn: defineTurn(module),
    gradientPass: defineGradientPass(module, clearRows, fetchRows),
    statePass: defineStatePass(module, clearRows, fetchRows),
  }
}

/**
 * The gated delta rule's steps on the cpu: see fused-delta.ts for the recurrence.
 *
 * No column of the state, which belongs to one value, depends on another. So a block of 8 columns, [K, 8], goes through the
 * steps alone, its row two vectors, and stays in the first-level cache. One walk over its rows is a step:
 *
 *   S = a S + k u;   o += q S;   r += k' S          r = S^T k' of the next key k'
 *
 * which is one read and one write of S for its four operations. The next step's lookup is a' r, as decay is a number.
 *
 * Sequences go in segments, and within a segment block after block, so that the segment's keys and queries are in cache
 * for all of them. The state after each segment but the last is kept for the backward pass.
 */
import { RECURRENT_SEGMENT } from '../../fused-delta.ts'
import { type Callee, floats, integers, type WasmModule } from './assembler.ts'
import { defineCopyRows, defineTranspose } from './delta-blocks.ts'
import { f32x4, i32, type Local, type Operand, select, v128 } from './instructions.ts'
import { withScratch } from './task.ts'
import { vectorBytes } from './vectors.ts'

/** Columns of a block: 8, and 4 for what is left of a number that is only a multiple of 4. */
const COLUMNS = 8

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

const stepParameters = {
  /** Pointers to the block's part of the first step. */
  ...integers('q', 'k', 'v', 'decay', 'beta', 'out', 'errors', 'state'),
  /** Bytes from a step to the next of q and k, of v, out and errors, and of decay and beta. */
  ...integers('keyStep', 'valueStep', 'gateStep'),
  ...integers('K', 'steps'),
  ...floats('scale'),
} as const

/** Steps of a block whose rows are so many vectors: `state` is updated in place. */
function defineSteps(module: WasmModule, vectors: number): Callee<typeof stepParameters> {
  const columns = range(vectors)
  return module.function(`steps${4 * vectors}`, stepParameters, (f, p) => {
    const rowBytes = vectors * vectorBytes
    const make = () => columns.map(() => f.local('v128'))
    const [corrections, reads, lookups] = [make(), make(), make()]
    const zero = f32x4.splat(0)
    const clear = (sums: Local<'v128'>[]) => {
      for (const sum of sums) f.set(sum, zero)
    }
    const [q, k, next, row] = range(4).map(() => f.local('i32'))
    /** Four rows a turn. */
    const eachRow = (pointers: Local<'i32'>[], body: (key: number, row: number) => void) => {
      f.set(row, p.state)
      f.times(i32.shr_u(p.K, 2), () => {
        for (const i of range(4)) body(4 * i, i * rowBytes)
        for (const pointer of pointers) f.advance(pointer, vectorBytes)
        f.advance(row, 4 * rowBytes)
      })
    }

    clear(lookups)
    f.set(next, p.k)
    eachRow([next], (key, at) => {
      const keySplat = f.local('v128', v128.load32_splat(next, key))
      for (const c of columns) {
        f.set(lookups[c], f.madd(v128.load(row, at + c * vectorBytes), keySplat, lookups[c]))
      }
    })

    const left = f.local('i32', p.steps)
    f.while(left, () => {
      f.advance(left, -1)
      const decay = f.local('v128', v128.load32_splat(p.decay))
      const beta = v128.load32_splat(p.beta)
      for (const c of columns) {
        const error = f.local('v128', f32x4.sub(v128.load(p.v, c * vectorBytes), f32x4.mul(decay, lookups[c])))
        f.store(p.errors, error, c * vectorBytes)
        f.set(corrections[c], f32x4.mul(beta, error))
      }
      clear(reads)
      clear(lookups)
      f.set(q, p.q)
      f.set(k, p.k)
      // After the last step nothing is looked up: any key will do.
      f.set(p.k, select(left, i32.add(p.k, p.keyStep), p.k))
      f.set(next, p.k)
      eachRow([q, k, next], (key, at) => {
        const [keySplat, querySplat, nextSplat] = [k, q, next].map((pointer) =>
          f.local('v128', v128.load32_splat(pointer, key)),
        )
        for (const c of columns) {
          const cell = f.local('v128', f32x4.mul(v128.load(row, at + c * vectorBytes), decay))
          f.set(cell, f.madd(keySplat, corrections[c], cell))
          f.store(row, cell, at + c * vectorBytes)
          f.set(reads[c], f.madd(querySplat, cell, reads[c]))
          f.set(lookups[c], f.madd(nextSplat, cell, lookups[c]))
        }
      })
      for (const c of columns) f.store(p.out, f32x4.mul(reads[c], f32x4.splat(p.scale)), c * vectorBytes)
      f.advance(p.q, p.keyStep)
      for (const pointer of [p.v, p.out, p.errors]) f.advance(pointer, p.valueStep)
      for (const pointer of [p.decay, p.beta]) f.advance(pointer, p.gateStep)
    })
  })
}

/**
 * Items: a head's share of columns, `splits` of them a head, each `share` columns, a multiple of 8, but for the last.
 * Scratch: the share's columns of the state.
 */
export function defineDeltaForward(module: WasmModule) {
  const copyRows = defineCopyRows(module)
  const transpose = defineTranspose(module)
  const [steps4, steps8] = [defineSteps(module, 1), defineSteps(module, 2)]
  const parameters = {
    ...integers('q', 'k', 'v', 'decays', 'beta', 'state'),
    ...integers('out', 'last', 'errors', 'checkpoints'),
    ...integers('T', 'H', 'K', 'V', 'splits', 'share'),
    ...floats('scale'),
    ...withScratch,
  } as const
  return module.function('deltaForward', parameters, (f, p) => {
    const { T, H, K, V } = p
    const bytes = (count: Operand<'i32'>) => i32.shl(count, 2)
    const [keyStep, valueStep, gateStep] = [i32.mul(H, K), i32.mul(H, V), H].map((x) => f.local('i32', bytes(x)))
    const stateBytes = f.local('i32', bytes(i32.mul(K, V)))
    const checkpointCount = f.local('i32', i32.div_u(i32.sub(T, 1), RECURRENT_SEGMENT))
    const item = f.local('i32', p.from)
    f.while(i32.lt_u(item, p.to), () => {
      const head = f.local('i32', i32.div_u(item, p.splits))
      const first = f.local('i32', i32.mul(i32.rem_u(item, p.splits), p.share))
      const last = i32.add(first, p.share)
      const end = f.local('i32', select(i32.lt_u(last, V), last, V))
      const stateAt = f.local('i32', i32.add(i32.mul(head, stateBytes), bytes(first)))
      const checkpoint = f.local(
        'i32',
        i32.add(
          p.checkpoints,
          bytes(i32.add(i32.mul(i32.mul(head, checkpointCount), i32.mul(K, V)), i32.mul(first, K))),
        ),
      )
      /** Blocks of the share, each with its first column's place in a row and its own place in scratch. */
      const column = f.local('i32')
      const width = f.local('i32')
      const block = f.local('i32')
      const eachBlock = (body: () => void) => {
        f.set(column, first)
        f.set(block, p.scratch)
        f.while(i32.lt_u(column, end), () => {
          f.set(width, select(i32.lt_u(i32.sub(end, column), COLUMNS), i32.const(4), i32.const(COLUMNS)))
          body()
          f.advance(column, width)
          f.advance(block, bytes(i32.mul(K, width)))
        })
      }
      const offset = bytes(i32.sub(column, first))

      eachBlock(() => {
        const from = i32.add(i32.add(p.state, stateAt), offset)
        f.call(copyRows, {
          from,
          fromStep: bytes(V),
          to: block,
          toStep: bytes(width),
          rows: K,
          columns: width,
        })
      })
      const step = f.local('i32', 0)
      f.while(i32.lt_u(step, T), () => {
        const left = f.local('i32', i32.sub(T, step))
        const steps = f.local('i32', select(i32.lt_u(left, RECURRENT_SEGMENT), left, i32.const(RECURRENT_SEGMENT)))
        // Row (b, t, h) of an operand [B, T, H, ...]
        const time = i32.add(i32.mul(i32.div_u(head, H), T), step)
        const row = f.local('i32', i32.add(i32.mul(time, H), i32.rem_u(head, H)))
        eachBlock(() => {
          const keys = f.local('i32', bytes(i32.mul(row, K)))
          const values = f.local('i32', bytes(i32.add(i32.mul(row, V), column)))
          const given = {
            q: i32.add(p.q, keys),
            k: i32.add(p.k, keys),
            v: i32.add(p.v, values),
            decay: i32.add(p.decays, bytes(row)),
            beta: i32.add(p.beta, bytes(row)),
            out: i32.add(p.out, values),
            errors: i32.add(p.errors, values),
            ...{ state: block, keyStep, valueStep, gateStep, K, steps, scale: p.scale },
          }
          f.if(
            i32.eq(width, COLUMNS),
            () => f.call(steps8, given),
            () => f.call(steps4, given),
          )
        })
        f.advance(step, steps)
        f.if(i32.lt_u(step, T), () => {
          eachBlock(() => {
            f.call(transpose, {
              from: block,
              fromStep: bytes(width),
              to: i32.add(checkpoint, i32.mul(offset, K)),
              toStep: bytes(K),
              rows: K,
              columns: width,
            })
          })
          f.advance(checkpoint, stateBytes)
        })
      })
      eachBlock(() => {
        f.call(copyRows, {
          from: block,
          fromStep: bytes(width),
          to: i32.add(i32.add(p.last, stateAt), offset),
          toStep: bytes(V),
          rows: K,
          columns: width,
        })
      })
      f.advance(item, 1)
    })
  })
}

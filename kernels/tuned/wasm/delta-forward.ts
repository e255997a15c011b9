/**
 * The gated delta rule's steps on the cpu: see fused-delta.ts for the recurrence.
 *
 * No column of the state, which belongs to one value, depends on another. So a block of 8 columns, [K, 8], goes through the
 * steps alone, its row two vectors, and stays in the first-level cache. One walk over its rows is a step:
 *
 *   S = a S + k u;   o += q S;   r += k' S          r = S^T k' of the next key k'
 *
 * which is one read and one write of S for its four operations. The next step's lookup is a' r, as decay is a number.
 */
import type { Callee, WasmModule } from './assembler.ts'
import { floats, integers } from './assembler.ts'
import {
  bytes,
  COLUMNS,
  defineCopyRows,
  defineFetchRows,
  defineTranspose,
  eachItem,
  eachSegment,
  fetchHeads,
  least,
  passParameters,
  sum,
} from './delta-parts.ts'
import { f32x4, i32, type Local, select, v128 } from './instructions.ts'
import { withRange } from './task.ts'
import { vectorBytes } from './vectors.ts'

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

const stepParameters = {
  /** Pointers to the block's part of the first step. */
  ...integers('q', 'k', 'v', 'decays', 'beta', 'out', 'errors', 'state'),
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
    const eachRow = (pointers: Local<'i32'>[], body: () => void) => {
      f.set(row, p.state)
      f.times(p.K, () => {
        body()
        for (const pointer of pointers) f.advance(pointer, 4)
        f.advance(row, rowBytes)
      })
    }

    clear(lookups)
    f.set(next, p.k)
    eachRow([next], () => {
      const keySplat = f.local('v128', v128.load32_splat(next))
      for (const c of columns) {
        f.set(lookups[c], f.madd(v128.load(row, c * vectorBytes), keySplat, lookups[c]))
      }
    })

    const left = f.local('i32', p.steps)
    f.while(left, () => {
      f.advance(left, -1)
      const decay = f.local('v128', v128.load32_splat(p.decays))
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
      eachRow([q, k, next], () => {
        const [keySplat, querySplat, nextSplat] = [k, q, next].map((pointer) =>
          f.local('v128', v128.load32_splat(pointer)),
        )
        for (const c of columns) {
          const cell = f.local('v128', f32x4.mul(v128.load(row, c * vectorBytes), decay))
          f.set(cell, f.madd(keySplat, corrections[c], cell))
          f.store(row, cell, c * vectorBytes)
          f.set(reads[c], f.madd(querySplat, cell, reads[c]))
          f.set(lookups[c], f.madd(nextSplat, cell, lookups[c]))
        }
      })
      for (const c of columns) f.store(p.out, f32x4.mul(reads[c], f32x4.splat(p.scale)), c * vectorBytes)
      f.advance(p.q, p.keyStep)
      for (const pointer of [p.v, p.out, p.errors]) f.advance(pointer, p.valueStep)
      for (const pointer of [p.decays, p.beta]) f.advance(pointer, p.gateStep)
    })
  })
}

/**
 * The forward pass. `states` is [B, H, blocks, K, 8], the last block narrower where V is no multiple of 8. The states after each
 * segment go to `checkpoints` [B, H, segments, V, K], `checkpointStep` bytes from head to head.
 */
function definePass(module: WasmModule) {
  const transpose = defineTranspose(module)
  const fetchRows = defineFetchRows(module)
  // V is a multiple of 4: the last block may be narrower.
  const [steps4, steps8] = [defineSteps(module, 1), defineSteps(module, 2)]
  const parameters = {
    ...integers('q', 'k', 'v', 'decays', 'beta', 'out', 'errors', 'states', 'checkpoints', 'checkpointStep'),
    ...passParameters,
    ...floats('scale'),
    ...withRange,
  } as const
  return module.function('forwardPass', parameters, (f, p) => {
    const { H, K, V } = p
    const [keyStep, valueStep, gateStep] = [K, V, 1].map((width) => f.local('i32', bytes(i32.mul(H, width))))
    eachSegment(f, p.T, false, (segment) => {
      eachItem(f, p, segment, (item) => {
        const { head, first, columns, row } = item
        fetchHeads(f, fetchRows, p, segment, item, [p.q, p.k], [p.v, p.out, p.errors])
        const keys = f.local('i32', bytes(i32.mul(row, K)))
        const values = f.local('i32', bytes(i32.add(i32.mul(row, V), first)))
        const gates = f.local('i32', bytes(row))
        const state = f.local('i32', sum(p.states, bytes(i32.mul(K, i32.add(i32.mul(head, V), first)))))
        const checkpoint = f.local(
          'i32',
          sum(
            p.checkpoints,
            i32.mul(head, p.checkpointStep),
            bytes(i32.mul(K, i32.add(i32.mul(segment.index, V), first))),
          ),
        )
        const left = f.local('i32', columns)
        f.while(left, () => {
          const width = f.local('i32', least(left, COLUMNS))
          const given = {
            ...{ q: sum(p.q, keys), k: sum(p.k, keys), v: sum(p.v, values), out: sum(p.out, values) },
            ...{ errors: sum(p.errors, values), decays: sum(p.decays, gates), beta: sum(p.beta, gates) },
            ...{ state, keyStep, valueStep, gateStep, K, steps: segment.steps, scale: p.scale },
          }
          f.if(
            i32.eq(width, COLUMNS),
            () => f.call(steps8, given),
            () => f.call(steps4, given),
          )
          const [fromStep, toStep] = [bytes(width), bytes(K)]
          f.call(transpose, { from: state, fromStep, to: checkpoint, toStep, rows: K, columns: width })
          f.advance(values, bytes(width))
          for (const pointer of [state, checkpoint]) f.advance(pointer, bytes(i32.mul(K, width)))
          f.set(left, i32.sub(left, width))
        })
      })
    })
  })
}

/** Copies states [K, V] to blocks of columns, or back from them. Items: heads. */
function defineCopyBlocks(module: WasmModule, copyRows: ReturnType<typeof defineCopyRows>, isBack: boolean) {
  const parameters = { ...integers('states', 'blocks', 'K', 'V'), ...withRange } as const
  const name = isBack ? 'fromBlocks' : 'toBlocks'
  return module.function(name, parameters, (f, { states, blocks, K, V, from, to }) => {
    for (const pointer of [states, blocks]) f.advance(pointer, bytes(i32.mul(i32.mul(K, V), from)))
    f.times(i32.sub(to, from), () => {
      const left = f.local('i32', V)
      f.while(left, () => {
        const width = f.local('i32', least(left, COLUMNS))
        const [row, blockRow] = [bytes(V), bytes(width)]
        f.call(copyRows, {
          ...(isBack ? { from: blocks, fromStep: blockRow } : { from: states, fromStep: row }),
          ...(isBack ? { to: states, toStep: row } : { to: blocks, toStep: blockRow }),
          ...{ rows: K, columns: width },
        })
        f.advance(states, bytes(width))
        f.advance(blocks, bytes(i32.mul(K, width)))
        f.set(left, i32.sub(left, width))
      })
      // From the end of the first row to the next head's first row.
      f.advance(states, bytes(i32.mul(i32.sub(K, 1), V)))
    })
  })
}

export function defineDeltaForward(module: WasmModule) {
  const copyRows = defineCopyRows(module)
  return {
    toBlocks: defineCopyBlocks(module, copyRows, false),
    pass: definePass(module),
    fromBlocks: defineCopyBlocks(module, copyRows, true),
  }
}

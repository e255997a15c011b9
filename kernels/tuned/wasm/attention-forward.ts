/**
 * Attention forward: for a block of queries the scores of all keys that one of them sees, softmax by the largest score of
 * each row, and the product with the values; the rows' sums divide its result, where the gate joins.
 */
import { type Features, integers, WasmModule } from './assembler.ts'
import { type Gating, gateFunctions } from './attention-gate.ts'
import {
  defineProducts,
  eachOf,
  elementBytes,
  hideRest,
  keyHeadStart,
  laneNumbers,
  largestLane,
  least,
  pairedBlock,
  queryBlocks,
  queryRow,
  roomIn,
  roomParameters,
  rowBlock,
  sizeParameters,
  sumOfLanes,
  zeroRest,
} from './attention-parts.ts'
import { f32, f32x4, i32, select, type Value, v128 } from './instructions.ts'
import { exponentialBelow0, logarithm } from './math.ts'
import { productFunctions } from './product.ts'
import { withScratch } from './task.ts'

/**
 * Scores become weights: e^(score - largest), 0 for keys that the row does not see. Row r sees `seen` + r `grows` keys of
 * the first `keys`. `most` and `sums` get the rows' largest scores and sums of weights.
 */
function defineSoftmax(module: WasmModule) {
  const parameters = integers('rows', 'keys', 'seen', 'grows', 'scores', 'scoreStep', 'most', 'sums')
  return module.function('softmax', parameters, (f, { rows, keys, seen, grows, scores, scoreStep, most, sums }) => {
    const lanes = laneNumbers(f)
    const exp = exponentialBelow0(f)
    const count = f.local('i32')
    const vectors = f.local('i32')
    const largest = f.local('v128')
    const sum = f.local('v128')
    f.times(rows, () => {
      f.set(count, least(seen, keys))
      hideRest(f, scores, count, lanes)
      f.set(vectors, i32.shr_u(i32.add(count, 3), 2))
      f.set(largest, f32x4.splat(-Infinity))
      eachOf(f, vectors, [scores], (at) => f.set(largest, f32x4.pmax(largest, v128.load(at))))
      f.set(largest, largestLane(f, largest))
      f.set(sum, f32x4.splat(0))
      eachOf(f, vectors, [scores], (at) => {
        const weight = f.local('v128', exp(f32x4.sub(v128.load(at), largest)))
        f.store(at, weight)
        f.set(sum, f32x4.add(sum, weight))
      })
      zeroRest(f, scores, count, keys)
      f.store(most, f32x4.extract_lane(largest, 0))
      f.store(sums, f32x4.extract_lane(sumOfLanes(f, sum), 0))
      f.advance(seen, grows)
      f.advance(scores, scoreStep)
      f.advance(most, elementBytes)
      f.advance(sums, elementBytes)
    })
  })
}

/** The rows' sums become their inverses, `most` the logarithm of the sum of all e^score. */
function defineFinishSums(module: WasmModule) {
  return module.function('finishSums', integers('most', 'sums'), (f, { most, sums }) => {
    const log = logarithm(f)
    eachOf(f, i32.const(rowBlock / 4), [most, sums], (m, sum) => {
      f.store(m, f32x4.add(v128.load(m), log(v128.load(sum))))
      f.store(sum, f32x4.div(f32x4.splat(1), v128.load(sum)))
    })
  })
}

/** Rows of the product, divided by their sums, and gated, to the results. Steps are bytes from a query to the next. */
function defineWrite(module: WasmModule, gating: Gating | undefined) {
  const parameters = {
    ...integers('rows', 'columns', 'mixed', 'width', 'most', 'sums'),
    ...integers('out', 'outStep', 'logSum', 'logSumStep', 'gate', 'ungated'),
  }
  return module.function('write', parameters, (f, p) => {
    const activation = gating && gateFunctions(f, gating)
    const factor = f.local('v128')
    f.times(p.rows, () => {
      f.set(factor, v128.load32_splat(p.sums))
      f.store(p.logSum, f32.load(p.most))
      const vectors = i32.shr_u(p.columns, 2)
      if (!gating || !activation) {
        eachOf(f, vectors, [p.mixed, p.out], (from, to) => f.store(to, f32x4.mul(v128.load(from), factor)))
      } else {
        const join = (y: Value<'v128'>, s: Value<'v128'>) => (gating.additive ? f32x4.add(y, s) : f32x4.mul(y, s))
        const rowGate = gating.headwise && f.local('v128', activation.value(v128.load32_splat(p.gate)))
        eachOf(f, vectors, [p.mixed, p.out, p.ungated, ...(rowGate ? [] : [p.gate])], (from, to, kept, gate) => {
          const y = f.local('v128', f32x4.mul(v128.load(from), factor))
          f.store(kept, y)
          f.store(to, join(y, rowGate || activation.value(v128.load(gate))))
        })
        f.advance(p.ungated, p.outStep)
        f.advance(p.gate, gating.headwise ? p.logSumStep : p.outStep)
      }
      f.advance(p.mixed, p.width)
      f.advance(p.most, elementBytes)
      f.advance(p.sums, elementBytes)
      f.advance(p.out, p.outStep)
      f.advance(p.logSum, p.logSumStep)
    })
  })
}

/** What the kernel keeps in scratch memory. */
export const forwardRoom = ['keys', 'values', 'queries', 'scores', 'mixed', 'most', 'sums', 'edge'] as const

/** Items are blocks of queries: for each entry of the batch and each head, in the order of `pairedBlock`. */
export function defineForward(features: Features, gating: Gating | undefined) {
  const module = new WasmModule({ ...features, wide: false })
  const products = defineProducts(module, productFunctions(features))
  const softmax = defineSoftmax(module)
  const finishSums = defineFinishSums(module)
  const write = defineWrite(module, gating)
  const parameters = {
    ...integers('q', 'k', 'v', 'gate', 'out', 'logSum', 'ungated'),
    ...sizeParameters,
    ...roomParameters(forwardRoom),
    ...withScratch,
  }

  return module.function('attentionForward', parameters, (f, p) => {
    const { T, S, H, KV, D, causal, width, scoreStep, from, to } = p
    const { keys, values, queries, scores, mixed, most, sums, edge } = roomIn(f, p, forwardRoom)
    const rowBytes = f.local('i32', i32.mul(D, elementBytes))
    const queryStep = f.local('i32', i32.mul(rowBytes, H))
    const keyStep = f.local('i32', i32.mul(rowBytes, KV))
    const blocks = f.local('i32', queryBlocks(T))
    const packed = f.local('i32', -1)
    const item = f.local('i32', from)
    const batchHead = f.local('i32')
    const keyHead = f.local('i32')
    const first = f.local('i32')
    const rows = f.local('i32')
    const seen = f.local('i32')
    const visible = f.local('i32')
    const row = f.local('i32')

    const packKeyHead = () => {
      const at = f.local('i32', keyHeadStart(p, keyHead, 0))
      const lines = { depth: D, lanes: S, laneStep: keyStep, depthStep: elementBytes }
      f.call(products.pack, { ...lines, source: i32.add(p.k, at), target: keys })
      const columns = { depth: S, lanes: D, laneStep: elementBytes, depthStep: keyStep }
      f.call(products.pack, { ...columns, source: i32.add(p.v, at), target: values })
      f.set(packed, keyHead)
    }

    f.while(i32.lt_u(item, to), () => {
      f.set(batchHead, i32.div_u(item, blocks))
      f.set(first, i32.mul(pairedBlock(f, i32.rem_u(item, blocks), blocks), rowBlock))
      f.set(keyHead, i32.div_u(batchHead, i32.div_u(H, KV)))
      f.if(i32.ne(keyHead, packed), packKeyHead)

      f.set(rows, least(i32.sub(T, first), i32.const(rowBlock)))
      f.set(visible, select(causal, i32.add(i32.add(first, 1), i32.sub(S, T)), S))
      f.set(seen, select(causal, i32.add(visible, i32.sub(rows, 1)), S))
      f.set(row, queryRow(p, batchHead, first))

      const at = i32.mul(row, rowBytes)
      f.call(products.scaleRows, {
        ...{ rows, columns: D, source: i32.add(p.q, at), sourceStep: queryStep },
        ...{ target: queries, targetStep: width, factor: p.scale },
      })
      f.call(products.score, { rows, keys: seen, D, queries, width, packed: keys, scores, scoreStep, edge })
      f.call(softmax, { rows, keys: seen, seen: visible, grows: causal, scores, scoreStep, most, sums })
      f.call(finishSums, { most, sums })
      f.call(products.weigh, {
        ...{ rows, keys: seen, length: S, weights: scores, scoreStep, packed: values, out: mixed, width, edge },
      })
      const scalarAt = i32.mul(row, elementBytes)
      f.call(write, {
        ...{ rows, columns: D, mixed, width, most, sums },
        ...{ out: i32.add(p.out, at), outStep: queryStep, ungated: i32.add(p.ungated, at) },
        ...{ logSum: i32.add(p.logSum, scalarAt), logSumStep: i32.mul(H, elementBytes) },
        gate: i32.add(p.gate, gating?.headwise ? scalarAt : at),
      })
      f.advance(item, 1)
    })
  })
}

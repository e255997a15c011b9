/**
 * Attention backward. For a block of queries
 *
 *   P = e^(scale Q K^T - logSum)    dP = dY V^T    dS = P ⊙ (dP - delta)    delta = rowsum(dY ⊙ Y)
 *   dQ = scale dS K    dK += dS^T (scale Q)    dV += P^T dY
 *
 * One item has some keys of a key-value head, to whose dK and dV the queries of all its heads add in scratch memory. If all
 * keys are one item's, its dQ are the gradients; else each chunk of keys leaves its part, and a second task adds them.
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
  least,
  orZero,
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
import { f32, f32x4, i32, select, v128 } from './instructions.ts'
import { exponentialBelow0 } from './math.ts'
import { productFunctions } from './product.ts'
import { withRange, withScratch } from './task.ts'
import { eachVector } from './vectors.ts'

/** Rows of dY, from those of the gated result's gradient, their deltas, and the gradient of the gate. */
function defineEnter(module: WasmModule, gating: Gating | undefined) {
  const parameters = {
    ...integers('rows', 'columns', 'dout', 'y', 'rowStep', 'dy', 'width', 'delta'),
    ...integers('gate', 'gateStep', 'dgate', 'dgateStep'),
  }
  return module.function('enter', parameters, (f, p) => {
    const activation = gating && gateFunctions(f, gating)
    const sum = f.local('v128')
    const gateSum = f.local('v128')
    f.times(p.rows, () => {
      f.set(sum, f32x4.splat(0))
      const vectors = i32.shr_u(p.columns, 2)
      if (!gating || !activation) {
        eachOf(f, vectors, [p.dout, p.y, p.dy], (dout, y, dy) => {
          const gradient = f.local('v128', v128.load(dout))
          f.store(dy, gradient)
          f.set(sum, f.madd(gradient, v128.load(y), sum))
        })
      } else {
        const { additive, headwise } = gating
        const ofRow = headwise && activation.valueAndSlope(v128.load32_splat(p.gate))
        f.set(gateSum, f32x4.splat(0))
        eachOf(
          f,
          vectors,
          [p.dout, p.y, p.dy, ...(headwise ? [] : [p.gate, p.dgate])],
          (...[dout, y, dy, gate, dgate]) => {
            const { value, slope } = ofRow || activation.valueAndSlope(v128.load(gate))
            const gradient = f.local('v128', v128.load(dout))
            const result = f.local('v128', v128.load(y))
            const ofValue = f.local('v128', additive ? gradient : f32x4.mul(gradient, result))
            if (headwise) f.set(gateSum, f32x4.add(gateSum, ofValue))
            else f.store(dgate, f32x4.mul(ofValue, slope))
            if (!additive) f.set(gradient, f32x4.mul(gradient, value))
            f.store(dy, gradient)
            f.set(sum, f.madd(gradient, result, sum))
          },
        )
        if (ofRow) f.store(p.dgate, f32x4.extract_lane(f32x4.mul(sumOfLanes(f, gateSum), ofRow.slope), 0))
        f.advance(p.gate, p.gateStep)
        f.advance(p.dgate, p.dgateStep)
      }
      f.store(p.delta, f32x4.extract_lane(sumOfLanes(f, sum), 0))
      f.advance(p.dout, p.rowStep)
      f.advance(p.y, p.rowStep)
      f.advance(p.dy, p.width)
      f.advance(p.delta, elementBytes)
    })
  })
}

/** Scores become weights P, their gradients dP become dS. Row r sees `seen` + r `grows` keys of the first `keys`. */
function defineWeights(module: WasmModule) {
  const parameters = integers(
    ...([
      'rows',
      'keys',
      'seen',
      'grows',
      'scores',
      'gradients',
      'scoreStep',
      'logSum',
      'logSumStep',
      'delta',
    ] as const),
  )
  return module.function('weights', parameters, (f, p) => {
    const { rows, keys, seen, grows, scores, gradients, scoreStep, logSum, logSumStep, delta } = p
    const lanes = laneNumbers(f)
    const exp = exponentialBelow0(f)
    const count = f.local('i32')
    const log = f.local('v128')
    const mean = f.local('v128')
    f.times(rows, () => {
      f.set(count, orZero(least(seen, keys)))
      hideRest(f, scores, count, lanes)
      f.set(log, v128.load32_splat(logSum))
      f.set(mean, v128.load32_splat(delta))
      eachOf(f, i32.shr_u(i32.add(count, 3), 2), [scores, gradients], (score, gradient) => {
        const weight = f.local('v128', exp(f32x4.sub(v128.load(score), log)))
        f.store(score, weight)
        f.store(gradient, f32x4.mul(weight, f32x4.sub(v128.load(gradient), mean)))
      })
      zeroRest(f, scores, count, keys)
      zeroRest(f, gradients, count, keys)
      f.advance(seen, grows)
      f.advance(scores, scoreStep)
      f.advance(gradients, scoreStep)
      f.advance(logSum, logSumStep)
      f.advance(delta, elementBytes)
    })
  })
}

/** What the kernel keeps in scratch memory. `keys` and `values` lie by columns, for scores; `keyRows` by rows. */
export const backwardRoom = [
  ...(['keys', 'values', 'keyRows', 'keySums', 'valueSums'] as const),
  ...(['queries', 'dy', 'scores', 'gradients', 'mixed', 'delta', 'edge'] as const),
] as const

/** Items are chunks of keys: for each entry of the batch and each key-value head, in the order of `pairedBlock`. */
export function defineBackward(features: Features, gating: Gating | undefined) {
  const module = new WasmModule({ ...features, wide: false })
  const products = defineProducts(module, productFunctions(features))
  const enter = defineEnter(module, gating)
  const weights = defineWeights(module)
  const parameters = {
    ...integers('dout', 'out', 'logSum', 'q', 'k', 'v', 'gate', 'dq', 'dk', 'dv', 'dgate'),
    ...integers('chunks', 'chunkKeys', 'chunkStep'),
    ...sizeParameters,
    ...roomParameters(backwardRoom),
    ...withScratch,
  }

  return module.function('attentionBackward', parameters, (f, p) => {
    const { T, S, H, KV, D, causal, width, scoreStep, scale, from, to } = p
    const room = roomIn(f, p, backwardRoom)
    const { queries, dy, scores, gradients, mixed, delta, edge } = room
    const local = () => f.local('i32')
    const rowBytes = f.local('i32', i32.mul(D, elementBytes))
    const queryStep = f.local('i32', i32.mul(rowBytes, H))
    const keyStep = f.local('i32', i32.mul(rowBytes, KV))
    const scalarStep = f.local('i32', i32.mul(H, elementBytes))
    const group = f.local('i32', i32.div_u(H, KV))
    const blocks = f.local('i32', queryBlocks(T))
    const item = f.local('i32', from)
    const [keyHead, chunk, firstKey, keys, keyAt] = [local(), local(), local(), local(), local()]
    const [batchHead, heads, block, accumulate] = [local(), local(), local(), local()]
    const [first, rows, visible, seen, row] = [local(), local(), local(), local(), local()]

    // The products read whole rows of these.
    for (const rows of [queries, dy]) {
      eachOf(f, i32.mul(i32.shr_u(width, 4), rowBlock), [rows], (at) => f.store(at, f32x4.splat(0)))
    }

    const packKeys = () => {
      const lines = { depth: D, lanes: keys, laneStep: keyStep, depthStep: elementBytes }
      f.call(products.pack, { ...lines, source: i32.add(p.k, keyAt), target: room.keys })
      f.call(products.pack, { ...lines, source: i32.add(p.v, keyAt), target: room.values })
      const columns = { depth: keys, lanes: D, laneStep: elementBytes, depthStep: keyStep }
      f.call(products.pack, { ...columns, source: i32.add(p.k, keyAt), target: room.keyRows })
    }

    const addBlock = () => {
      f.set(first, i32.mul(block, rowBlock))
      f.set(rows, least(i32.sub(T, first), i32.const(rowBlock)))
      f.set(visible, select(causal, i32.sub(i32.add(i32.add(first, 1), i32.sub(S, T)), firstKey), keys))
      f.set(seen, select(causal, i32.add(visible, i32.sub(rows, 1)), keys))
      f.set(seen, orZero(least(seen, keys)))
      f.set(row, queryRow(p, batchHead, first))
      const at = f.local('i32', i32.mul(row, rowBytes))
      const scalarAt = f.local('i32', i32.mul(row, elementBytes))
      const gateAt = gating?.headwise ? scalarAt : at
      const gateStep = gating?.headwise ? scalarStep : queryStep

      f.call(products.scaleRows, {
        ...{ rows, columns: D, source: i32.add(p.q, at), sourceStep: queryStep },
        ...{ target: queries, targetStep: width, factor: scale },
      })
      f.call(enter, {
        ...{ rows, columns: D, rowStep: queryStep, dy, width, delta },
        ...{ dout: i32.add(p.dout, at), y: i32.add(p.out, at), gate: i32.add(p.gate, gateAt), gateStep },
        // One chunk writes the gate's gradient; the others leave it where it is written over.
        dgate: select(chunk, mixed, i32.add(p.dgate, gateAt)),
        dgateStep: select(chunk, width, gateStep),
      })
      const scored = { rows, keys: seen, D, width, scoreStep, edge }
      f.call(products.score, { ...scored, queries, packed: room.keys, scores })
      f.call(products.score, { ...scored, queries: dy, packed: room.values, scores: gradients })
      f.call(weights, {
        ...{ rows, keys: seen, seen: visible, grows: causal, scores, gradients, scoreStep, delta },
        ...{ logSum: i32.add(p.logSum, scalarAt), logSumStep: scalarStep },
      })
      const weighed = { rows, keys: seen, scoreStep, width, edge }
      f.call(products.weigh, { ...weighed, length: keys, weights: gradients, packed: room.keyRows, out: mixed })
      f.call(products.scaleRows, {
        ...{ rows, columns: D, source: mixed, sourceStep: width, factor: scale },
        ...{ target: i32.add(i32.add(p.dq, i32.mul(chunk, p.chunkStep)), at), targetStep: queryStep },
      })
      f.call(products.weighTransposed, { ...weighed, accumulate, weights: gradients, x: queries, sums: room.keySums })
      f.call(products.weighTransposed, { ...weighed, accumulate, weights: scores, x: dy, sums: room.valueSums })
      f.set(accumulate, i32.const(1))
    }

    f.while(i32.lt_u(item, to), () => {
      f.set(keyHead, i32.div_u(item, p.chunks))
      f.set(chunk, pairedBlock(f, i32.rem_u(item, p.chunks), p.chunks))
      f.set(firstKey, i32.mul(chunk, p.chunkKeys))
      f.set(keys, least(i32.sub(S, firstKey), p.chunkKeys))
      f.set(keyAt, keyHeadStart(p, keyHead, firstKey))
      packKeys()

      f.set(accumulate, i32.const(0))
      f.set(batchHead, i32.mul(keyHead, group))
      f.set(heads, group)
      f.while(heads, () => {
        // The last block sees all keys: what it writes, others add to.
        f.set(block, blocks)
        f.while(block, () => {
          f.advance(block, -1)
          addBlock()
        })
        f.advance(batchHead, 1)
        f.advance(heads, -1)
      })

      const written = { rows: keys, columns: D, sourceStep: width, targetStep: keyStep, factor: f32.const(1) }
      f.call(products.scaleRows, { ...written, source: room.keySums, target: i32.add(p.dk, keyAt) })
      f.call(products.scaleRows, { ...written, source: room.valueSums, target: i32.add(p.dv, keyAt) })
      f.advance(item, 1)
    })
  })
}

/** dq as the sum of what `chunks` chunks of keys give, `chunkStep` bytes apart. */
export function defineSumChunks(features: Features) {
  const module = new WasmModule({ ...features, wide: false })
  const parameters = { ...integers('parts', 'chunks', 'chunkStep', 'out'), ...withRange }
  return module.function('sumChunks', parameters, (f, { parts, chunks, chunkStep, out, from, to }) => {
    const sum = f.local('v128')
    const part = f.local('i32')
    eachVector(f, from, to, [parts, out], () => {
      f.set(sum, v128.load(parts))
      f.set(part, parts)
      f.times(i32.sub(chunks, 1), () => {
        f.advance(part, chunkStep)
        f.set(sum, f32x4.add(sum, v128.load(part)))
      })
      f.store(out, sum)
    })
  })
}

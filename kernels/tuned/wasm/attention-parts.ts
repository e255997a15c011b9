/**
 * What attention's forward and backward kernels share.
 *
 * Both go over blocks of queries of one head, against keys and values that are packed once for all queries of their
 * head. A block's queries are copied, scaled, to rows of `width` bytes; its scores lie in rows of `scoreStep` bytes. So the
 * matrix product (product.ts) reads operands that lie side by side in the first two levels of cache, whatever the strides
 * of the buffers are. Nothing of size T x S is held: the scores of a block at most.
 */
import type { FunctionBuilder, WasmModule } from './assembler.ts'
import { integers } from './assembler.ts'
import { f32, f32x4, i32, i32x4, type Local, type Operand, select, type Value, v128 } from './instructions.ts'
import type { ProductFunctions } from './product.ts'

/** Queries that are worked on together: few enough to skip most keys that are hidden, and whole tiles of 4 or 6 rows. */
export const rowBlock = 24

/** Depth of a product at most: a panel of as many rows stays in the first-level cache. */
const depthBlock = 256

export const elementBytes = 4
export const vectorBytes = 16

export const roundUp = (size: number, multiple: number): number => Math.ceil(size / multiple) * multiple

/** Sizes as a kernel takes them, and the steps of rows in scratch memory, in bytes. */
export const sizeParameters = {
  ...integers('T', 'S', 'H', 'KV', 'D', 'causal', 'width', 'scoreStep'),
  scale: 'f32',
} as const

/** Rows of D elements, and rows of scores of so many keys, with whole tiles. */
export function rowSteps(tileColumns: number, D: number, keys: number): { width: number; scoreStep: number } {
  return {
    width: elementBytes * roundUp(D, tileColumns),
    // 16 elements more than the tiles take: rows a power of two apart would share a few sets of the cache.
    scoreStep: elementBytes * (roundUp(keys, tileColumns) + 16),
  }
}

type RoomName<N extends string> = `${N}At`

/** A kernel's parameters that say where its pieces of scratch memory begin. */
export function roomParameters<const N extends string>(names: readonly N[]): Readonly<Record<RoomName<N>, 'i32'>> {
  return integers(...names.map((name): RoomName<N> => `${name}At`))
}

/** The pieces as a kernel sees them. */
export function roomIn<N extends string>(
  f: FunctionBuilder,
  parameters: Readonly<Record<RoomName<N> | 'scratch', Local<'i32'>>>,
  names: readonly N[],
): Readonly<Record<N, Local<'i32'>>> {
  const scratch = parameters.scratch as Local<'i32'>
  const local = (name: N) => f.local('i32', i32.add(scratch, parameters[`${name}At`] as Local<'i32'>))
  return Object.fromEntries(names.map((name) => [name, local(name)])) as Record<N, Local<'i32'>>
}

/** Lays the pieces out: where each begins, and the bytes of all. */
export function layOut<N extends string>(
  bytes: Readonly<Record<N, number>>,
): { readonly places: Readonly<Record<RoomName<N>, number>>; readonly scratch: number } {
  let scratch = 0
  const places: Record<string, number> = {}
  for (const name in bytes) {
    places[`${name}At`] = scratch
    scratch += roundUp(bytes[name], 64)
  }
  return { places: places as Record<RoomName<N>, number>, scratch }
}

type Shaped = Readonly<Record<'T' | 'S' | 'H' | 'KV' | 'D', Local<'i32'>>>

/** How many blocks hold T queries. */
export const queryBlocks = (T: Value<'i32'>): Value<'i32'> => i32.div_u(i32.add(T, rowBlock - 1), rowBlock)

/**
 * The blocks from outside in: 0, last, 1, last but one, … Where attention is causal, a later block of queries sees more
 * keys; but two blocks that follow one another here are as much work as any other two, so that equal parts take equally long.
 */
export function pairedBlock(f: FunctionBuilder, position: Value<'i32'>, blocks: Value<'i32'>): Local<'i32'> {
  const at = f.local('i32', position)
  const half = i32.shr_u(at, 1)
  return f.local('i32', select(i32.and(at, 1), i32.sub(i32.sub(blocks, 1), half), half))
}

/** Row of q [B T H] of query `first` of entry `batchHead` of [B, H]. */
export function queryRow({ T, H }: Shaped, batchHead: Local<'i32'>, first: Value<'i32'>): Value<'i32'> {
  const query = i32.add(i32.mul(i32.div_u(batchHead, H), T), first)
  return i32.add(i32.mul(query, H), i32.rem_u(batchHead, H))
}

/** Byte offset in k of key `first` of entry `keyHead` of [B, KV]. */
export function keyHeadStart({ S, KV, D }: Shaped, keyHead: Local<'i32'>, first: Operand<'i32'>): Value<'i32'> {
  const key = i32.add(i32.mul(i32.div_u(keyHead, KV), S), first)
  return i32.mul(i32.add(i32.mul(key, KV), i32.rem_u(keyHead, KV)), i32.mul(D, elementBytes))
}

export const least = (a: Value<'i32'>, b: Value<'i32'>): Value<'i32'> => select(i32.lt_s(a, b), a, b)

/** x, or 0 where it is negative. */
export const orZero = (x: Value<'i32'>): Value<'i32'> => select(i32.gt_s(x, 0), x, i32.const(0))

/** Runs `body` for `count` vectors, with the pointers at them. */
export function eachOf(
  f: FunctionBuilder,
  count: Operand<'i32'>,
  starts: readonly Value<'i32'>[],
  body: (...at: Local<'i32'>[]) => void,
): void {
  const pointers = starts.map((start) => f.local('i32', start))
  f.times(count, () => {
    body(...pointers)
    for (const pointer of pointers) f.advance(pointer, vectorBytes)
  })
}

/** The sum of a vector's lanes, in all lanes. */
export function sumOfLanes(f: FunctionBuilder, vector: Value<'v128'>): Value<'v128'> {
  return acrossLanes(f, vector, f32x4.add)
}

/** The largest of a vector's lanes, in all lanes. */
export function largestLane(f: FunctionBuilder, vector: Value<'v128'>): Value<'v128'> {
  return acrossLanes(f, vector, f32x4.pmax)
}

function acrossLanes(f: FunctionBuilder, vector: Value<'v128'>, combine: typeof f32x4.add): Value<'v128'> {
  const x = f.local('v128', vector)
  f.set(x, combine(x, i32x4.shuffle(x, x, [2, 3, 0, 1])))
  return combine(x, i32x4.shuffle(x, x, [1, 0, 3, 2]))
}

/** 0, 1, 2, 3. */
export function laneNumbers(f: FunctionBuilder): Local<'v128'> {
  const pair = (low: number, high: number) => i32x4.shuffle(f32x4.splat(low), f32x4.splat(high), [0, 4, 0, 4])
  return f.local('v128', i32x4.shuffle(pair(0, 1), pair(2, 3), [0, 1, 4, 5]))
}

/** A row's scores from the `count`th on become -Infinity as far as they share a vector with those before. */
export function hideRest(f: FunctionBuilder, row: Value<'i32'>, count: Local<'i32'>, lanes: Local<'v128'>): void {
  const rest = i32.and(count, 3)
  f.if(rest, () => {
    const at = f.local('i32', i32.add(row, i32.mul(i32.shr_u(count, 2), vectorBytes)))
    const isSeen = f32x4.lt(lanes, f32x4.splat(f32.convert_i32_s(rest)))
    f.store(at, v128.bitselect(v128.load(at), f32x4.splat(f32.const(-Infinity)), isSeen))
  })
}

/** Writes zeros from the vector after `count` elements of a row up to the vector of the `end`th. */
export function zeroRest(f: FunctionBuilder, row: Value<'i32'>, count: Local<'i32'>, end: Value<'i32'>): void {
  const vectors = (elements: Value<'i32'>) => i32.shr_u(i32.add(elements, 3), 2)
  const from = f.local('i32', vectors(count))
  eachOf(f, i32.sub(vectors(end), from), [i32.add(row, i32.mul(from, vectorBytes))], (at) => {
    f.store(at, f32x4.splat(0))
  })
}

/** The products of attention, and what goes with them, as functions of the module. */
export function defineProducts(module: WasmModule, product: ProductFunctions) {
  const { tile } = product
  const pack = module.import(product.packColumns)
  const strided = module.import(product.strided)
  const adjacent = module.import(product.adjacent)
  const tileColumns = 4 * tile.vectors
  const panelRow = elementBytes * tileColumns

  /**
   * scores [rows, keys] = queries [rows, D] of `width` times the packed keys; whole tiles, so that up to a tile's columns
   * beyond the keys are written too.
   */
  const score = module.function(
    'score',
    integers('rows', 'keys', 'D', 'queries', 'width', 'packed', 'scores', 'scoreStep', 'edge'),
    (f, { rows, keys, D, queries, width, packed, scores, scoreStep, edge }) => {
      f.call(strided, {
        rows,
        columns: i32.and(i32.add(keys, tileColumns - 1), -tileColumns),
        depth: D,
        a: queries,
        aRowStep: width,
        aDepthStep: elementBytes,
        aTileStep: i32.mul(width, tile.rows),
        b: packed,
        bDepthStep: panelRow,
        bPanelStep: i32.mul(D, panelRow),
        c: scores,
        cRowStep: scoreStep,
        accumulate: 0,
        edge,
      })
    },
  )

  /** out [rows, width] = weights [rows, keys] times packed rows, of which there are `length`. */
  const weigh = module.function(
    'weigh',
    integers('rows', 'keys', 'length', 'weights', 'scoreStep', 'packed', 'out', 'width', 'edge'),
    (f, { rows, keys, length, weights, scoreStep, packed, out, width, edge }) => {
      const accumulate = f.local('i32', 0)
      const depth = f.local('i32')
      // Once even for no keys: it writes the zeros.
      f.loop(
        () => {
          f.set(depth, least(keys, i32.const(depthBlock)))
          f.call(strided, {
            ...{ rows, depth, accumulate, edge },
            columns: i32.shr_u(width, 2),
            a: weights,
            aRowStep: scoreStep,
            aDepthStep: elementBytes,
            aTileStep: i32.mul(scoreStep, tile.rows),
            b: packed,
            bDepthStep: panelRow,
            bPanelStep: i32.mul(length, panelRow),
            c: out,
            cRowStep: width,
          })
          f.set(accumulate, i32.const(1))
          f.advance(weights, depthBlock * elementBytes)
          f.advance(packed, depthBlock * panelRow)
          f.advance(keys, -depthBlock)
        },
        i32.gt_s(keys, 0),
      )
    },
  )

  /** sums [keys, width] (+)= weights^T [keys, rows] times x [rows, width]. */
  const weighTransposed = module.function(
    'weighTransposed',
    integers('keys', 'rows', 'weights', 'scoreStep', 'x', 'sums', 'width', 'accumulate', 'edge'),
    (f, { keys, rows, weights, scoreStep, x, sums, width, accumulate, edge }) => {
      f.call(adjacent, {
        rows: keys,
        columns: i32.shr_u(width, 2),
        depth: rows,
        a: weights,
        aRowStep: elementBytes,
        aDepthStep: scoreStep,
        aTileStep: elementBytes * tile.rows,
        b: x,
        bDepthStep: width,
        bPanelStep: panelRow,
        c: sums,
        cRowStep: width,
        ...{ accumulate, edge },
      })
    },
  )

  /** target [rows, columns] = factor source; columns are a multiple of 4. */
  const scaleRows = module.function(
    'scaleRows',
    { ...integers('rows', 'columns', 'source', 'sourceStep', 'target', 'targetStep'), factor: 'f32' },
    (f, { rows, columns, source, sourceStep, target, targetStep, factor }) => {
      const factors = f.local('v128', f32x4.splat(factor))
      f.times(rows, () => {
        eachOf(f, i32.shr_u(columns, 2), [source, target], (from, to) => {
          f.store(to, f32x4.mul(v128.load(from), factors))
        })
        f.advance(source, sourceStep)
        f.advance(target, targetStep)
      })
    },
  )
  return { pack, score, weigh, weighTransposed, scaleRows, tileColumns }
}

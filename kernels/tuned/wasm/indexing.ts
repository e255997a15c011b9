/**
 * Reading and adding through indices: kernels/indexing.ts.
 *
 * Operations check their indices, but a captured program's may change afterwards. An index that is out of range gives NaN
 * where something is read, and adds nothing.
 *
 * Sums are those of float32 in order of position: |error| <= (count - 1) u sum |terms|, u = 2^-24, `count` the terms of a cell.
 */

import { embedding, embeddingGradient, gather, oneHot, scatterAdd, topKIndex } from '../../indexing.ts'
import type { Kernel } from '../../kernel.ts'
import { type Callee, type Features, type FunctionBuilder, integers, WasmModule } from './assembler.ts'
import { readingFloats } from './from-integers.ts'
import { f32, f32x4, i32, type Local, select, type Value, v128 } from './instructions.ts'
import { copyRun, eachOfRun, fillRun } from './runs.ts'
import { type Launcher, lazily, type Place, task, withRange } from './task.ts'

/** Operations that moving one cell counts as. */
const cellCost = 4
/** Columns of an item of `scatterAdd`: a line of the cache. */
const scatterColumns = 16

const f32One = 0x3f800000

/** An item is a row of the result. */
const defineEmbedding = (features: Features) =>
  new WasmModule(features).function(
    'embedding',
    { ...integers('table', 'indices', 'out', 'V', 'C'), ...withRange },
    (f, { table, indices, out, V, C, from, to }) => {
      const bytes = f.local('i32', i32.shl(C, 2))
      const write = f.local('i32', i32.add(out, i32.mul(from, bytes)))
      f.advance(indices, i32.shl(from, 2))
      const nan = f.local('v128', f32x4.splat(Number.NaN))
      const [index, read] = [f.local('i32'), f.local('i32')]
      f.times(i32.sub(to, from), () => {
        f.set(index, i32.load(indices))
        f.if(
          i32.lt_u(index, V),
          () => {
            f.set(read, i32.add(table, i32.mul(index, bytes)))
            copyRun(f, write, read, C)
          },
          () => fillRun(f, write, C, nan, i32.reinterpret_f32(Number.NaN)),
        )
        f.advance(indices, 4)
      })
    },
  )

/**
 * Rows of dy [m, C] added to the rows of out [V, C] that the indices name. An item is four columns, of all rows: so no
 * two calls write the same cell, and every cell's sum is in order of position.
 */
const defineEmbeddingGradient = (features: Features) =>
  new WasmModule(features).function(
    'embeddingGradient',
    { ...integers('dy', 'indices', 'out', 'm', 'V', 'C'), ...withRange },
    (f, { dy, indices, out, m, V, C, from, to }) => {
      const bytes = f.local('i32', i32.shl(C, 2))
      // Of a call without items, both ends are past the last column.
      const columnOf = (item: Value<'i32'>) => {
        const column = f.local('i32', i32.shl(item, 2))
        return f.local('i32', select(i32.lt_u(column, C), column, C))
      }
      const first = columnOf(from)
      const width = f.local('i32', i32.sub(columnOf(to), first))
      for (const pointer of [dy, out]) f.advance(pointer, i32.shl(first, 2))
      const zeros = f.local('v128', f32x4.splat(0))
      const [row, read, write, index] = [f.local('i32', out), f.local('i32'), f.local('i32'), f.local('i32')]
      f.times(V, () => {
        f.set(write, row)
        fillRun(f, write, width, zeros, i32.const(0))
        f.advance(row, bytes)
      })
      f.times(m, () => {
        f.set(index, i32.load(indices))
        f.if(i32.lt_u(index, V), () => {
          f.set(read, dy)
          f.set(write, i32.add(out, i32.mul(index, bytes)))
          addRun(f, write, read, width)
        })
        f.advance(dy, bytes)
        f.advance(indices, 4)
      })
    },
  )

/** Adds a run to another. */
function addRun(f: FunctionBuilder, to: Local<'i32'>, from: Local<'i32'>, count: Value<'i32'>): void {
  eachOfRun(
    f,
    [to, from],
    count,
    (offset) => f.store(to, f32x4.add(v128.load(to, offset), v128.load(from, offset)), offset),
    () => f.store(to, f32.add(f32.load(to), f32.load(from))),
  )
}

/** out [Z, m, inner] from x [Z, n, inner]; an item is one of the Z m rows. */
const defineGather = (features: Features) =>
  new WasmModule(features).function(
    'gather',
    { ...integers('x', 'indices', 'out', 'n', 'm', 'inner'), ...withRange },
    (f, { x, indices, out, n, m, inner, from, to }) => {
      const bytes = f.local('i32', i32.shl(inner, 2))
      const slab = f.local('i32', i32.mul(n, bytes))
      for (const pointer of [indices, out]) f.advance(pointer, i32.mul(from, bytes))
      f.advance(x, i32.mul(i32.div_u(from, m), slab))
      const j = f.local('i32', i32.rem_u(from, m))
      const [column, index] = [f.local('i32'), f.local('i32')]
      f.times(i32.sub(to, from), () => {
        f.set(column, x)
        f.times(inner, () => {
          f.set(index, i32.load(indices))
          f.if(
            i32.lt_u(index, n),
            () => f.store(out, i32.load(i32.add(column, i32.mul(index, bytes)))),
            () => f.store(out, f32.const(Number.NaN)),
          )
          for (const pointer of [column, indices, out]) f.advance(pointer, 4)
        })
        f.advance(j, 1)
        f.if(i32.ge_u(j, m), () => {
          f.set(j, 0)
          f.advance(x, slab)
        })
      })
    },
  )

/** x, out [Z, n, inner] and indices, source [Z, m, inner]; an item is `scatterColumns` columns of one z. */
const defineScatterAdd = (features: Features) =>
  new WasmModule(features).function(
    'scatterAdd',
    { ...integers('x', 'indices', 'source', 'out', 'm', 'n', 'inner', 'blocks'), ...withRange },
    (f, p) => {
      const { m, n, inner, blocks, from, to } = p
      const bytes = f.local('i32', i32.shl(inner, 2))
      const item = f.local('i32', from)
      const [z, column, width] = [f.local('i32'), f.local('i32'), f.local('i32')]
      const [x, out, indices, source] = [0, 1, 2, 3].map(() => f.local('i32'))
      const [read, write, row, index] = [0, 1, 2, 3].map(() => f.local('i32'))
      f.times(i32.sub(to, from), () => {
        f.set(z, i32.div_u(item, blocks))
        f.set(column, i32.mul(i32.rem_u(item, blocks), scatterColumns))
        f.set(width, i32.sub(inner, column))
        f.set(width, select(i32.lt_u(width, scatterColumns), width, i32.const(scatterColumns)))
        const start = (pointer: Value<'i32'>, rows: Value<'i32'>) =>
          i32.add(pointer, i32.add(i32.mul(i32.mul(z, rows), bytes), i32.shl(column, 2)))
        f.set(x, start(p.x, n))
        f.set(out, start(p.out, n))
        f.set(row, out)
        f.times(n, () => {
          f.set(read, x)
          f.set(write, row)
          copyRun(f, write, read, width)
          f.advance(x, bytes)
          f.advance(row, bytes)
        })
        f.set(indices, start(p.indices, m))
        f.set(source, start(p.source, m))
        f.times(m, () => {
          f.set(row, out)
          f.set(read, indices)
          f.set(write, source)
          f.times(width, () => {
            f.set(index, i32.load(read))
            f.if(i32.lt_u(index, n), () => {
              f.set(index, i32.add(row, i32.mul(index, bytes)))
              f.store(index, f32.add(f32.load(index), f32.load(write)))
            })
            for (const pointer of [row, read, write]) f.advance(pointer, 4)
          })
          f.advance(indices, bytes)
          f.advance(source, bytes)
        })
        f.advance(item, 1)
      })
    },
  )

/** An item is a row of the result. */
const defineOneHot = (features: Features) =>
  new WasmModule(features).function(
    'oneHot',
    { ...integers('indices', 'out', 'n'), ...withRange },
    (f, { indices, out, n, from, to }) => {
      f.advance(indices, i32.shl(from, 2))
      f.advance(out, i32.shl(i32.mul(from, n), 2))
      const zeros = f.local('v128', f32x4.splat(0))
      const [row, index] = [f.local('i32'), f.local('i32')]
      f.times(i32.sub(to, from), () => {
        f.set(row, out)
        fillRun(f, out, n, zeros, i32.const(0))
        f.set(index, i32.load(indices))
        f.if(i32.lt_u(index, n), () => f.store(i32.add(row, i32.shl(index, 2)), i32.const(f32One)))
        f.advance(indices, 4)
      })
    },
  )

/**
 * The k largest of each column of x [Z, n, inner]; an item is a column. The best so far are kept in order, as indices in the
 * result; most elements are no larger than the last of them and take one comparison.
 */
const defineTopK = (features: Features) =>
  new WasmModule(features).function(
    'topKIndex',
    { ...integers('x', 'out', 'n', 'k', 'inner'), ...withRange },
    (f, p) => {
      const bytes = f.local('i32', i32.shl(p.inner, 2))
      const item = f.local('i32', p.from)
      const [x, first, end, place, i, key, worst, found] = Array.from({ length: 8 }, () => f.local('i32'))
      /** As an unsigned integer: grows with the float, the two zeros alike, NaN above all. */
      const bits = f.local('i32')
      const keyOf = (key: Local<'i32'>, at: Value<'i32'>) => {
        f.set(bits, i32.load(at))
        const magnitude = i32.and(bits, 0x7fffffff)
        f.set(key, select(i32.lt_s(bits, 0), i32.xor(bits, -1), i32.or(bits, 0x80000000 | 0)))
        f.set(key, select(i32.eqz(magnitude), i32.const(0x80000000 | 0), key))
        f.set(key, select(i32.gt_u(magnitude, 0x7f800000), i32.const(-1), key))
      }
      const keyAt = (place: Value<'i32'>, offset: Value<'i32'>) =>
        keyOf(worst, i32.add(x, i32.mul(i32.load(i32.sub(place, offset)), bytes)))
      f.times(i32.sub(p.to, p.from), () => {
        const column = f.local('i32', i32.shl(i32.rem_u(item, p.inner), 2))
        const z = f.local('i32', i32.div_u(item, p.inner))
        f.set(x, i32.add(p.x, i32.add(column, i32.mul(i32.mul(z, p.n), bytes))))
        f.set(first, i32.add(p.out, i32.add(column, i32.mul(i32.mul(z, p.k), bytes))))
        f.set(end, first)
        f.set(found, 0)
        f.set(i, 0)
        const read = f.local('i32', x)
        f.times(p.n, () => {
          keyOf(key, read)
          f.if(
            i32.lt_u(found, p.k),
            () => {
              f.advance(found, 1)
              f.advance(end, bytes)
              // A place that was not taken yet, less than every key.
              f.set(worst, 0)
            },
            () => keyAt(end, bytes),
          )
          f.if(i32.gt_u(key, worst), () => {
            // From the last place up, past all that are smaller.
            f.set(place, i32.sub(end, bytes))
            const isPassed = f.local('i32')
            const compare = () => {
              f.set(isPassed, 0)
              f.if(i32.gt_u(place, first), () => {
                keyAt(place, bytes)
                f.set(isPassed, i32.gt_u(key, worst))
              })
            }
            compare()
            f.while(isPassed, () => {
              f.store(place, i32.load(i32.sub(place, bytes)))
              f.set(place, i32.sub(place, bytes))
              compare()
            })
            f.store(place, i)
          })
          f.advance(i, 1)
          f.advance(read, bytes)
        })
        f.advance(item, 1)
      })
    },
  )

export function indexingKernels(features: Features): [Kernel, Launcher][] {
  const make = <C extends Callee>(define: (features: Features) => C) => lazily(() => define(features))
  const embed = make(defineEmbedding)
  const addRows = make(defineEmbeddingGradient)
  const read = make(defineGather)
  const scatter = make(defineScatterAdd)
  const mark = make(defineOneHot)
  const largest = make(defineTopK)

  const launchEmbedding: Launcher = ([out], [C, m], parameters) => {
    const [table, indices] = parameters as [Place, Place]
    const given = { table: table.offset, indices: indices.offset, out: out.offset, V: table.length / C, C }
    return [task(embed(), given, { items: m, cost: cellCost * m * C })]
  }
  const launchEmbeddingGradient: Launcher = ([out], [C, V], parameters) => {
    const [dy, indices, m] = parameters as [Place, Place, number]
    const given = { dy: dy.offset, indices: indices.offset, out: out.offset, m, V, C }
    return [task(addRows(), given, { items: Math.ceil(C / 4), cost: cellCost * (m + V) * C })]
  }
  const launchGather: Launcher = ([out], [inner, m, Z], parameters) => {
    const [x, indices, n] = parameters as [Place, Place, number]
    const given = { x: x.offset, indices: indices.offset, out: out.offset, n, m, inner }
    return [task(read(), given, { items: Z * m, cost: cellCost * Z * m * inner })]
  }
  const launchScatterAdd: Launcher = ([out], [inner, n, Z], parameters) => {
    const [x, indices, source, m] = parameters as [Place, Place, Place, number]
    const blocks = Math.ceil(inner / scatterColumns)
    const places = { x: x.offset, indices: indices.offset, source: source.offset, out: out.offset }
    const cost = cellCost * Z * (m + n) * inner
    return [task(scatter(), { ...places, m, n, inner, blocks }, { items: Z * blocks, cost })]
  }
  const launchOneHot: Launcher = ([out], [n, m], parameters) => {
    const [indices] = parameters as [Place]
    return [task(mark(), { indices: indices.offset, out: out.offset, n }, { items: m, cost: cellCost * m * n })]
  }
  const launchTopK: Launcher = ([out], [inner, k, Z], parameters) => {
    const [x, n] = parameters as [Place, number]
    const given = { x: x.offset, out: out.offset, n, k, inner }
    return [task(largest(), given, { items: Z * inner, cost: cellCost * Z * inner * n })]
  }
  return [
    [gather, launchGather],
    [oneHot, launchOneHot],
    ...readingFloats(
      features,
      [
        [embedding, launchEmbedding],
        [embeddingGradient, launchEmbeddingGradient],
        [scatterAdd, launchScatterAdd],
        [topKIndex, launchTopK],
      ],
      ['indices'],
    ),
  ]
}

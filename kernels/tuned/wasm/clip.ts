/**
 * Clipping by the norm of all gradients: kernels/fused-optimizer.ts.
 *
 * Numbers of one sign are added in float32: in sixteen lanes, which every 4096 elements are emptied into sixteen others. So a
 * sum of n terms is off by a factor of at most 1 + (256 + ceil(n / 4096) + 8) u to first order, u = 2^-24, and squares by
 * one u more. `sumsOfSquares` has at least 4096 elements and at most 1024 blocks a tensor: below 10^9 elements in all, a
 * norm, half of both sums' errors and three roundings, is right to (256 + 239 + 256 + 64) / 2 u < 3e-5.
 */
import { clipFactor, scaleInPlace, squareBlocks, sumsOfSquares } from '../../fused-optimizer.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, type FunctionBuilder, floats, integers, WasmModule } from './assembler.ts'
import { f32, f32x4, i32, type Local, select, type Value, v128 } from './instructions.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withRange } from './task.ts'
import { eachVector, vectorBytes, vectorsIn } from './vectors.ts'

/** Vectors of sums that are kept at a time: enough to hide that an addition takes a few cycles. */
const SUMS = 4
/** Vectors that are added up before their sums move on. */
const CHUNK = 1024

/** What is added to a sum: x, or its square. */
interface Term {
  vector(f: FunctionBuilder, x: Local<'v128'>, sum: Local<'v128'>): Value<'v128'>
  float(x: Local<'f32'>, sum: Local<'f32'>): Value<'f32'>
}

const itself: Term = {
  vector: (_f, x, sum) => f32x4.add(x, sum),
  float: (x, sum) => f32.add(x, sum),
}

const square: Term = {
  vector: (f, x, sum) => f.madd(x, x, sum),
  float: (x, sum) => f32.add(f32.mul(x, x), sum),
}

/** The sum of the terms of `count` floats from `pointer` on. */
function sumTerms(f: FunctionBuilder, term: Term, pointer: Local<'i32'>, count: Local<'i32'>): Local<'f32'> {
  const vectors = () => Array.from({ length: SUMS }, () => f.local('v128'))
  const [totals, sums] = [vectors(), vectors()]
  const zeros = f.local('v128', f32x4.splat(0))
  const x = f.local('v128')
  const add = (sum: Local<'v128'>, offset: number) => {
    f.set(x, v128.load(pointer, offset))
    f.set(sum, term.vector(f, x, sum))
  }
  for (const total of totals) f.set(total, zeros)
  const left = f.local('i32', i32.shr_u(count, 2))
  const chunk = f.local('i32')
  f.while(left, () => {
    f.set(chunk, select(i32.lt_u(left, CHUNK), left, i32.const(CHUNK)))
    f.set(left, i32.sub(left, chunk))
    for (const sum of sums) f.set(sum, zeros)
    f.while(i32.ge_u(chunk, SUMS), () => {
      for (const [i, sum] of sums.entries()) add(sum, i * vectorBytes)
      f.advance(pointer, SUMS * vectorBytes)
      f.advance(chunk, -SUMS)
    })
    f.times(chunk, () => {
      add(sums[0], 0)
      f.advance(pointer, vectorBytes)
    })
    for (const [i, total] of totals.entries()) f.set(total, f32x4.add(total, sums[i]))
  })
  const [a, b, c, d] = totals
  const all = f.local('v128', f32x4.add(f32x4.add(a, b), f32x4.add(c, d)))
  const lane = (i: number) => f32x4.extract_lane(all, i)
  const result = f.local('f32', f32.add(f32.add(lane(0), lane(1)), f32.add(lane(2), lane(3))))
  const single = f.local('f32')
  f.times(i32.and(count, 3), () => {
    f.set(single, f32.load(pointer))
    f.set(result, term.float(single, result))
    f.advance(pointer, 4)
  })
  return result
}

function defineClip(features: Features) {
  const module = new WasmModule(features)
  /** An item is a block of x: `block` floats, or what there is of them; no block is empty. */
  const squares = module.function(
    'sumsOfSquares',
    { ...integers('x', 'sums', 'size', 'block'), ...withRange },
    (f, { x, sums, size, block, from, to }) => {
      const first = f.local('i32', i32.mul(from, block))
      f.advance(sums, i32.shl(from, 2))
      const [pointer, count] = [f.local('i32'), f.local('i32')]
      const least = (a: Value<'i32'>, b: Value<'i32'>) => select(i32.lt_u(a, b), a, b)
      f.times(i32.sub(to, from), () => {
        f.set(count, least(i32.sub(size, first), block))
        f.set(pointer, i32.add(x, i32.shl(first, 2)))
        f.store(sums, sumTerms(f, square, pointer, count))
        f.advance(first, block)
        f.advance(sums, 4)
      })
    },
  )
  const factor = module.function(
    'clipFactor',
    { ...integers('sums', 'count', 'norm', 'factor'), ...floats('maxNorm') },
    (f, { sums, count, norm, factor, maxNorm }) => {
      const size = f.local('f32', f32.sqrt(sumTerms(f, itself, sums, count)))
      f.store(norm, size)
      f.store(factor, f32.min(f32.div(maxNorm, f32.add(size, 1e-6)), 1))
    },
  )
  const scale = module.function('scale', { ...integers('factor', 'x'), ...withRange }, (f, { factor, x, from, to }) => {
    // Most steps clip nothing, and a factor of 1 changes nothing.
    f.if(f32.ne(f32.load(factor), 1), () => {
      const factors = f.local('v128', v128.load32_splat(factor))
      eachVector(f, from, to, [x], () => f.store(x, f32x4.mul(v128.load(x), factors)))
    })
  })
  return { squares, factor, scale }
}

export function clipKernels(features: Features): [FusedKernel, Launcher][] {
  const kernels = lazily(() => defineClip(features))

  const launchSquares: Launcher = ([sums], _grid, parameters) => {
    const [offset, ...each] = parameters as [number, ...(Place | number)[]]
    let at = sums.offset + 4 * offset
    return Array.from({ length: each.length / 2 }, (_, i) => {
      const [x, size] = each.slice(2 * i) as [Place, number]
      const blocks = squareBlocks(size)
      const block = 4 * Math.ceil(vectorsIn(size) / blocks)
      const given = { x: x.offset, sums: at, size, block }
      at += 4 * blocks
      return task(kernels().squares, given, { items: blocks, cost: 2 * size })
    })
  }

  const launchFactor: Launcher = ([norm, factor], _grid, parameters) => {
    const [sums, count, maxNorm] = parameters as [Place, number, TaskArgument]
    const given = { sums: sums.offset, count, norm: norm.offset, factor: factor.offset, maxNorm }
    return [task(kernels().factor, given, { cost: count })]
  }

  const launchScale: Launcher = (outputs, _grid, [factor, ...sizes]) =>
    outputs.map((x, i) => {
      const size = sizes[i] as number
      const given = { factor: (factor as Place).offset, x: x.offset }
      return task(kernels().scale, given, { items: vectorsIn(size), cost: 4 * size })
    })

  return [
    ...[...sumsOfSquares.first, ...sumsOfSquares.further].map((fused): [FusedKernel, Launcher] => [
      fused,
      launchSquares,
    ]),
    [clipFactor, launchFactor],
    ...scaleInPlace.map((fused): [FusedKernel, Launcher] => [fused, launchScale]),
  ]
}

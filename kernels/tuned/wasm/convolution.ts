/**
 * The causal convolution on the cpu: kernels/fused-convolution.ts. With taps w < W and rows of C channels,
 *
 *   out[t] = bias + sum_w weight[w] x[t - W + 1 + w]
 *   dx[p] = sum_w weight[W - 1 - w] dout[p + w],   dstate the same for p < 0
 *   dweight[w] = sum_t dout[t] x[t - W + 1 + w],   dbias = sum_t dout[t]
 *
 * so that all but the sums over time are one kernel. It takes four rows of the output at a time along the channels: each
 * vector of a row of x is then read once for the up to four sums it belongs to. Rows before the first are the state's, or
 * zeros, as are rows after the last. Kernels are written for their W.
 *
 * A sum over time is made block by block of steps, and the blocks' sums are added in order.
 */
import { causalConvolutionBackward, causalConvolutionForward } from '../../fused-convolution.ts'
import type { FusedKernel } from '../../kernel.ts'
import { type Features, type FunctionBuilder, integers, WasmModule } from './assembler.ts'
import { f32, f32x4, i32, type Local, type Operand, select, type Value } from './instructions.ts'
import { Row, type RowVector } from './rows.ts'
import { type Launcher, type Place, task, type Workspace, withRange } from './task.ts'
import { vectorBytes, vectorsIn } from './vectors.ts'

/** Rows of the output that are made at once. */
const TOGETHER = 4
/** Steps of an item: of rows that are made, and of sums, which want few partial results. */
const STEPS = 32
const SUM_STEPS = 64

type Pointer = Local<'i32'>

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const bytes = (count: Operand<'i32'>) => i32.shl(count, 2)

/**
 * Rows of channels that a convolution reads: T rows a sequence at `x`; those before the first from `before` on, `beforeStep`
 * bytes apart and `beforeSequence` from sequence to sequence; `zeros` for those after the last.
 */
const inputParameters = integers('x', 'before', 'beforeStep', 'beforeSequence', 'zeros', 'T', 'C')

type Input = Readonly<Record<keyof typeof inputParameters, Pointer>>

class InputRows {
  readonly #f: FunctionBuilder
  readonly #input: Input
  readonly #W: number
  readonly #x: Pointer
  readonly #before: Pointer
  readonly pointers: Pointer[]

  constructor(f: FunctionBuilder, input: Input, W: number) {
    this.#f = f
    this.#input = input
    this.#W = W
    this.#x = f.local('i32')
    this.#before = f.local('i32')
    this.pointers = range(TOGETHER + W - 1).map(() => f.local('i32'))
  }

  /** From here on, rows are those of this sequence. */
  start(sequence: Operand<'i32'>): void {
    const { x, before, beforeSequence, T, C } = this.#input
    this.#f.set(this.#x, i32.add(x, bytes(i32.mul(i32.mul(sequence, T), C))))
    this.#f.set(this.#before, i32.add(before, i32.mul(sequence, beforeSequence)))
  }

  /** Points to `count` rows from row `first` on, which is -(W - 1) at least. */
  point(first: Operand<'i32'>, count: number): Pointer[] {
    const { beforeStep, zeros, T, C } = this.#input
    const chosen = this.pointers.slice(0, count)
    chosen.forEach((pointer, i) => {
      const row = this.#f.local('i32', i32.add(first, i))
      const inside = i32.add(this.#x, bytes(i32.mul(row, C)))
      const before = i32.add(this.#before, i32.mul(i32.add(row, this.#W - 1), beforeStep))
      const notBefore = select(i32.lt_s(row, T), inside, i32.add(zeros, 0))
      this.#f.set(pointer, select(i32.lt_s(row, 0), before, notBefore))
    })
    return chosen
  }
}

/** Does `body` for a number of rows, four at a time and then one at a time; it is told the first and how many they are. */
function eachRows(f: FunctionBuilder, rows: Pointer, body: (row: Pointer, together: number) => void): void {
  const row = f.local('i32', 0)
  const end = i32.sub(rows, TOGETHER - 1)
  f.while(i32.lt_s(row, end), () => {
    body(row, TOGETHER)
    f.advance(row, TOGETHER)
  })
  f.while(i32.lt_s(row, rows), () => {
    body(row, 1)
    f.advance(row, 1)
  })
}

/** Item by item: a block of at most `size` of the `rows` of a sequence; `count` is how many rows it has. */
function eachBlock(
  f: FunctionBuilder,
  { from, to, rows }: Readonly<Record<'from' | 'to' | 'rows', Pointer>>,
  size: number,
  body: (sequence: Pointer, first: Pointer, count: Pointer, item: Pointer) => void,
): void {
  const blocks = f.local('i32', i32.div_u(i32.add(rows, size - 1), size))
  const item = f.local('i32', from)
  f.times(i32.sub(to, from), () => {
    const sequence = f.local('i32', i32.div_u(item, blocks))
    const first = f.local('i32', i32.mul(i32.rem_u(item, blocks), size))
    const count = f.local('i32', i32.sub(rows, first))
    f.set(count, select(i32.lt_u(count, size), count, i32.const(size)))
    body(sequence, first, count, item)
    f.advance(item, 1)
  })
}

/**
 * Row r of the `rows` a sequence: table[W] + sum_w table[w] input[r + shift + w], the table [W + 1, C] in whole vectors.
 * Items: blocks of rows.
 */
function defineConvolve(module: WasmModule, W: number) {
  const parameters = {
    ...inputParameters,
    ...integers('table', 'tableStep', 'out', 'rows', 'shift'),
    ...withRange,
  } as const
  return module.function('convolve', parameters, (f, p) => {
    const rowBytes = f.local('i32', bytes(p.C))
    const input = new InputRows(f, p, W)
    const channels = new Row(f)
    channels.resize(p.C)
    const tapAt = range(W + 1).map((w) => f.local('i32', i32.mul(p.tableStep, w)))
    const rowAt = range(TOGETHER).map((i) => f.local('i32', i32.mul(rowBytes, i)))
    eachBlock(f, p, STEPS, (sequence, first, count) => {
      input.start(sequence)
      eachRows(f, count, (row, together) => {
        const index = f.local('i32', i32.add(first, row))
        const rows = input.point(i32.add(index, p.shift), together + W - 1)
        const target = i32.add(i32.mul(sequence, p.rows), index)
        const out = f.local('i32', i32.add(p.out, i32.mul(target, rowBytes)))
        channels.walk(1, [...rows, p.table, out], ([vector]) => {
          const taps = range(W).map((w) => f.local('v128', vector.load(p.table, tapAt[w])))
          const bias = f.local('v128', vector.load(p.table, tapAt[W]))
          const sums = range(together).map(() => f.local('v128', bias))
          rows.forEach((pointer, i) => {
            const x = f.local('v128', vector.load(pointer))
            // Row i of the input is tap w of output i - w.
            sums.forEach((sum, r) => {
              if (taps[i - r]) f.set(sum, f.madd(x, taps[i - r], sum))
            })
          })
          sums.forEach((sum, r) => {
            vector.store(out, sum, rowAt[r])
          })
        })
      })
    })
  })
}

/** A block's sums over its steps, [W + 1, C] in whole vectors: dweight's, and dbias's last. Items: blocks of steps. */
function defineSums(module: WasmModule, W: number) {
  const parameters = { ...inputParameters, ...integers('dout', 'sums', 'sumStep', 'rows'), ...withRange } as const
  return module.function('sumTaps', parameters, (f, p) => {
    const rowBytes = f.local('i32', bytes(p.C))
    const input = new InputRows(f, p, W)
    const channels = new Row(f)
    channels.resize(p.C)
    const sumAt = range(W + 1).map((w) => f.local('i32', i32.mul(p.sumStep, w)))
    const rowAt = range(TOGETHER).map((i) => f.local('i32', i32.mul(rowBytes, i)))
    eachBlock(f, p, SUM_STEPS, (sequence, first, count, item) => {
      input.start(sequence)
      const at = f.local('i32', i32.add(p.sums, i32.mul(i32.mul(item, W + 1), p.sumStep)))
      const cell = f.local('i32', at)
      f.times(i32.shr_u(i32.mul(p.sumStep, W + 1), 4), () => {
        f.store(cell, f32x4.splat(0))
        f.advance(cell, vectorBytes)
      })
      eachRows(f, count, (row, together) => {
        const index = f.local('i32', i32.add(first, row))
        const rows = input.point(i32.sub(index, W - 1), together + W - 1)
        const place = i32.add(i32.mul(sequence, p.rows), index)
        const dout = f.local('i32', i32.add(p.dout, i32.mul(place, rowBytes)))
        channels.walk(1, [...rows, dout, at], ([vector]) => {
          const slopes = range(together).map((r) => f.local('v128', vector.load(dout, rowAt[r])))
          const add = (w: number, value: (sum: Value<'v128'>) => Value<'v128'>) => addTo(f, vector, at, sumAt[w], value)
          const inputs = rows.map((pointer) => f.local('v128', vector.load(pointer)))
          for (const w of range(W)) {
            add(w, (sum) => slopes.reduce((total, slope, r) => f.madd(slope, inputs[r + w], total), sum))
          }
          add(W, (sum) => slopes.reduce<Value<'v128'>>((total, slope) => f32x4.add(total, slope), sum))
        })
      })
    })
  })
}

function addTo(
  f: FunctionBuilder,
  vector: RowVector,
  at: Pointer,
  further: Pointer,
  value: (sum: Value<'v128'>) => Value<'v128'>,
): void {
  const sum = f.local('v128', value(vector.load(at, further)))
  vector.store(at, sum, further)
}

/**
 * The table of a convolution, [W + 2, C] in whole vectors, from weight [C, W]: the taps, in order or backward; the bias, or
 * zeros if `bias` is 0; zeros. Items: the table's rows.
 */
function defineTable(module: WasmModule, W: number) {
  const parameters = { ...integers('weight', 'bias', 'table', 'tableStep', 'C', 'isBackward'), ...withRange } as const
  return module.function('tapTable', parameters, (f, p) => {
    const tap = f.local('i32', p.from)
    f.times(i32.sub(p.to, p.from), () => {
      const cell = f.local('i32', i32.add(p.table, i32.mul(tap, p.tableStep)))
      const fill = (value: () => Value<'f32'>, after: () => void) => {
        f.times(p.C, () => {
          f.store(cell, value())
          f.advance(cell, 4)
          after()
        })
      }
      f.if(
        i32.lt_u(tap, W),
        () => {
          const turned = select(p.isBackward, i32.sub(W - 1, tap), i32.add(tap, 0))
          const weight = f.local('i32', i32.add(p.weight, bytes(turned)))
          fill(
            () => f32.load(weight),
            () => f.advance(weight, 4 * W),
          )
        },
        () => {
          const bias = f.local('i32', p.bias)
          f.if(
            i32.and(i32.eq(tap, W), i32.ne(bias, 0)),
            () =>
              fill(
                () => f32.load(bias),
                () => f.advance(bias, 4),
              ),
            () =>
              fill(
                () => f32.const(0),
                () => {},
              ),
          )
        },
      )
      f.advance(tap, 1)
    })
  })
}

/** dweight [C, W] and dbias [C] from the sums of all blocks, added in order. Items: channels. */
function defineFinish(module: WasmModule, W: number) {
  const parameters = { ...integers('sums', 'sumStep', 'blocks', 'dweight', 'dbias'), ...withRange } as const
  return module.function('finishTaps', parameters, (f, p) => {
    const step = f.local('i32', i32.mul(p.sumStep, W + 1))
    const channel = f.local('i32', p.from)
    f.times(i32.sub(p.to, p.from), () => {
      for (const w of range(W + 1)) {
        const part = f.local('i32', i32.add(i32.add(p.sums, i32.mul(p.sumStep, w)), bytes(channel)))
        const sum = f.local('f32', 0)
        f.times(p.blocks, () => {
          f.set(sum, f32.add(sum, f32.load(part)))
          f.advance(part, step)
        })
        const place = w === W ? i32.add(p.dbias, bytes(channel)) : i32.add(p.dweight, bytes(i32.mul(channel, W)))
        f.store(place, sum, w === W ? 0 : 4 * w)
      }
      f.advance(channel, 1)
    })
  })
}

function define(features: Features, W: number) {
  const module = new WasmModule({ ...features, wide: false })
  return {
    table: defineTable(module, W),
    convolve: defineConvolve(module, W),
    sums: defineSums(module, W),
    finish: defineFinish(module, W),
  }
}

type Kernels = ReturnType<typeof define>
type Sizes = readonly [B: number, T: number, C: number, W: number]

/** The task that makes a table of taps, and where it and its row of zeros lie. */
function tapTable(kernels: Kernels, [, , C, W]: Sizes, weight: Place, bias: Place | undefined, workspace: Workspace) {
  const tableStep = 16 * vectorsIn(C)
  const table = workspace.floats((W + 2) * (tableStep / 4))
  const make = (isBackward: number) =>
    task(
      kernels.table,
      { weight: weight.offset, bias: bias?.offset ?? 0, table, tableStep, C, isBackward },
      { items: W + 2, cost: 2 * (W + 2) * C },
    )
  return { table, tableStep, zeros: table + (W + 1) * tableStep, make }
}

/** Where rows before the first lie. */
function beforeOf([, , C, W]: Sizes, state: Place | undefined, zeros: number) {
  if (!state) return { before: zeros, beforeStep: 0, beforeSequence: 0 }
  return { before: state.offset, beforeStep: 4 * C, beforeSequence: 4 * C * (W - 1) }
}

function launchForward(kernelsFor: (W: number) => Kernels): Launcher {
  return ([out], _grid, parameters, workspace) => {
    const [x, weight, bias, state] = parameters as Place[]
    const [B, T, C, W, hasBias, hasState] = parameters.slice(4) as number[]
    const sizes: Sizes = [B, T, C, W]
    const kernels = kernelsFor(W)
    const { table, tableStep, zeros, make } = tapTable(kernels, sizes, weight, hasBias ? bias : undefined, workspace)
    const input = { x: x.offset, ...beforeOf(sizes, hasState ? state : undefined, zeros), zeros, T, C }
    return [
      make(0),
      task(
        kernels.convolve,
        { ...input, table, tableStep, out: out.offset, rows: T, shift: 1 - W },
        { items: B * Math.ceil(T / STEPS), cost: 2 * B * T * C * W },
      ),
    ]
  }
}

function launchBackward(kernelsFor: (W: number) => Kernels): Launcher {
  return ([dx, dweight, dbias, dstate], _grid, parameters, workspace) => {
    const [dout, x, weight, state] = parameters as Place[]
    const [B, T, C, W, hasState] = parameters.slice(4) as number[]
    const sizes: Sizes = [B, T, C, W]
    const kernels = kernelsFor(W)
    const { table, tableStep, zeros, make } = tapTable(kernels, sizes, weight, undefined, workspace)
    /** Gradients of `rows` inputs a sequence, of which the first is number `first`. */
    const inputGradient = (out: Place, rows: number, first: number) => {
      const input = { x: dout.offset, ...beforeOf(sizes, undefined, zeros), zeros, T, C }
      return task(
        kernels.convolve,
        { ...input, table, tableStep, out: out.offset, rows, shift: first },
        { items: B * Math.ceil(rows / STEPS), cost: 2 * B * rows * C * W },
      )
    }
    const blocks = B * Math.ceil(T / SUM_STEPS)
    const sums = workspace.floats(blocks * (W + 1) * (tableStep / 4))
    const input = { x: x.offset, ...beforeOf(sizes, hasState ? state : undefined, zeros), zeros, T, C }
    return [
      make(1),
      inputGradient(dx, T, 0),
      ...(hasState && W > 1 ? [inputGradient(dstate, W - 1, 1 - W)] : []),
      task(
        kernels.sums,
        { ...input, dout: dout.offset, sums, sumStep: tableStep, rows: T },
        { items: blocks, cost: 2 * B * T * C * (W + 1) },
      ),
      task(
        kernels.finish,
        { sums, sumStep: tableStep, blocks, dweight: dweight.offset, dbias: dbias.offset },
        { items: C, cost: blocks * (W + 1) * C },
      ),
    ]
  }
}

export function convolutionKernels(features: Features): [FusedKernel, Launcher][] {
  const made = new Map<number, Kernels>()
  const kernelsFor = (W: number): Kernels => {
    let kernels = made.get(W)
    if (!kernels) made.set(W, (kernels = define(features, W)))
    return kernels
  }
  return [
    [causalConvolutionForward, launchForward(kernelsFor)],
    [causalConvolutionBackward, launchBackward(kernelsFor)],
  ]
}

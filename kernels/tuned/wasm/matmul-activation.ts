/**
 * The activation at the end of a product, applied to a block of its results while that is in cache.
 *
 * Relative errors in u = 2^-24: sigmoid s 6, silu 7 (s, then a product). gelu is x s(w), w = 2 sqrt(2 / pi) (x + 0.044715 x^3);
 * w is wrong by at most 5 u |w|, which changes s(w) by as much relatively, so 7 + 5 |w|.
 */
import { type Activation, linearActivations } from '../../fused-linear.ts'
import { type FunctionBuilder, integers, type WasmModule } from './assembler.ts'
import { f32, f32x4, i32, type Local, v128 } from './instructions.ts'
import { Constants, sigmoid, type Vector } from './math.ts'

type Activate = (f: FunctionBuilder, constants: Constants) => (x: Local<'v128'>) => Vector

const activations: Readonly<Record<Exclude<Activation, 'identity'>, Activate>> = {
  // A comparison that NaN fails, so that it stays.
  relu: (_f, constants) => {
    const zero = constants.float(0)
    return (x) => v128.andnot(x, f32x4.le(x, zero))
  },
  sigmoid: (f, constants) => sigmoid(f, constants),
  silu: (f, constants) => {
    const factor = sigmoid(f, constants)
    return (x) => f32x4.mul(x, factor(x))
  },
  gelu: (f, constants) => {
    const factor = sigmoid(f, constants)
    const [linear, cubic] = [constants.float(1.5957691216057308), constants.float(1.5957691216057308 * 0.044715)]
    return (x) => {
      const slope = f.madd(f32x4.mul(x, x), cubic, linear)
      return f32x4.mul(x, factor(f.local('v128', f32x4.mul(x, slope))))
    }
  },
}

/** An activation as a parameter of a kernel; 0 is none. */
export const activationNumber = (activation: Activation): number => linearActivations.indexOf(activation)

const vectorBytes = 16
const elementBytes = 4

function defineOne(module: WasmModule, name: Exclude<Activation, 'identity'>) {
  const parameters = integers('source', 'target', 'rows', 'columns', 'rowStep', 'room')
  return module.function(name, parameters, (f, { source, target, rows, columns, rowStep, room }) => {
    const apply = activations[name](f, new Constants(f))
    const [from, to, at] = [source, target, room].map(() => f.local('i32'))
    const copyRest = (x: Local<'i32'>, y: Local<'i32'>) => {
      f.times(i32.and(columns, 3), () => {
        f.store(y, f32.load(x))
        f.advance(x, elementBytes)
        f.advance(y, elementBytes)
      })
    }
    f.times(rows, () => {
      f.set(from, source)
      f.set(to, target)
      f.times(i32.shr_u(columns, 2), () => {
        f.store(to, apply(f.local('v128', v128.load(from))))
        f.advance(from, vectorBytes)
        f.advance(to, vectorBytes)
      })
      // What does not fill a vector goes through one, lest the next row's beginning be changed.
      f.set(at, room)
      copyRest(from, at)
      f.store(room, apply(f.local('v128', v128.load(room))))
      f.set(at, room)
      copyRest(at, to)
      f.advance(source, rowStep)
      f.advance(target, rowStep)
    })
  })
}

/** target = act(source), rows of this many columns; `room` is 16 bytes. */
export function defineActivate(module: WasmModule) {
  const names = linearActivations.filter((name) => name !== 'identity')
  const each = names.map((name) => [name, defineOne(module, name)] as const)
  const parameters = integers('activation', 'source', 'target', 'rows', 'columns', 'rowStep', 'room')
  return module.function('activate', parameters, (f, { activation, ...given }) => {
    const { rows, columns, rowStep } = given
    // Rows that follow one another are one.
    f.if(i32.eq(rowStep, i32.mul(columns, elementBytes)), () => {
      f.set(columns, i32.mul(columns, rows))
      f.set(rows, 1)
    })
    for (const [name, callee] of each) {
      f.if(i32.eq(activation, activationNumber(name)), () => f.call(callee, given))
    }
  })
}

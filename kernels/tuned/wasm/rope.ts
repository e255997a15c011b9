/**
 * Rotary positions: kernels/rope.ts, forward and, with the sign turned, backward.
 *
 * Cosines and sines come from a table that is computed in float64, so however large an angle is, they are right to u = 2^-24,
 * one rounding. A cell's own error is at most 2 u (|x cos| + |other sin|), to first order: two products and their sum.
 */
import type { Kernel } from '../../kernel.ts'
import { rope } from '../../rope.ts'
import { type Features, floats, integers, WasmModule } from './assembler.ts'
import { f32, f32x4, i32, v128 } from './instructions.ts'
import { copyRun, eachOfRun } from './runs.ts'
import { type Launcher, lazily, type Place, type TaskArgument, task, withRange } from './task.ts'

/** x, out [B, T, H, D], cos and sin [T, half]; an item is a position, B T of them. */
function defineRope(features: Features) {
  const parameters = {
    ...integers('x', 'cos', 'sin', 'out', 'T', 'H', 'D', 'half'),
    ...floats('sign'),
    ...withRange,
  }
  return new WasmModule(features).function('rope', parameters, (f, p) => {
    const { H, half, from, to } = p
    const rowBytes = f.local('i32', i32.shl(half, 2))
    const offset = f.local('i32', i32.shl(i32.mul(i32.mul(from, H), p.D), 2))
    const [x, out] = [p.x, p.out].map((start) => f.local('i32', i32.add(start, offset)))
    const t = f.local('i32', i32.rem_u(from, p.T))
    const signs = f.local('v128', f32x4.splat(p.sign))
    const [cos, sin, x1, x2, out1, out2] = Array.from({ length: 6 }, () => f.local('i32'))
    const rest = f.local('i32', i32.sub(p.D, i32.shl(half, 1)))
    f.times(i32.sub(to, from), () => {
      f.times(H, () => {
        f.set(cos, i32.add(p.cos, i32.mul(t, rowBytes)))
        f.set(sin, i32.add(p.sin, i32.mul(t, rowBytes)))
        f.set(x1, x)
        f.set(x2, i32.add(x, rowBytes))
        f.set(out1, out)
        f.set(out2, i32.add(out, rowBytes))
        const pointers = [cos, sin, x1, x2, out1, out2]
        const turnVectors = () => {
          const [c, a, b] = [cos, x1, x2].map((pointer) => f.local('v128', v128.load(pointer)))
          const s = f.local('v128', f32x4.mul(v128.load(sin), signs))
          f.store(out1, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)))
          f.store(out2, f.madd(b, c, f32x4.mul(a, s)))
        }
        const turnFloats = () => {
          const [c, a, b] = [cos, x1, x2].map((pointer) => f.local('f32', f32.load(pointer)))
          const s = f.local('f32', f32.mul(f32.load(sin), p.sign))
          f.store(out1, f32.sub(f32.mul(a, c), f32.mul(b, s)))
          f.store(out2, f32.add(f32.mul(b, c), f32.mul(a, s)))
        }
        eachOfRun(f, pointers, half, turnVectors, turnFloats, 1)
        // What lies past both halves is not turned; then the next head begins.
        copyRun(f, out2, x2, rest)
        f.set(x, x2)
        f.set(out, out2)
      })
      f.advance(t, 1)
      f.if(i32.ge_u(t, p.T), () => f.set(t, 0))
    })
  })
}

export function ropeKernels(features: Features): [Kernel, Launcher][] {
  const kernel = lazily(() => defineRope(features))
  return [
    [
      rope,
      ([out], [D, H, positions], parameters) => {
        const [x, cos, sin, T, , , half, sign] = parameters as [Place, Place, Place, ...number[]]
        const places = { x: x.offset, cos: cos.offset, sin: sin.offset, out: out.offset }
        return [
          task(
            kernel(),
            { ...places, T, H, D, half, sign: sign as TaskArgument },
            { items: positions, cost: 4 * positions * H * D },
          ),
        ]
      },
    ],
  ]
}

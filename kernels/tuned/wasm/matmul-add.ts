/**
 * C += R over a rectangle. A product of several depth blocks adds its addend when the sums are complete, so that its bits are
 * those of the product and the sum one after the other.
 */
import { integers, type WasmModule } from './assembler.ts'
import { f32, f32x4, i32, v128 } from './instructions.ts'

export function defineAddRectangle(module: WasmModule) {
  const parameters = integers('rows', 'columns', 'c', 'cRowStep', 'addend', 'addendRowStep')
  return module.function('addRectangle', parameters, (f, { rows, columns, c, cRowStep, addend, addendRowStep }) => {
    const to = f.local('i32')
    const from = f.local('i32')
    const advance = (bytes: number) => {
      f.advance(to, bytes)
      f.advance(from, bytes)
    }
    f.times(rows, () => {
      f.set(to, c)
      f.set(from, addend)
      f.times(i32.shr_u(columns, 2), () => {
        f.store(to, f32x4.add(v128.load(from), v128.load(to)))
        advance(16)
      })
      f.times(i32.and(columns, 3), () => {
        f.store(to, f32.add(f32.load(from), f32.load(to)))
        advance(4)
      })
      f.advance(c, cRowStep)
      f.advance(addend, addendRowStep)
    })
  })
}

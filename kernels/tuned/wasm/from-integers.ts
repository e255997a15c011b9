/**
 * Launches of tuned kernels over int32 tensors: their numbers are made floats first, as a GPU holds them, which is exact up
 * to 2^24.
 */
import type { FusedKernel, Kernel } from '../../kernel.ts'
import { type Features, integers, WasmModule } from './assembler.ts'
import { f32x4, v128 } from './instructions.ts'
import { type Launcher, lazily, type Place, type Task, task, withRange } from './task.ts'
import { eachVector, vectorsIn } from './vectors.ts'

function defineFloats(features: Features) {
  const module = new WasmModule(features)
  return module.function('floats', { ...integers('x', 'out'), ...withRange }, (f, { x, out, from, to }) => {
    eachVector(f, from, to, [x, out], () => f.store(out, f32x4.convert_i32x4_s(v128.load(x))))
  })
}

const isPlace = (given: unknown): given is Place => typeof given === 'object' && given !== null && 'length' in given

/** The same launchers, which then never see an int32 array among the parameters but those named. */
export function readingFloats<K extends Kernel | FusedKernel>(
  features: Features,
  launchers: readonly [K, Launcher][],
  integerParameters: readonly string[] = [],
): [K, Launcher][] {
  const convert = lazily(() => defineFloats(features))
  return launchers.map(([kernel, launch]) => {
    const names = kernel.kind === 'map' ? [] : Object.keys(kernel.parameters)
    const isInteger = (given: unknown, i: number) =>
      isPlace(given) && given.dtype === 'int32' && !integerParameters.includes(names[i])
    const launchFloats: Launcher = (outputs, grid, parameters, workspace) => {
      if (!parameters.some(isInteger)) return launch(outputs, grid, parameters, workspace)
      const conversions: Task[] = []
      const floats = parameters.map((given, i) => {
        if (!isInteger(given, i)) return given
        const { offset, length } = given as Place
        const out = workspace.floats(length)
        conversions.push(task(convert(), { x: offset, out }, { items: vectorsIn(length), cost: length }))
        return { offset: out, length, dtype: 'float32' } as const
      })
      return [...conversions, ...launch(outputs, grid, floats, workspace)]
    }
    return [kernel, launchFloats]
  })
}

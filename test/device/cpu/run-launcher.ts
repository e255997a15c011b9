/**
 * Runs a launcher of kernels/tuned/wasm by itself: in a memory of its own, its tasks cut into calls as threads would cut them.
 *
 * Every buffer lies between guards, and what is behind its last element is NaN: a kernel that reads it into a result, or
 * writes past the buffer's last whole vector, is found out.
 */
import type { Grid } from '../../../kernels/kernel.ts'
import type { Features } from '../../../kernels/tuned/wasm/assembler.ts'
import type { HostCell, Launcher, Place, TaskArgument } from '../../../kernels/tuned/wasm/task.ts'
import { Library } from '../../../src/device/cpu/library.ts'
import { Pieces } from '../../../src/device/cpu/room.ts'

type Data = Float32Array | Int32Array

const memory = new WebAssembly.Memory({ initial: 1024 })
const library = new Library(memory, undefined)
const guardBytes = 64
const guard = 0x5a

export interface LauncherRun {
  /** What the outputs hold before; their types and lengths. */
  readonly outputs: readonly Data[]
  readonly parameters: readonly (Data | number | HostCell)[]
  readonly grid?: Grid
}

const isData = (given: unknown): given is Data => ArrayBuffer.isView(given)

/**
 * The outputs afterwards.
 *
 * @param calls how many calls each task is cut into; they are made in reverse order, since none may depend on another
 */
export function runLauncher(
  launcher: Launcher,
  { outputs, parameters, grid = [1, 1, 1] }: LauncherRun,
  calls = 1,
): Data[] {
  const bytes = new Uint8Array(memory.buffer)
  let top = guardBytes
  const guards: number[] = []
  const put = (data: Data): Place => {
    const offset = top
    const end = offset + Math.ceil(data.byteLength / 16) * 16
    bytes.fill(0xff, offset, end)
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset)
    bytes.fill(guard, end, end + guardBytes)
    guards.push(end)
    top = end + guardBytes
    return { offset, length: data.length, dtype: data instanceof Int32Array ? 'int32' : 'float32' }
  }
  const places = outputs.map(put)
  const given = parameters.map((p) => (isData(p) ? put(p) : p))
  const workspace = new Pieces().start(0)
  launcher(places, grid, given, workspace)
  const room = put(new Float32Array(workspace.bytes / 4))
  for (const { callee, given: values, items, scratch } of launcher(places, grid, given, workspace.start(room.offset))) {
    const { call, takesRange, takesScratch } = library.get(callee)
    const numbers = values.map((v: TaskArgument) =>
      typeof v === 'number' ? v : new Float32Array(memory.buffer, v.cell, 1)[0],
    )
    const share = Math.ceil(items / calls)
    for (let from = takesRange ? share * (calls - 1) : 0; from >= 0; from -= share) {
      const all = [...numbers]
      if (takesScratch) all.push(put(new Float32Array(scratch / 4)).offset)
      if (takesRange) all.push(Math.min(from, items), Math.min(from + share, items))
      call(...all)
      if (share === 0 || !takesRange) break
    }
  }
  for (const end of guards) {
    for (let i = end; i < end + guardBytes; i++) {
      if (bytes[i] !== guard) throw new Error(`byte ${i - end} behind a buffer was written`)
    }
  }
  return places.map(({ offset, length, dtype }) =>
    dtype === 'int32'
      ? new Int32Array(memory.buffer, offset, length).slice()
      : new Float32Array(memory.buffer, offset, length).slice(),
  )
}

export function sameBits(a: Data, b: Data): boolean {
  const [one, other] = [a, b].map((d) => Buffer.from(d.buffer, d.byteOffset, d.byteLength))
  return one.equals(other)
}

/** The same in one call and in three: results must be the same bits. */
export function runBoth(launcher: Launcher, run: LauncherRun): Data[] {
  const results = runLauncher(launcher, run)
  const cut = runLauncher(launcher, run, 3)
  results.forEach((data, i) => {
    if (!sameBits(data, cut[i])) throw new Error('three calls give other bits than one')
  })
  return results
}

/** The launcher of a kernel among those that a family offers with these features. */
export function launcherOf<K>(
  kernel: K,
  family: (features: Features) => readonly (readonly [unknown, Launcher])[],
  features: Features,
): Launcher {
  const found = family(features).find(([offered]) => offered === kernel)
  if (!found) throw new Error('the family has no launcher of this kernel')
  return found[1]
}

/** Numbers in [-scale, scale] that follow from a seed. */
export function numbers(seed: number, length: number, scale = 2): Float32Array {
  let state = (seed % 2147483646) + 1
  return Float32Array.from({ length }, () => {
    state = (state * 16807) % 2147483647
    return ((2 * state) / 2147483647 - 1) * scale
  })
}

/** In the page: a kernel of the page's own, declared before the device is opened and after. */
import { device, elementwise, launchMap, tensor } from '../../src/index.ts'

const cube = elementwise(function cube(x: number): number {
  return x * x * x
})

const page = {
  async run(): Promise<number[]> {
    const opened = await device('webgpu')
    const x = tensor([1, 2, -3], { device: opened.name })
    return [...(await launchMap(cube, [3], [x]).data())]
  },

  async late(): Promise<{ error: string; values: number[] }> {
    const half = elementwise(function half(x: number): number {
      return x / 2
    })
    const x = tensor([1, 2, -3], { device: 'webgpu' })
    // The translator is here already, so a kernel declared now needs no more than its launch.
    let error = ''
    try {
      await launchMap(half, [3], [x]).data()
    } catch (caught) {
      error = String(caught)
    }
    return { error, values: [...(await launchMap(half, [3], [x]).data())] }
  },
}

export type KernelPage = typeof page
Object.assign(globalThis, { page })

/**
 * The package gpu.js, which is optional: kernels of this package are translated when it is built, so only a program with
 * kernels of its own on the GPU, or with the gpujs device, needs it.
 */
import { SluiceError } from '../../errors.ts'

type Library = typeof import('gpu.js')

let loaded: Library | undefined

/**
 * Loads gpu.js, once.
 *
 * @param user what needs it, as errors name it
 * @throws SluiceError when it is not installed
 */
export async function loadLibrary(user: string): Promise<void> {
  // A CommonJS package: of a bundle's chunk only the default is sure to be there, and in Node it is the same.
  loaded ??= (
    await import('gpu.js').catch((error: Error) => {
      throw new SluiceError(
        user,
        `gpu.js translates the kernels that a program declares itself, and cannot be loaded (${error.message.split('\n')[0]}); ` +
          'install it: npm install gpu.js@2.24.1',
      )
    })
  ).default as unknown as Library
}

/** @throws SluiceError before `loadLibrary` */
export function library(): Library {
  if (!loaded) throw new SluiceError('gpu.js', 'not loaded yet: await loadLibrary(…) first')
  return loaded
}

/** Memories of WebAssembly, and what to say where there are none. */
import { DeviceFault, SluiceError } from '../../errors.ts'

/** What is left to do where the cpu device cannot work. */
export const useReference =
  "the reference device needs none (setDevice('reference'), or --device reference), but is slower"

/** @throws SluiceError where there is no WebAssembly, DeviceFault where the system gives it no memory */
export function reserveMemory(limits: WebAssembly.MemoryDescriptor): WebAssembly.Memory {
  if (typeof WebAssembly === 'undefined') {
    throw new SluiceError(
      'cpu device',
      `it computes in WebAssembly, which this engine does not have (Node leaves it out under --jitless); ${useReference}`,
    )
  }
  try {
    return new WebAssembly.Memory(limits)
  } catch (error) {
    throw new DeviceFault(
      'cpu device',
      `WebAssembly has no room for its memory (${(error as Error).message}): V8 sets 10 GB of addresses aside for it, ` +
        'though not of memory; raise ulimit -v, or start Node with --disable-wasm-trap-handler, which needs less',
    )
  }
}

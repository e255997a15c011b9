/** Files that other programs read too. */
export type { HostTensor } from '../tensor/host.ts'
export type { FormatCode, WeightDType } from './formats.ts'
export {
  loadSafetensors,
  openSafetensors,
  type SafetensorsSource,
  type SaveSafetensorsOptions,
  saveSafetensors,
} from './open.ts'
export { decodeSafetensors, encodeSafetensors, type SafetensorsContent } from './safetensors.ts'
export type {
  LazyTensor,
  ReadOptions,
  TensorInfo,
  TensorReader,
  Writable,
  WritableTensors,
} from './safetensors-file.ts'
export type { ByteSource } from './source.ts'

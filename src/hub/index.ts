/** Files that other programs read too: safetensors, and models as Hugging Face lays them out. */
export type { HostTensor } from '../tensor/host.ts'

import '../ops/methods.ts'

export type { LeftOut } from './checkpoint.ts'
export type { FamilyName } from './families/family.ts'
export type { FormatCode, WeightDType } from './formats.ts'
export {
  loadSafetensors,
  openSafetensors,
  type SafetensorsSource,
  type SaveSafetensorsOptions,
  saveSafetensors,
} from './open.ts'
export {
  type LoadPretrainedOptions,
  loadPretrained,
  type SavePretrainedOptions,
  savePretrained,
} from './pretrained.ts'
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
export { type OpenPretrainedOptions, openPretrained, StreamedTransformer } from './streamed.ts'
export {
  type LoadTokenizerOptions,
  loadTokenizer,
  type PretrainedTokenizer,
  type TokenizerLibrary,
} from './tokenizer.ts'

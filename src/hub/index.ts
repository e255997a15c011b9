/** Files that other programs read too. */
export type { HostTensor } from '../tensor/host.ts'
export { decodeSafetensors, encodeSafetensors, type SafetensorsContent } from './safetensors.ts'

/** Files that other programs read too. */
export { decodeSafetensors, encodeSafetensors, type HostTensor, type SafetensorsContent } from './safetensors.ts'

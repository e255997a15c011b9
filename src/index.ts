/** Sluice: tensors, operations, gradients. */
import './ops/methods.ts'

export { defineKernel, elementwise, type Kernel, type KernelThis } from '../kernels/kernel.ts'
export { type Captured, capture } from './autograd/capture.ts'
export { type DrawOptions, draw } from './autograd/draw.ts'
export { checkpoint, type Gradients, grad } from './autograd/grad.ts'
export { noGrad } from './autograd/tape.ts'
export type { Device, DType, TypedArray } from './device/device.ts'
export type { Profile, ProfileRow } from './device/profile.ts'
export { defaultDevice, device, deviceNames, registerDevice, setDevice } from './device/registry.ts'
export { DeviceFault, Divergence, SluiceError } from './errors.ts'
export * from './ops/all.ts'
export { type Draw, defineOp, type Operand, type Operation, type OpRecord, operations } from './ops/record.ts'
export {
  arange,
  type CreateOptions,
  eye,
  full,
  ones,
  permutation,
  rand,
  randn,
  tensor,
  zeros,
} from './tensor/create.ts'
export { launch, launchMap } from './tensor/launch.ts'
export { checkLeaks, type Leak } from './tensor/lifetime.ts'
export { defaultGenerator, Generator, type GeneratorState, manualSeed } from './tensor/random.ts'
export type { Shape } from './tensor/shape.ts'
export { type Nested, scope, Tensor } from './tensor/tensor.ts'

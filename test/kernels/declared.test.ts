/** Kernels declare their parameters by the names they have: what a reader of the table sees is what the function takes. */
import { expect, test } from 'vitest'
import { defineKernel, type KernelThis, parameterNames } from '../../kernels/kernel.ts'
import { everyKernel } from '../device/launches.ts'

const kernels = await everyKernel()

test.each(kernels.map((k) => [`${k.file} ${k.kernel.name}`, k.kernel] as const))('%s', (_name, kernel) => {
  if (kernel.kind === 'cell') expect(Object.keys(kernel.parameters)).toEqual(parameterNames(kernel.cell))
  else expect(kernel.operands + kernel.constants).toBe(parameterNames(kernel.scalar).length)
})

test('a parameter that is not declared is refused', () => {
  const cell = function twice(this: KernelThis, x: ArrayLike<number>, n: number): number {
    return n * x[this.thread.x]
  }
  expect(() => defineKernel(cell, { x: 'array' })).toThrow('twice takes (x, n) but its table declares (x)')
})

test('an arrow is refused', () => {
  expect(() => defineKernel((x: number) => x, { x: 'array' })).toThrow('expected a top-level function')
})

import { test } from 'vitest'
import { translateToWgsl, buildKernel } from '../../src/device/gpujs/gpujs.ts'
import type { Kernel } from '../../kernels/kernel.ts'
const modules = import.meta.glob<Record<string, unknown>>('../../kernels/*.ts', { eager: true })
test('x', () => {
  for (const [path, m] of Object.entries(modules)) for (const [name, k] of Object.entries(m)) {
    if (typeof k !== 'object' || k === null || !('kind' in k)) continue
    const kernel = k as Kernel
    try { const w = translateToWgsl(kernel); const at = w.indexOf('fn get_user'); console.log(`#### ${path} ${name}\n` + w.slice(at).split('\n').filter(l=>!/^  if \(gid|threadGid = gid|data_index : i32|^@compute|^fn get_user|^  return user_/.test(l)).join('\n')) } catch (e) { console.log(`!!!! ${path} ${name}: ${(e as Error).message}`) }
    
  }
})

import { test } from 'vitest'
import { translateToWgsl } from '../../src/device/gpujs/gpujs.ts'
import { readdirSync } from 'node:fs'
import { operations, device } from '../../src/index.ts'
test('x', async () => {
  for (const f of readdirSync(new URL('../../kernels/', import.meta.url))) if (f.endsWith('.ts')) {
   const m = await import(new URL('../../kernels/' + f, import.meta.url).href)
   for (const [name, k] of Object.entries(m)) {
    if (typeof k !== 'object' || k === null || !('kind' in k)) continue
    const w = translateToWgsl(k as never)
    console.log(`#### ${name}\n` + w.slice(w.indexOf('fn main')))
  }}
  console.log([...operations.keys()].join(' '), operations.size)
  console.log((await device('gpujs')).name)
})

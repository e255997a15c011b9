import { defineConfig } from 'vite'

// A page that is isolated from other origins may share memory between threads; without these headers one thread computes.
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }

export default defineConfig({
  server: { headers },
  preview: { headers },
  // Sluice loads what few programs need, such as the GPU, when it is asked for: a worker in pieces must be a module.
  worker: { format: 'es' },
})

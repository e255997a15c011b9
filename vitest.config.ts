import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    testTimeout: 120_000,
    // Two workers on two cores; a property suite is compute bound, more would only contend.
    maxWorkers: 2,
  },
})

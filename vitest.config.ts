import { defineConfig } from 'vitest/config'
import { LeftOutReporter } from './test/left-out.ts'
import { findDrivers } from './test/webgpu/drivers.ts'

export default defineConfig({
  test: {
    setupFiles: ['test/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two workers on two cores; a property suite is compute bound, more would only contend.
    maxWorkers: 2,
    // Processes: a thread could not give Vulkan an environment of its own.
    pool: 'forks',
    reporters: ['default', new LeftOutReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: 'engine',
          include: ['test/**/*.test.ts'],
          exclude: ['test/webgpu/**', 'test/browser/**', 'test/lab-page/browser/**'],
        },
      },
      {
        extends: true,
        test: { name: 'browser', include: ['test/browser/**/*.test.ts', 'test/lab-page/browser/**/*.test.ts'] },
      },
      ...findDrivers().map(({ name, environment, include = ['*'], exclude = [] }) => ({
        extends: true as const,
        test: {
          name,
          include: include.map((file) => `test/webgpu/${file}.test.ts`),
          exclude: exclude.map((file) => `test/webgpu/${file}.test.ts`),
          env: { ...environment },
          // A software driver that has no shader cache yet compiles for minutes.
          testTimeout: 300_000,
        },
      })),
    ],
  },
})

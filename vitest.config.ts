import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // vitest leaves a core free, which on two cores means one file at a time
    maxWorkers: Math.max(2, availableParallelism()),
    testTimeout: 30_000,
    setupFiles: ['test/setup.ts'],
  },
})

import { defineConfig } from 'vitest/config'

/** `npm run test:crash`: whole processes killed again and again, which takes too long for every change. */
export default defineConfig({
  test: {
    include: ['test/**/*.crash.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 120_000,
    setupFiles: ['test/setup.ts'],
  },
})

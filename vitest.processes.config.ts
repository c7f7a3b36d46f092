import { defineConfig, mergeConfig } from 'vitest/config'
import together from './vitest.config.ts'

/**
 * Tests that take too long for every change. `npm run test:processes`: whole programs started as users start them, real logs.
 * `npm run test:console`: its pages in Chromium. `npm run test:crash`: whole processes killed again and again.
 */
const { projects: _, ...test } = together.test ?? {}
export default mergeConfig(
  { ...together, test },
  defineConfig({
    test: {
      projects: [
        { extends: true, test: { name: 'started', include: ['test/**/*.process.ts'] } },
        { extends: true, test: { name: 'console', include: ['test/console/*.browser.ts'] } },
        { extends: true, test: { name: 'killed', include: ['test/**/*.crash.ts'] } },
      ],
      maxWorkers: 1,
      testTimeout: 120_000,
    },
  }),
)

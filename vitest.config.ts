import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { defineConfig, type Plugin } from 'vitest/config'

/**
 * These files have a process each, since they measure its processor time. All others share one for each core:
 * reading the same modules again for every file takes longer than their tests.
 */
const ALONE = [
  'test/models/encoders/use-lite/unigram.test.ts',
  'test/serving/batch.test.ts',
  'test/serving/hostile-bodies.test.ts',
]

/** The threads that our sources start run from the build; test/models/worker-entry.test.ts starts its own from source. */
const builtWorkers: Plugin = {
  name: 'weir:built-workers',
  enforce: 'pre',
  resolveId(source, importer = '') {
    const tests = resolve(import.meta.dirname, 'test')
    const ours = source.endsWith('/worker-entry.ts') && !importer.startsWith(tests)
    return ours ? join(tests, 'built/start-worker.ts') : undefined
  },
}

/** The package's own name means its source: for examples/*.test.ts. */
const OURS = [
  { find: /^weir-router$/, replacement: resolve(import.meta.dirname, 'index.ts') },
  { find: /^weir-router\/testing$/, replacement: resolve(import.meta.dirname, 'testing/index.ts') },
]

export default defineConfig({
  plugins: [builtWorkers],
  resolve: { alias: OURS },
  test: {
    pool: 'forks',
    // vitest leaves a core free, which on two cores means one file at a time
    maxWorkers: Math.max(2, availableParallelism()),
    testTimeout: 30_000,
    globalSetup: ['test/temporary-folder.ts'],
    setupFiles: ['test/setup.ts'],
    projects: [
      { extends: true, test: { name: 'alone', include: ALONE } },
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts', 'examples/*.test.ts'],
          exclude: ['**/node_modules/**', ...ALONE],
          isolate: false,
        },
      },
    ],
  },
})

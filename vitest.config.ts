import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/**
 * Plain JavaScript that starts no process: these files share one, since reading the same modules again for
 * each takes longer than their tests. All others get a process each.
 */
const TOGETHER = [
  'test/data/**/*.test.ts',
  'test/models/{bundle,choice,decision-log,drift,lexical,online}/**/*.test.ts',
  'test/serving/{alarms,audit,decision,gateway,policy,strategies,upstreams}/**/*.test.ts',
  'test/training/{calibrate,evaluate,many,ope}/**/*.test.ts',
]

export default defineConfig({
  test: {
    pool: 'forks',
    // vitest leaves a core free, which on two cores means one file at a time
    maxWorkers: Math.max(2, availableParallelism()),
    testTimeout: 30_000,
    setupFiles: ['test/setup.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'alone', include: ['test/**/*.test.ts'], exclude: TOGETHER },
      },
      { extends: true, test: { name: 'together', include: TOGETHER, isolate: false } },
    ],
  },
})

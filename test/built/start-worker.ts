import { relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { startWorker as start } from '../../core/worker-entry.ts'
import { built, ROOT } from './build.ts'

/** Stands in for `startWorker` wherever our sources call it: the thread starts from the build, as users' do. */
export const startWorker: typeof start = (module, from, options): Worker => {
  const caller = relative(ROOT, fileURLToPath(from)).replace(/\.ts$/, '.js')
  return start(module, pathToFileURL(`${built()}/${caller}`).href, options)
}

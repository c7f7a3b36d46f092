import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { refuseNativeTelemetry } from './native-telemetry.ts'

/**
 * Starts a worker thread on one of our modules, from source (`.ts`, under tsx or vitest) or from the build
 * (`.js`): the extension is that of the caller's file. From source the worker first registers tsx, a
 * development dependency that the published package does not need.
 *
 * @param module path of the entry relative to the caller, without extension: `./session-worker`
 * @param from the caller's `import.meta.url`
 */
export function startWorker(
  module: string,
  from: string,
  options: Omit<WorkerOptions, 'eval'> = {},
): Worker {
  refuseNativeTelemetry()
  const extension = new URL(from).pathname.endsWith('.ts') ? '.ts' : '.js'
  const entry = new URL(`${module}${extension}`, from)
  // vitest's execArgv and loaders do not apply to the worker
  const settings: WorkerOptions = { execArgv: [], ...options }
  if (extension === '.js') return new Worker(entry, settings)
  const tsx = join(
    dirname(createRequire(from).resolve('tsx/package.json')),
    'dist/esm/api/index.mjs',
  )
  const source = `import(${quote(pathToFileURL(tsx))}).then((tsx) => { tsx.register(); return import(${quote(entry)}) })`
  return new Worker(source, { ...settings, eval: true })
}

/**
 * Starts a process on one of our modules, from source or from the build as `startWorker` does.
 *
 * @param module path of the entry relative to the caller, without extension
 * @param from the caller's `import.meta.url`
 */
export function startProcess(
  module: string,
  from: string,
  options: Omit<ForkOptions, 'execArgv'> = {},
): ChildProcess {
  const extension = new URL(from).pathname.endsWith('.ts') ? '.ts' : '.js'
  const entry = new URL(`${module}${extension}`, from)
  const tsx = (): string => pathToFileURL(createRequire(from).resolve('tsx')).href
  return fork(entry, [], {
    ...options,
    execArgv: extension === '.ts' ? ['--import', tsx()] : [],
  })
}

const quote = (url: URL): string => JSON.stringify(url.href)

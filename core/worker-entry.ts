import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/**
 * Starts a worker thread on a module of ours, from the source (`.ts`, under tsx or vitest) and from the
 * build (`.js`) alike: the extension is that of the caller's own file. From source the worker
 * registers tsx first, a development dependency that the package never needs.
 *
 * @param module path of the entry relative to the caller, without extension: `./session-worker`
 * @param from the caller's `import.meta.url`
 */
export function startWorker(
  module: string,
  from: string,
  options: Omit<WorkerOptions, 'eval'> = {},
): Worker {
  const extension = new URL(from).pathname.endsWith('.ts') ? '.ts' : '.js'
  const entry = new URL(`${module}${extension}`, from)
  // vitest's own execArgv and loaders mean nothing to the worker
  const settings: WorkerOptions = { execArgv: [], ...options }
  if (extension === '.js') return new Worker(entry, settings)
  const tsx = join(
    dirname(createRequire(from).resolve('tsx/package.json')),
    'dist/esm/api/index.mjs',
  )
  const source = `import(${quote(pathToFileURL(tsx))}).then((tsx) => { tsx.register(); return import(${quote(entry)}) })`
  return new Worker(source, { ...settings, eval: true })
}

const quote = (url: URL): string => JSON.stringify(url.href)

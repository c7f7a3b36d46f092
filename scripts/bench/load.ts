import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { cpuSeconds } from './figures.ts'

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failed: number
  /** reasons of `failed`: answers other than 2xx and 3xx, and connection errors */
  readonly errors: Readonly<Record<'status' | 'connect' | 'read' | 'write' | 'timeout', number>>
}

export interface LoadOptions {
  readonly url: string
  readonly connections: number
  readonly seconds: number
  /** one request body per line */
  readonly bodies: string
  /** default `/route` */
  readonly path?: string
  /** `name: value`, in addition to the content type */
  readonly headers?: readonly string[]
}

const run = promisify(execFile)

/** Loads `POST /route` from another core: with wrk if it is installed, else with our own sockets. */
export async function applyLoad(options: LoadOptions): Promise<LoadResult> {
  const { url, connections, seconds, bodies, path = '/route', headers = [] } = options
  const [command, ...rest] = onCore(
    1,
    installed('wrk')
      ? [
          'wrk',
          '-t1',
          `-c${connections}`,
          `-d${seconds}s`,
          '-s',
          `${import.meta.dirname}/load.lua`,
          url,
          '--',
          bodies,
          path,
          ...headers,
        ]
      : [
          ...SOURCE,
          `${import.meta.dirname}/socket-load.ts`,
          new URL(url).port,
          String(connections),
          String(seconds),
          bodies,
          path,
          ...headers,
        ],
  )
  const { stdout } = await run(command!, rest)
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as LoadResult
}

/** Runs one of our TypeScript files. */
export const SOURCE: readonly string[] = [process.execPath, '--import', 'tsx']

/** Pins a command to one core if the machine has enough cores and the tool to do it. */
export function onCore(core: number, command: readonly string[]): readonly string[] {
  return availableParallelism() > core && installed('taskset')
    ? ['taskset', '-c', String(core), ...command]
    : command
}

export function installed(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A server under measurement, in a separate process. */
export interface Server {
  readonly url: string
  readonly pid: number
}

/**
 * Starts a server on one core and waits for the line of JSON with its address.
 *
 * @param children processes to end at the end; the server's is added before waiting for it
 */
export async function startServer(
  core: number,
  command: readonly string[],
  children: ChildProcess[],
): Promise<Server> {
  const [program, ...rest] = onCore(core, command)
  const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const first = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code}`)))
  })
  const { url, pid } = JSON.parse(first) as Server
  return { url, pid }
}

/** The results of a server under load. */
export interface ServerLoad extends LoadResult {
  readonly perSecond: number
  /** processor time per request, in the server */
  readonly cpuMicroseconds: number
}

export async function loadServer(
  { url, pid }: Server,
  options: Omit<LoadOptions, 'url'>,
): Promise<ServerLoad> {
  const before = cpuSeconds(pid)
  const load = await applyLoad({ url, ...options })
  const cpu = cpuSeconds(pid) - before
  return {
    ...load,
    perSecond: load.requests / load.seconds,
    cpuMicroseconds: (cpu / load.requests) * 1e6,
  }
}

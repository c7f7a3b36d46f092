import { execFile, execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failed: number
  /** of `failed`: answers other than 2xx and 3xx, and what went wrong on the connection */
  readonly errors: Readonly<Record<'status' | 'connect' | 'read' | 'write' | 'timeout', number>>
}

export interface LoadOptions {
  readonly url: string
  readonly connections: number
  readonly seconds: number
  /** a request body a line */
  readonly bodies: string
  /** `/route` unless told */
  readonly path?: string
  /** `name: value`, beside the content type */
  readonly headers?: readonly string[]
}

const run = promisify(execFile)

/** Loads `POST /route` from another core: with wrk where it is installed, else with our own sockets. */
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

/** Pins a command to one core where the machine has that many and the tool to do it. */
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

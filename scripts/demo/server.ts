import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface DemoServer {
  readonly url: string
  /** signs in whoever opens it first */
  readonly console: string
  /** resolves with the exit code when the server has ended, whether it was stopped or not */
  readonly ended: Promise<number>
  stop(): void
}

/** Starts `weir serve` on the port, or on a free one if that is taken; resolves once it listens. */
export async function startServer(
  weir: string,
  bundle: string,
  port: number,
  say: (line: string) => void,
): Promise<DemoServer> {
  const wanted = await attempt(weir, bundle, port)
  if ('url' in wanted) return wanted
  if (!wanted.stderr.includes('[address_in_use]')) throw new Error(wanted.stderr.trim())
  say(`port ${port} is in use; taking a free one`)
  const free = await attempt(weir, bundle, 0)
  if ('url' in free) return free
  throw new Error(free.stderr.trim())
}

async function attempt(
  weir: string,
  bundle: string,
  port: number,
): Promise<DemoServer | { readonly stderr: string }> {
  const child = spawn(
    process.execPath,
    [weir, 'serve', bundle, '--port', String(port), '--console', '--json'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let stderr = ''
  let listening = false
  child.stderr.on('data', (chunk: Buffer) => {
    if (listening) process.stderr.write(chunk)
    else stderr += chunk.toString('utf8')
  })
  const ended = exitOf(child)
  const first = await Promise.race([firstLine(child), ended.then(() => undefined)])
  if (first === undefined) {
    await ended
    return { stderr: stderr || 'weir serve ended before it listened' }
  }
  listening = true
  process.stderr.write(stderr)
  const { url, console } = JSON.parse(first) as { url: string; console: string }
  return { url, console, ended, stop: () => void child.kill('SIGTERM') }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    createInterface({ input: child.stdout! }).once('line', resolve)
  })
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 0))
  })
}

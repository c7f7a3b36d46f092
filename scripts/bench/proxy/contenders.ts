import { type ChildProcess, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { onCore, SOURCE } from '../load.ts'
import { writeRouteBundle } from '../route-bundle.ts'
import { buildCommand } from '../weir-build.ts'
import { installPortkey } from './portkey.ts'

/** A server that is measured, a process of its own. */
export interface Server {
  readonly url: string
  readonly pid: number
  /** sent with every request */
  readonly headers: readonly string[]
}

export const NAMES = ['direct', 'bare', 'weir', 'portkey'] as const
export type Name = (typeof NAMES)[number]
export type Contenders = Readonly<Record<Name, Server>> & { close(): void }

/** Starts the upstream on the second core and all that stand in front of it on the first. */
export async function startContenders(folder: string): Promise<Contenders> {
  const children: ChildProcess[] = []
  const close = (): void => {
    for (const child of children) child.kill('SIGTERM')
  }
  const start = async (core: number, command: readonly string[]): Promise<Server> => {
    const [program, ...rest] = onCore(core, command)
    const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    const first = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', resolve)
      child.once('exit', (code) => reject(new Error(`${command.join(' ')} ended with ${code}`)))
    })
    return { ...(JSON.parse(first) as { url: string; pid: number }), headers: [] }
  }
  const source = (file: string): string[] => [...SOURCE, join(import.meta.dirname, file)]
  try {
    const peer = await installPortkey()
    const direct = await start(1, source('upstream.ts'))
    const bare = await start(0, [...source('bare.ts'), direct.url])
    const weir = await start(0, await weirCommand(folder, direct.url))
    const portkey = await startPortkey(peer, direct.url, (child) => children.push(child))
    return { direct, bare, weir, portkey, close }
  } catch (error) {
    close()
    throw error
  }
}

/** Routed by a bundle, metered and logged. */
async function weirCommand(folder: string, upstream: string): Promise<string[]> {
  const model = { upstreams: [{ upstream: 'local' }] }
  const config = {
    routers: [{ path: await writeRouteBundle(folder) }],
    gateway: {
      upstreams: { local: { base_url: `${upstream}/v1` } },
      models: {
        'big-1': { ...model, price: { input: 10, output: 30 } },
        'small-1': { ...model, price: { input: 1, output: 3 } },
      },
    },
  }
  const file = join(folder, 'config.json')
  await writeFile(file, JSON.stringify(config))
  const command = [process.execPath, await buildCommand(folder), 'serve', '--config', file]
  return [...command, '--port', '0', '--json', '--log', join(folder, 'log')]
}

async function startPortkey(
  file: string,
  upstream: string,
  onChild: (child: ChildProcess) => void,
): Promise<Server> {
  const port = await freePort()
  const command = onCore(0, [process.execPath, file, `--port=${port}`, '--headless'])
  const child = spawn(command[0]!, command.slice(1), {
    stdio: 'ignore',
    env: { ...process.env, NODE_ENV: 'production' },
  })
  onChild(child)
  const url = `http://127.0.0.1:${port}`
  for (let i = 0; i < 100; i++) {
    if (await fetch(url).catch(() => undefined)) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const headers = [
    'authorization: Bearer none',
    'x-portkey-provider: openai',
    `x-portkey-custom-host: ${upstream}/v1`,
  ]
  return { url, pid: child.pid!, headers }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

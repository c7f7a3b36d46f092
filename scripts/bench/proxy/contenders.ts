import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../../../models/encoders/cache.ts'
import { onCore, type Server, SOURCE, startServer } from '../load.ts'
import { writeRouteBundle } from '../route-bundle.ts'
import { buildCommand } from '../weir-build.ts'

/** A server, and the headers to send with every request. */
export interface Contender extends Server {
  readonly headers: readonly string[]
}

export const NAMES = ['direct', 'bare', 'weir', 'portkey'] as const
export type Name = (typeof NAMES)[number]
export type Contenders = Readonly<Record<Name, Contender>> & { close(): void }

/** Starts the upstream on the second core and all servers in front of it on the first. */
export async function startContenders(folder: string): Promise<Contenders> {
  const children: ChildProcess[] = []
  const close = (): void => {
    for (const child of children) child.kill('SIGTERM')
  }
  const start = async (core: number, command: readonly string[]): Promise<Contender> => {
    return { ...(await startServer(core, command, children)), headers: [] }
  }
  const source = (file: string): string[] => [...SOURCE, join(import.meta.dirname, file)]
  try {
    const peer = await installPortkey()
    const direct = await start(1, source('upstream.ts'))
    const bare = await start(0, [...source('bare.ts'), direct.url])
    const weir = await start(0, await weirCommand(folder, direct.url))
    const portkey = await startPortkey(peer, direct.url, children)
    return { direct, bare, weir, portkey, close }
  } catch (error) {
    close()
    throw error
  }
}

/** Routed by a bundle, metered and logged. */
export async function weirCommand(
  folder: string,
  upstream: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<string[]> {
  const model = { upstreams: [{ upstream: 'local' }] }
  const config = {
    routers: [{ path: await writeRouteBundle(folder) }],
    gateway: {
      upstreams: { local: { base_url: `${upstream}/v1`, ...settings } },
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
  children: ChildProcess[],
): Promise<Contender> {
  const port = await freePort()
  const command = onCore(0, [process.execPath, file, `--port=${port}`, '--headless'])
  const child = spawn(command[0]!, command.slice(1), {
    stdio: 'ignore',
    env: { ...process.env, NODE_ENV: 'production' },
  })
  children.push(child)
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

const PEER = join(import.meta.dirname, '../peers/portkey')

/** Installs the peer by its lockfile, once, outside the project. @returns its server's file */
async function installPortkey(): Promise<string> {
  const folder = join(cacheFolder(process.env), 'bench-peers/portkey')
  const server = join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js')
  const there = await stat(server).catch(() => undefined)
  if (there) return server
  await mkdir(folder, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) {
    await copyFile(join(PEER, file), join(folder, file))
  }
  await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
  })
  return server
}

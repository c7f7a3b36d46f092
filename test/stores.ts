import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** A real server of a store, from Debian's packages, with a folder of its own. */
export interface StoreServer {
  /** @param name of a database: a number for Redis */
  url(name?: string): string
  start(): Promise<void>
  /** ends it as a crash would */
  kill(): Promise<void>
  close(): Promise<void>
}

export interface PostgresServer extends StoreServer {
  /** runs SQL on the database `postgres`, or another */
  sql(text: string, database?: string): string
}

const DEBIAN = '/usr/lib/postgresql'
const bin = existsSync(DEBIAN)
  ? readdirSync(DEBIAN)
      .map((version) => join(DEBIAN, version, 'bin'))
      .find((folder) => existsSync(join(folder, 'initdb')))
  : undefined

/** PostgreSQL refuses to run as root: the user that Debian's package made, or this one. */
function runsAs(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  try {
    const id = (flag: string): number =>
      Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
    return { uid: id('-u'), gid: id('-g') }
  } catch {
    return {}
  }
}
const user = bin ? runsAs() : {}

export const hasPostgres = bin !== undefined && (process.getuid?.() !== 0 || user.uid !== undefined)
if (!hasPostgres) console.info('PostgreSQL: skipped, Debian’s postgresql is not installed')

const onPath = (...names: readonly string[]): string | undefined =>
  names
    .flatMap((name) => (process.env.PATH ?? '').split(delimiter).map((path) => join(path, name)))
    .find((path) => existsSync(path))

const redis = onPath('redis-server', 'valkey-server')

export const hasRedis = redis !== undefined
if (!hasRedis) console.info('Redis: skipped, Debian’s redis-server is not installed')

const registry = onPath('docker-registry')
export const hasRegistry = registry !== undefined
if (!hasRegistry) console.info('A registry: skipped, Debian’s docker-registry is not installed')

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  return port
}

export async function postgresServer(): Promise<PostgresServer> {
  // another user's process must reach it, which the folder of the tests does not allow
  const folder = mkdtempSync(join(user.uid === undefined ? tmpdir() : '/tmp', 'weir-postgres-'))
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid!)
  const port = await freePort()
  execFileSync(
    join(bin!, 'initdb'),
    ['-D', join(folder, 'data'), '-U', 'weir', '--auth=trust', '--no-sync'],
    { ...user, cwd: folder, stdio: 'pipe' },
  )
  const control = (...options: string[]): void => {
    execFileSync(join(bin!, 'pg_ctl'), ['-D', join(folder, 'data'), '-w', ...options], {
      ...user,
      cwd: folder,
      stdio: 'ignore',
    })
  }
  const server: PostgresServer = {
    url: (name = 'postgres') => `postgres://weir@127.0.0.1:${port}/${name}`,
    sql: (text, database = 'postgres') =>
      execFileSync(
        join(bin!, 'psql'),
        ['-h', '127.0.0.1', '-p', String(port), '-U', 'weir', '-d', database, '-Atqc', text],
        { stdio: 'pipe', encoding: 'utf8' },
      ).trim(),
    async start() {
      // what a crash of the process loses does not depend on fsync, which takes its time
      const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c fsync=off -k ${folder}`
      control('-l', join(folder, 'log'), '-o', settings, 'start')
    },
    async kill() {
      control('-m', 'immediate', 'stop')
    },
    async close() {
      try {
        control('-m', 'immediate', 'stop')
      } catch {
        // a test has ended it
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

/** An OCI registry. @param htpasswd its users, who are then asked for their passwords */
export async function registryServer(
  htpasswd?: string,
): Promise<{ readonly host: string; close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-registry-'))
  const port = await freePort()
  const users = join(folder, 'htpasswd')
  if (htpasswd !== undefined) writeFileSync(users, htpasswd)
  const auth =
    htpasswd === undefined
      ? ''
      : `auth: {htpasswd: {realm: weir, path: ${JSON.stringify(users)}}}\n`
  const config = join(folder, 'config.yml')
  writeFileSync(
    config,
    `version: 0.1\nlog: {level: error}\n${auth}storage: {filesystem: {rootdirectory: ${JSON.stringify(join(folder, 'data'))}}, delete: {enabled: true}}\nhttp: {addr: '127.0.0.1:${port}'}\n`,
  )
  const child = spawn(registry!, ['serve', config], { stdio: 'ignore' })
  const host = `127.0.0.1:${port}`
  await eventually(() =>
    fetch(`http://${host}/v2/`).then(
      () => true,
      () => false,
    ),
  )
  return {
    host,
    async close() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Keeps nothing on disk: what it forgets at a crash, Weir can do without. */
export async function redisServer(): Promise<StoreServer> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-redis-'))
  const port = await freePort()
  let child: ReturnType<typeof spawn> | undefined
  const server: StoreServer = {
    url: (name = '0') => `redis://127.0.0.1:${port}/${name}`,
    async start() {
      const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder]
      child = spawn(redis!, options, { stdio: ['ignore', 'pipe', 'ignore'] })
      for await (const text of child.stdout! as AsyncIterable<Buffer>) {
        if (text.includes('Ready to accept connections')) break
      }
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
    async close() {
      await server.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

/** Waits until something holds, at most some seconds. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const until = performance.now() + 10_000
  while (!(await holds())) {
    if (performance.now() > until) throw new Error('it did not come true within 10 s')
    await wait(20)
  }
}

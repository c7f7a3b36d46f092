import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { writeBundle } from '../../models/bundle/write.ts'
import { built } from '../built/build.ts'
import { lexicalDraft } from './lexical-draft.ts'
import { startServing, workersOf } from './weir-process.ts'

let root: string
let taken: Server
let takenPort: number
const started: ChildProcess[] = []
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-workers-'))
  await writeBundle(root, await lexicalDraft(0.5))
  await writeFile(join(root, 'file'), '')
  const upstream = { kind: 'openai', base_url: 'http://127.0.0.1:1/v1', key_env: 'WEIR_NOT_SET' }
  const models = {
    strong: { upstreams: [{ upstream: 'x' }] },
    weak: { upstreams: [{ upstream: 'x' }] },
  }
  await writeFile(
    join(root, 'unset.json'),
    JSON.stringify({
      routers: [{ path: join(root, 'cli') }],
      gateway: { upstreams: { x: upstream }, models },
    }),
  )
  taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  takenPort = (taken.address() as { port: number }).port
})
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  taken.close()
  await rm(root, { recursive: true })
})

function weir(...options: string[]) {
  const node = [join(built(), 'scripts/weir.js'), 'serve', '--json', ...options]
  const child = spawn(process.execPath, node, { stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  const said = { out: '', errors: '' }
  child.stdout.on('data', (chunk) => {
    said.out += chunk
  })
  child.stderr.on('data', (chunk) => {
    said.errors += chunk
  })
  return { child, said }
}

/** Its exit code, or `hangs`. */
async function ends(child: ChildProcess, limitMs = 15_000): Promise<number | string | null> {
  if (child.exitCode !== null) return child.exitCode
  const late = new Promise<string>((resolve) => setTimeout(resolve, limitMs, 'hangs').unref())
  return Promise.race([once(child, 'exit').then(([code, signal]) => code ?? signal), late])
}

describe('a start-up error ends a server with workers as it ends one process', () => {
  test.each<[string, () => string[], number, string]>([
    ['a port in use', () => [join(root, 'cli'), '--port', String(takenPort)], 1, 'address_in_use'],
    ['a missing bundle', () => [join(root, 'none'), '--port', '0'], 1, 'none'],
    [
      'the key of an upstream not set',
      () => ['--config', join(root, 'unset.json'), '--port', '0'],
      2,
      'WEIR_NOT_SET',
    ],
    [
      'the admin port in use',
      () => [join(root, 'cli'), '--port', '0', '--admin-port', String(takenPort)],
      1,
      'address_in_use',
    ],
  ])('%s', async (_, options, code, named) => {
    for (const workers of ['1', '2']) {
      const { child, said } = weir(...options(), '--workers', workers)
      expect([workers, await ends(child)], said.errors).toEqual([workers, code])
      expect(said.errors).toContain(named)
      expect(said.errors.match(/^error: /gm), said.errors).toHaveLength(1)
      // one error and no start line, for the program that reads them
      expect(Object.keys(JSON.parse(said.out))).toEqual(['error'])
      expect(said.out).toContain(named)
    }
  })
})

describe.skipIf(process.platform !== 'linux')('workers that are still starting', () => {
  const firstWorkers = async (child: ChildProcess): Promise<number[]> => {
    let found: number[] = []
    await expect
      .poll(
        async () => {
          found = await workersOf(child.pid!)
          return found.length
        },
        { timeout: 10_000, interval: 5 },
      )
      .toBe(2)
    return found
  }

  test('end at once with SIGTERM', async () => {
    const { child, said } = weir(join(root, 'cli'), '--port', '0', '--workers', '2')
    for (const worker of await firstWorkers(child)) process.kill(worker, 'SIGSTOP')
    child.kill('SIGTERM')
    expect(await ends(child, 5000), said.errors).toBe(0)
    expect(said.out).toBe('')
  })

  test('are replaced where one is killed, and the server starts', async () => {
    const { child, said } = weir(join(root, 'cli'), '--port', '0', '--workers', '2')
    const [victim] = await firstWorkers(child)
    process.kill(victim!, 'SIGKILL')
    await expect.poll(() => said.out, { timeout: 15_000 }).toContain('"url"')
    expect(said.errors).toMatch(/worker \d+ ended \(SIGKILL\), starting another in 200 ms/)
    expect(await workersOf(child.pid!)).toHaveLength(2)
  })

  test('end the server with their reason where they keep dying, ever slower', async () => {
    const { child, said } = weir(join(root, 'cli'), '--port', '0', '--workers', '2')
    const end = ends(child, 30_000)
    while (child.exitCode === null && child.signalCode === null) {
      for (const worker of await workersOf(child.pid!)) {
        try {
          process.kill(worker, 'SIGKILL')
        } catch {
          // it has ended meanwhile
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(await end, said.errors).toBe(1)
    for (const wait of [200, 400, 800, 1600]) {
      expect(said.errors).toContain(`starting another in ${wait} ms`)
    }
    expect(said.errors).toContain('workers_failed')
    expect(said.errors).toContain('SIGKILL')
  }, 40_000)
})

test.skipIf(process.platform !== 'linux')(
  'a request on a worker that is killed before it takes it is answered by another at once',
  async () => {
    const served = await startServing(
      [join(built(), 'scripts/weir.js')],
      [join(root, 'cli'), '--port', '0', '--workers', '2'],
      started,
    )
    const [victim] = await workersOf(served.child.pid!)
    process.kill(victim!, 'SIGSTOP')
    const port = Number(new URL(served.url).port)
    const body = '{"prompt":"x"}'
    const head = `POST /route HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
    /** The status, or how the connection ended without one. */
    const ask = (): Promise<string> =>
      new Promise((resolve) => {
        let text = ''
        const socket = connect(port, '127.0.0.1', () => socket.write(head + body))
        socket.on('data', (chunk) => {
          text += chunk
        })
        socket.on('error', () => {})
        socket.on('close', () => resolve(/^HTTP\S+ (\d+)/.exec(text)?.[1] ?? 'none'))
      })
    const asked = Array.from({ length: 8 }, ask)
    // some are with the stopped worker: nothing answers them before it dies
    await new Promise((resolve) => setTimeout(resolve, 300))
    const killed = performance.now()
    process.kill(victim!, 'SIGKILL')
    const late = new Promise((resolve) => setTimeout(resolve, 10_000, 'hangs').unref())
    const answers = await Promise.all(asked.map((answer) => Promise.race([answer, late])))
    expect(answers).toEqual(asked.map(() => '200'))
    expect(performance.now() - killed).toBeLessThan(5000)
  },
  60_000,
)

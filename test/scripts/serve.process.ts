import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { writeBundle } from '../../models/bundle/write.ts'
import type { Decision } from '../../models/decision/decision.ts'
import { readDecisionLog } from '../../records/log-reader.ts'
import { serveCommand } from '../../scripts/cli/commands/serve.ts'
import { type ServeFlags, serveConfig } from '../../scripts/cli/serve-config.ts'
import type { ReloadReport } from '../../serving/router/fleet.ts'
import type { ServeConfig } from '../../serving/server/config.ts'
import { built } from '../built/build.ts'
import { lexicalDraft } from './lexical-draft.ts'
import { type ServingProcess, startServing, workersOf } from './weir-process.ts'

let root: string
const started: ChildProcess[] = []
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-serve-'))
  await writeBundle(root, await lexicalDraft(0.5))
})
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})
afterAll(() => rm(root, { recursive: true }))

const serve = (...options: string[]): Promise<ServingProcess> =>
  startServing(
    [join(built(), 'scripts/weir.js')],
    [join(root, 'cli'), '--port', '0', ...options],
    started,
  )

const post = (url: string, body: object, headers: object = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

/** The parsed answer. */
async function answered(
  url: string,
  body: object,
  headers: object = {},
): Promise<Decision & ReloadReport> {
  return (await (await post(url, body, headers)).json()) as Decision & ReloadReport
}

async function stop({ child }: ServingProcess): Promise<number> {
  const end = once(child, 'exit')
  child.kill('SIGTERM')
  return (await end)[0]
}

test('weir serve answers, reloads on SIGHUP, writes its log and ends well', async () => {
  const folder = join(root, 'log-one')
  const served = await serve('--log', folder)
  const decision = await answered(`${served.url}/route`, { prompt: 'prove theorem 3' })
  expect(decision).toMatchObject({ object: 'routing.decision', router: { name: 'cli' } })
  const { manifest } = await writeBundle(root, await lexicalDraft(0.9))
  served.child.kill('SIGHUP')
  await expect
    .poll(async () => (await answered(`${served.url}/route`, { prompt: 'x' })).router.version, {
      timeout: 10_000,
    })
    .toBe(manifest.version)
  // said once the audit log has it, after the version has begun to serve
  await expect.poll(served.errors, { timeout: 10_000 }).toContain('serves now, in place of')
  expect(await stop(served)).toBe(0)
  const ids: string[] = []
  for await (const { record } of readDecisionLog(folder)) {
    if (record.object === 'decision') ids.push(record.id)
  }
  expect(ids).toContain(decision.id)
})

test('kill -9 under load loses no acknowledged feedback, and the log reads whole', async () => {
  const folder = join(root, 'log-killed')
  const served = await serve('--log', folder)
  const acknowledged: string[] = []
  let dead = false
  const client = async (name: number): Promise<void> => {
    for (let i = 0; !dead; i++) {
      try {
        const { id } = await answered(`${served.url}/route`, { prompt: `prove ${name} ${i}` })
        const answer = await post(`${served.url}/feedback`, { decision_id: id, score: 1 })
        if (answer.ok) acknowledged.push(id)
      } catch {
        // the server is gone
      }
      if (acknowledged.length === 100) served.child.kill('SIGKILL')
    }
  }
  const clients = Array.from({ length: 16 }, (_, name) => client(name))
  await once(served.child, 'exit')
  dead = true
  await Promise.all(clients)
  const decisions = new Set<string>()
  const feedback = new Set<string>()
  const stats = { torn: 0, invalid: 0 }
  for await (const { record } of readDecisionLog(folder, stats)) {
    if (record.object === 'decision') decisions.add(record.id)
    if (record.object === 'feedback') feedback.add(record.decision_id)
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(100)
  expect(acknowledged.filter((id) => !feedback.has(id) || !decisions.has(id))).toEqual([])
  expect(stats.invalid).toBe(0)
  expect(stats.torn).toBeLessThanOrEqual(1)
})

test.skipIf(process.platform !== 'linux')(
  '--workers replaces one that is killed, reloads all, adds their metrics up and drains',
  async () => {
    const served = await serve('--workers', '2', '--admin-port', '0')
    for (let i = 0; i < 10; i++)
      expect((await post(`${served.url}/route`, { prompt: `x ${i}` })).status).toBe(200)
    const metrics = await (
      await fetch(`${served.admin}/metrics`, { headers: served.asAdmin })
    ).text()
    const counts = [...metrics.matchAll(/^weir_decisions_total\{.*\} (\d+)$/gm)].map((m) =>
      Number(m[1]),
    )
    expect(counts.reduce((a, b) => a + b, 0)).toBe(10)
    const { manifest } = await writeBundle(root, await lexicalDraft(0.8))
    const reload = await answered(`${served.admin}/admin/reload`, {}, served.asAdmin)
    expect(reload.routers[0]).toMatchObject({ version: manifest.version })
    const versions = new Set<string>()
    for (let i = 0; i < 10; i++) {
      versions.add((await answered(`${served.url}/route`, { prompt: 'v' })).router.version)
    }
    expect([...versions]).toEqual([manifest.version])
    const [victim] = (await workersOf(served.child.pid!)).slice(-1)
    // it dies while it is asked for its metrics, and the one in its place is not there yet: the other's are told
    process.kill(victim!, 'SIGSTOP')
    const asked = fetch(`${served.admin}/metrics`, { headers: served.asAdmin })
    await new Promise((resolve) => setTimeout(resolve, 100))
    process.kill(victim!, 'SIGKILL')
    const answer = await asked
    expect([answer.status, await answer.text()]).toEqual([
      200,
      expect.stringContaining('weir_decisions_total'),
    ])
    await expect.poll(served.errors, { timeout: 10_000 }).toContain('starting another')
    await expect
      .poll(async () => (await workersOf(served.child.pid!)).length, { timeout: 10_000 })
      .toBe(2)
    expect(await stop(served)).toBe(0)
  },
)

/** What weir serve would serve with these arguments. */
async function configOf(bundles: readonly string[], line: string): Promise<ServeConfig> {
  const command = serveCommand()
  command.parseOptions(line.split(' '))
  return serveConfig(bundles, command.opts<ServeFlags>())
}

test.each([
  ['--split a=b', '--split'],
  ['--alias a', '--alias'],
  ['--rate 0', '--rate'],
  ['--log x --log-text some', '--log-text'],
])('weir serve refuses %j, naming the option', async (line, named) => {
  await expect(configOf(['bundle'], line)).rejects.toMatchObject({
    code: 'option_invalid',
    message: expect.stringContaining(named),
  })
})

test('weir serve refuses a configuration file with an unknown field, and no router at all', async () => {
  const config = join(root, 'bad.json')
  await writeFile(config, '{"routers": [{ "path": "x" }], "ratelimit": 5}')
  await expect(serveConfig([], { config })).rejects.toThrow(
    /bad\.json:1: ratelimit: expected no such field/,
  )
  await expect(serveConfig([], {})).rejects.toMatchObject({ code: 'config_invalid' })
})

test('errors that show when the gateway opens name the file and the line', async () => {
  const config = join(root, 'gateway.yaml')
  const upstreams = (more: string, behind = 'local') =>
    writeFile(
      config,
      `gateway:
  upstreams:
    local:
      base_url: http://127.0.0.1:9
      ${more}
  models:
    gpt-4.1-mini:
      price: { input: 1, output: 1 }
      upstreams:
        - upstream: ${behind}
          model: m
`,
    )
  const error = () =>
    serveCommand()
      .parseAsync([join(root, 'cli'), '--port', '0', '--config', config], { from: 'user' })
      .then(
        () => 'no error',
        (thrown: Error) => thrown.message,
      )
  await upstreams('timeout: 5')
  expect(await error()).toMatch(/gateway\.yaml:5: gateway\.upstreams\.local\.timeout: expected no/)
  await upstreams('kind: other')
  expect(await error()).toMatch(/gateway\.yaml:5: gateway\.upstreams\.local\.kind: expected one of/)
  await upstreams('headers: {}', 'remote')
  expect(await error()).toMatch(/gateway\.yaml:10: gateway\.models\.gpt-4\.1-mini\.upstreams\[0\]/)
})

test('weir serve --print-config prints a file that says the same as file and flags', async () => {
  const config = join(root, 'some.json')
  await writeFile(config, '{"deadline_ms": 9, "aliases": {"x.y": "a"}, "log": {"folder": "l"}}')
  const line = `--config ${config} --split s=a:90,b:10 --log-text full --cache 0`
  const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  await serveCommand().parseAsync(['bundles/a', '--print-config', ...line.split(' ')], {
    from: 'user',
  })
  const printed = print.mock.calls.map(([text]) => text).join('')
  print.mockRestore()
  const file = join(root, 'printed.yaml')
  await writeFile(file, printed)
  expect(await configOf([], `--config ${file}`)).toEqual(await configOf(['bundles/a'], line))
})

test('flags of weir serve win over its file', async () => {
  const config = join(root, 'good.json')
  await writeFile(
    config,
    '{"deadline_ms": 9, "cache_entries": 1, "log": {"folder": "a", "text": "full"}}',
  )
  const line = `--config ${config} --deadline 20 --split s=a:90,b:10 --log b --shadow a=b`
  expect(await configOf(['bundles/a', 'bundles/b'], line)).toEqual({
    routers: [{ path: 'bundles/a' }, { path: 'bundles/b' }],
    deadline_ms: 20,
    cache_entries: 1,
    splits: {
      s: [
        { router: 'a', weight: 90 },
        { router: 'b', weight: 10 },
      ],
    },
    shadows: [{ of: 'a', router: 'b' }],
    log: { folder: 'b', text: 'full' },
  })
})

test('--allow-encoder-host adds to the hosts of the file', async () => {
  const config = join(root, 'hosts.json')
  await writeFile(config, '{"allow_encoder_hosts": ["a.example", "b.example:8443"]}')
  const line = `--config ${config} --allow-encoder-host c.example --allow-encoder-host a.example`
  expect((await configOf(['bundles/a'], line)).allow_encoder_hosts).toEqual([
    'a.example',
    'b.example:8443',
    'c.example',
  ])
})

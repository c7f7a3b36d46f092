import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { WeirClient } from '../../serving/client.ts'
import { runServer } from '../../serving/server/run-server.ts'
import { fitLexical } from '../../training/lexical/fit.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { figureTable } from './figures.ts'
import { benchPrompts, writeRouteBundle } from './route-bundle.ts'

/**
 * `tsx scripts/bench/reload.ts`: replaces the bundle a hundred times under load over HTTP. Every request must
 * be answered, with the threshold of the version named in the answer.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    reloads: { type: 'string', default: '100' },
  },
})
const CLIENTS = 8
const VERSIONS = 9
const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-reload-'))
const encoder = await fitLexical({ prompts: benchPrompts(1, 1000) })
const path = dirname(await writeRouteBundle(root, encoder))
const notes: string[] = []
const server = await runServer(
  { routers: [{ path }] },
  {
    host: '127.0.0.1',
    port: 0,
    onBug: (error) => notes.push(String(error)),
    onWarning: (message) => void (message.includes('refused') && notes.push(message)),
  },
)
const thresholds = new Map<string, number>()
const note = async (report: ReturnType<typeof server.reloader.reload>): Promise<void> => {
  await report
  const { manifest } = server.services.fleet.snapshot!.routers.get('bench-given')!.router
  thresholds.set(manifest.version, manifest.threshold.value)
}
await note(server.reloader.reload())
const seen: { version: string; threshold: number }[] = []
let failed = 0
let done = false
const client = new WeirClient({ baseUrl: server.url })
const load = async (name: number): Promise<void> => {
  for (let i = 0; !done; i++) {
    try {
      const { router, threshold } = await client.route(`Client ${name} asks why, ${i % 100} times.`)
      seen.push({ version: router.version, threshold })
    } catch (error) {
      failed++
      notes.push(String(error))
    }
  }
}
try {
  const clients = Array.from({ length: CLIENTS }, (_, name) => load(name))
  const total = Number(values.reloads)
  for (let i = 0; i < total; i++) {
    terminal.onProgress({ stage: 'reloading', done: i, total })
    await writeRouteBundle(root, encoder, 0.3 + ((i % VERSIONS) + 1) / 100)
    await note(server.reloader.reload())
  }
  done = true
  await Promise.all(clients)
  terminal.endProgress()
  const mixed = seen.filter(
    ({ version, threshold }) => thresholds.get(version) !== threshold,
  ).length
  const figures = {
    reloads: total,
    reload_requests: seen.length,
    reload_failed: failed + notes.length,
    reload_mixed: mixed,
    reload_versions_seen: new Set(seen.map(({ version }) => version)).size,
  }
  if (values.json) terminal.json({ figures, notes })
  else terminal.print(figureTable(figures))
  process.exitCode = figures.reload_failed + mixed === 0 ? 0 : 1
} finally {
  await server.close()
  await rm(root, { recursive: true })
}

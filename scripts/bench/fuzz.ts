import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runServer } from '../../serving/server/run-server.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { figureTable, residentMegabytes } from './figures.ts'
import { attack } from './fuzz/attack.ts'
import { writeRouteBundle } from './route-bundle.ts'

/**
 * `tsx scripts/bench/fuzz.ts`: sends 50,000 random and mutated requests to a server in this process. It must
 * return no 5xx except the intended 503, not crash, and not leak memory.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    requests: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
  },
})
const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-fuzz-'))
const faults: unknown[] = []
const server = await runServer(
  { routers: [{ path: await writeRouteBundle(root) }], log: { folder: join(root, 'log') } },
  {
    host: '127.0.0.1',
    port: 0,
    onBug: (error) => faults.push(error),
    onWarning: (message, error) => faults.push(error ?? message),
  },
)
try {
  const port = Number(new URL(server.url).port)
  const total = Number(values.requests)
  const shared = { port, connections: 16 }
  await attack({ ...shared, requests: Math.min(2000, total), seed: Number(values.seed) + 1 })
  const before = residentMegabytes('self')
  const result = await attack({
    ...shared,
    requests: total,
    seed: Number(values.seed),
    onProgress: (done) => terminal.onProgress({ stage: 'fuzzing', done, total }),
  })
  const growth = residentMegabytes('self') - before
  terminal.endProgress()
  const alive = (await fetch(`${server.url}/health`)).status
  const figures = {
    fuzz_requests: result.sent,
    fuzz_server_errors: result.serverErrors.length + faults.length,
    fuzz_alive: alive === 200 ? 1 : 0,
    fuzz_memory_growth_mb: growth,
  }
  if (values.json) {
    terminal.json({ figures, statuses: result.statuses, serverErrors: result.serverErrors })
  } else {
    terminal.print(`${result.sent} requests: ${JSON.stringify(result.statuses)}`)
    terminal.print(figureTable(figures))
    for (const error of [...result.serverErrors, ...faults]) terminal.note(String(error))
  }
  process.exitCode = figures.fuzz_server_errors === 0 && alive === 200 ? 0 : 1
} finally {
  await server.close()
  await rm(root, { recursive: true })
}

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { makeUseLite } from '../../models/encoders/use-lite/encoder.ts'
import { type RunningServer, runServer } from '../../serving/server/run-server.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { applyLoad } from './load.ts'
import { benchPrompts, writeRouteBundle } from './route-bundle.ts'

/**
 * `tsx scripts/bench/event-loop.ts`: how late the event loop is while a semantic encoder works at capacity in
 * its worker threads, and what `POST /route/batch` gains over single requests.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '5' },
  },
})
const BATCH = 100
const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-loop-'))
const seconds = Number(values.seconds)
const source = benchPrompts(120, 2000)
const prompts = Array.from({ length: 4000 }, (_, i) => ({
  prompt: `Request ${i}: ${source[i % source.length]}`,
}))
try {
  const singles = join(root, 'singles.jsonl')
  const batches = join(root, 'batches.jsonl')
  await writeFile(singles, prompts.map((request) => `${JSON.stringify(request)}\n`).join(''))
  const grouped = Array.from({ length: prompts.length / BATCH }, (_, i) =>
    prompts.slice(i * BATCH, (i + 1) * BATCH),
  )
  await writeFile(batches, grouped.map((requests) => `${JSON.stringify({ requests })}\n`).join(''))
  const useLite = await makeUseLite()
  const loop = await withServer(await writeRouteBundle(root, useLite), async ({ url }) => {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const load = await applyLoad({ url, connections: 16, seconds, bodies: singles })
    delay.disable()
    // every sample includes the timer's millisecond
    return { p99: delay.percentile(99) / 1e6 - 1, perSecond: load.requests / load.seconds }
  })
  await useLite.encoder.close?.()
  const gain = await withServer(await writeRouteBundle(root), async ({ url }) => {
    const one = await applyLoad({ url, connections: 16, seconds, bodies: singles })
    const many = await applyLoad({
      ...{ url, connections: 4, seconds, bodies: batches },
      path: '/route/batch',
    })
    return (many.requests * BATCH) / many.seconds / (one.requests / one.seconds)
  })
  const figures = {
    event_loop_p99_ms: loop.p99,
    use_lite_per_second: loop.perSecond,
    batch_vs_single: gain,
  }
  if (values.json) terminal.json({ figures })
  else {
    terminal.print(
      `use-lite at ${loop.perSecond.toFixed(0)} requests/s: event loop late by ${loop.p99.toFixed(1)} ms at p99`,
    )
    terminal.print(`a batch of ${BATCH} does ${gain.toFixed(1)} times as many prompts a second`)
  }
} finally {
  await rm(root, { recursive: true })
}

async function withServer<T>(
  path: string,
  work: (server: RunningServer) => Promise<T>,
): Promise<T> {
  const server = await runServer(
    { routers: [{ path }], deadline_ms: 0, cache_entries: 0 },
    {
      host: '127.0.0.1',
      port: 0,
      onBug: (error) => terminal.note(String(error)),
      onWarning: (message) => terminal.note(message),
    },
  )
  try {
    return await work(server)
  } finally {
    await server.close()
  }
}

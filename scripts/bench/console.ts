import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { type BrowserContext, chromium } from 'playwright-core'
import type { TrafficRow } from '../../serving/server/console/contract.ts'
import { openTerminal } from '../terminal/terminal.ts'
import { cpuSeconds, figureTable, middle } from './figures.ts'
import { SOURCE } from './load.ts'
import { benchPrompts, writeRouteBundle } from './route-bundle.ts'

/**
 * `npm run bench:console`: what an open console costs `weir serve` at 1,000 decisions a second (CPU of its process in
 * windows with and without the page, in turns), the time to the first view, and the longest frame while 100,000
 * decisions scroll in the table. Needs Chromium and built pages (`npm run build:console`).
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '5' },
  },
})
const BATCH = 10
const BATCHES_PER_SECOND = 100
const ROWS = 100_000
const FRAMES = 300
const WARM_SECONDS = 10

const terminal = openTerminal()
const root = await mkdtemp(join(tmpdir(), 'weir-bench-console-'))
const weir = join(import.meta.dirname, '../weir.ts')
const prompts = benchPrompts(300, 500)
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
let server: ChildProcess | undefined
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
try {
  const bundle = await writeRouteBundle(root)
  const [program, ...rest] = SOURCE
  const serve = ['serve', bundle, '--port', '0', '--admin-port', '0', '--console', '--json']
  server = spawn(program!, [...rest, weir, ...serve], { stdio: ['ignore', 'pipe', 'inherit'] })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: server!.stdout! }).once('line', resolve)
    server!.once('exit', (code) => reject(new Error(`weir serve ended with ${code}`)))
  })
  const { url, console: address } = JSON.parse(line) as { url: string; console: string }
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  const signIn = await context.newPage()
  await signIn.goto(address)
  await signIn.waitForSelector('.stats')
  await signIn.close()
  const home = address.split('#')[0]!
  const cost = await costOfPage(url, home, server.pid!, context)
  const firstView = await firstViewMs(home, context)
  const frames = await scrolledFrames(home, context)
  const figures = {
    ...cost,
    first_view_ms: firstView,
    frame_longest_ms: Math.max(...frames),
    frame_median_ms: middle(frames),
    frames_over_50_ms: frames.filter((ms) => ms > 50).length,
    load_average: loadavg()[0]!,
  }
  terminal.endProgress()
  if (values.json) terminal.json({ figures })
  else terminal.print(figureTable(figures))
} finally {
  await browser.close()
  server?.kill('SIGTERM')
  await rm(root, { recursive: true, force: true })
}

/** Percent of one core that the server takes, by windows in turns. */
async function costOfPage(
  url: string,
  home: string,
  pid: number,
  context: BrowserContext,
): Promise<Record<string, number>> {
  let sent = 0
  let refused = 0
  const send = async (): Promise<void> => {
    const requests = Array.from({ length: BATCH }, (_, i) => ({
      prompt: `${sent + i}: ${prompts[(sent + i) % prompts.length]}`,
    }))
    sent += BATCH
    const answer = await fetch(`${url}/route/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ requests }),
    })
    await answer.arrayBuffer()
    // a server on a busy machine sheds load
    if (answer.status === 503) refused += BATCH
    else if (!answer.ok) throw new Error(`/route/batch answered ${answer.status}`)
  }
  /** Sends at the rate, and takes the server's CPU over it. */
  const window = async (seconds: number): Promise<{ percent: number; perSecond: number }> => {
    const open = new Set<Promise<void>>()
    const [start, cpu, before] = [performance.now(), cpuSeconds(pid), sent]
    let due = 0
    let fault: unknown
    while (performance.now() - start < seconds * 1000) {
      for (; due < ((performance.now() - start) / 1000) * BATCHES_PER_SECOND; due++) {
        const one = send()
          .catch((error) => {
            fault = error
          })
          .finally(() => open.delete(one))
        open.add(one)
      }
      await wait(5)
    }
    await Promise.all(open)
    if (fault !== undefined) throw fault
    const took = (performance.now() - start) / 1000
    const percent = ((cpuSeconds(pid) - cpu) / took) * 100
    return { percent, perSecond: (sent - before) / took }
  }
  const seconds = Number(values.seconds)
  const rounds = Number(values.rounds)
  terminal.onProgress({ stage: 'warming up', done: 0 })
  await window(WARM_SECONDS)
  const without: number[] = []
  const differences: Record<'overview' | 'live', number[]> = { overview: [], live: [] }
  const rates: number[] = []
  for (let round = 0; round < rounds; round++) {
    terminal.onProgress({ stage: 'with and without a page', done: round, total: rounds })
    const alone = await window(seconds)
    without.push(alone.percent)
    rates.push(alone.perSecond)
    for (const view of ['overview', 'live'] as const) {
      const page = await context.newPage()
      await page.goto(`${home}#/${view}`)
      await page.waitForSelector('h1')
      // the first answer carries what is kept; what follows is the page's standing cost
      await wait(3000)
      differences[view].push((await window(seconds)).percent - alone.percent)
      await page.close()
    }
  }
  return {
    decisions_per_second: middle(rates),
    refused_percent: (refused / sent) * 100,
    cpu_without_percent: middle(without),
    ...Object.fromEntries(
      Object.entries(differences).flatMap(([view, all]) => [
        [`cpu_more_with_${view}_percent`, middle(all)],
        [`cpu_more_with_${view}_least`, Math.min(...all)],
        [`cpu_more_with_${view}_most`, Math.max(...all)],
      ]),
    ),
  }
}

/** From opening the address to figures on the page, nothing cached; the median of five. */
async function firstViewMs(home: string, context: BrowserContext): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < 5; i++) {
    const page = await context.newPage()
    const session = await context.newCDPSession(page)
    await session.send('Network.setCacheDisabled', { cacheDisabled: true })
    const start = performance.now()
    await page.goto(`${home}#/overview`, { waitUntil: 'commit' })
    await page.waitForSelector('.stats')
    times.push(performance.now() - start)
    await page.close()
  }
  return middle(times)
}

/** Milliseconds between frames while the table of Live scrolls from its top to its end. */
async function scrolledFrames(home: string, context: BrowserContext): Promise<number[]> {
  const page = await context.newPage()
  const body = JSON.stringify({ rows: manyRows(), seen: ROWS, next: ROWS, more: false })
  const empty = JSON.stringify({ rows: [], seen: ROWS, next: ROWS, more: false })
  await page.route('**/console/api/decisions*', (route) =>
    route.fulfill({
      contentType: 'application/json',
      body: route.request().url().includes(`after=${ROWS}`) ? empty : body,
    }),
  )
  await page.goto(`${home}#/live`)
  await page.waitForSelector('[role="row"] >> nth=10', { timeout: 60_000 })
  await wait(2000)
  const frames = (await page.evaluate(`new Promise((resolve, reject) => {
    const box = [...document.querySelectorAll('*')].find((one) => one.scrollHeight > ${ROWS * 20} && one.clientHeight < 2000 && getComputedStyle(one).overflowY !== 'visible')
    if (!box) return reject(new Error('no table with so many rows'))
    const frames = []
    const end = box.scrollHeight - box.clientHeight
    let last
    const step = (now) => {
      if (last !== undefined) frames.push(now - last)
      last = now
      if (frames.length >= ${FRAMES}) return resolve(frames)
      box.scrollTop = end * frames.length / ${FRAMES}
      requestAnimationFrame(step)
    }
    requestAnimationFrame(step)
  })`)) as number[]
  await page.close()
  return frames
}

function manyRows(): TrafficRow[] {
  const start = Date.now() - ROWS
  return Array.from({ length: ROWS }, (_, i) => ({
    ...{ id: `decision-${i}`, seq: i + 1, time: start + i, endpoint: 'route', key: `key-${i % 7}` },
    ...{ router: 'bench', version: '1', model: i % 3 ? 'small-1' : 'big-1' },
    ...{ win_rate: (i % 100) / 100, threshold: 0.5, step: 'learned', reason: 'win_rate_reached' },
    ...{ rule: null, flags: i % 50 ? [] : ['error'], decision_ms: 0.2, ms: 200, first_byte_ms: 90 },
    ...{ cost_usd: 0.001, saved_usd: 0.002, status: 200, code: null, session: null, trace: null },
    ...{ propensity: 1, text: prompts[i % prompts.length]!, prompt_hash: null },
    ...{ attempts: [], checks: [] },
  }))
}

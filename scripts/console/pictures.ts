import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

/** `npm run console:pictures`: starts the demo and takes the pictures of docs/console.md. Needs Chromium. */
const ROOT = join(import.meta.dirname, '../..')
const OUT = join(ROOT, 'docs/pictures')
const PROMPT =
  'Write a Rust class that implements a lock-free concurrent queue, is safe under concurrent writers and is proven free of deadlock.'
const VIEWS: readonly (readonly [name: string, place: string])[] = [
  ['overview', 'overview'],
  ['playground', `playground?prompt=${encodeURIComponent(PROMPT)}`],
  ['curve', 'curve'],
  ['live', 'live'],
]
/** Milliseconds of traffic before the first picture. */
const TRAFFIC_MS = 45_000

const work = await mkdtemp(join(tmpdir(), 'weir-pictures-'))
const demo = spawn(
  process.execPath,
  ['--import', 'tsx', join(ROOT, 'scripts/demo/demo.ts'), '--port', '0', '--out', work],
  { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] },
)
try {
  const address = await consoleAddress()
  await new Promise((resolve) => setTimeout(resolve, TRAFFIC_MS))
  await mkdir(OUT, { recursive: true })
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  })
  const context = await browser.newContext({ viewport: { width: 1120, height: 720 } })
  const page = await context.newPage()
  await page.goto(address)
  await page.waitForSelector('nav')
  for (const [name, place] of VIEWS) {
    await page.goto(`${address.split('#')[0]}#/${place}`)
    await page.waitForTimeout(2_500)
    await page.screenshot({ path: join(OUT, `${name}.png`) })
  }
  await page.setViewportSize({ width: 390, height: 780 })
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.goto(`${address.split('#')[0]}#/curve`)
  await page.waitForTimeout(2_500)
  await page.screenshot({ path: join(OUT, 'phone.png') })
  await browser.close()
} finally {
  demo.kill('SIGTERM')
  await rm(work, { recursive: true, force: true })
}

async function consoleAddress(): Promise<string> {
  for await (const line of createInterface({ input: demo.stdout! })) {
    const found = /^Console: (\S+)$/.exec(line)?.[1]
    if (found !== undefined) return found
  }
  throw new Error('the demo ended before it served its console')
}

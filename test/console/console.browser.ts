import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyHash } from '../../serving/router/keys.ts'
import { localBackend } from '../../serving/server/admin.ts'
import { serverHandlers } from '../../serving/server/console/handlers.ts'
import { Traffic } from '../../serving/server/console/traffic.ts'
import { createReloader } from '../../serving/server/reloader.ts'
import { adminConsole, openAdminPort } from '../../serving/server/run-server.ts'
import { type SampleApp, sampleApp } from '../serving/sample-app.ts'
import { scriptedUpstream } from '../serving/upstreams/scripted-upstream.ts'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const BUILT = join(import.meta.dirname, '../../dist/console')
const VIEWER = 'key-of-a-viewer'
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Sets a global where it is run as HTML or a script. */
const HOSTILE = `"><img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>javascript:hacked=1`

let sample: SampleApp
let browser: Browser
let url: string
const closing: (() => Promise<unknown> | unknown)[] = []
const faults: string[] = []
/** of the chats that were sent */
const statuses: number[] = []

beforeAll(async () => {
  if (!existsSync(CHROMIUM))
    throw new Error(`no ${CHROMIUM}: apt-get install chromium, or set CHROMIUM`)
  const upstream = await scriptedUpstream(HOSTILE)
  closing.push(() => upstream.close())
  const traffic = new Traffic({ texts: 'full', now: Date.now })
  sample = await sampleApp({
    services: {
      observers: [traffic.observe],
      servedObservers: [traffic.served],
      ratingObservers: [traffic.outcomes.rated],
    },
    config: () => ({
      keys: [{ name: 'vera', sha256: keyHash(VIEWER), console: 'viewer' as const }],
      gateway: {
        upstreams: { one: { base_url: upstream.url } },
        models: {
          big: { upstreams: [{ upstream: 'one' }], price: { input: 10, output: 20 } },
          small: {
            upstreams: [{ upstream: 'one', model: HOSTILE }],
            price: { input: 1, output: 2 },
          },
        },
      },
    }),
  })
  const { services, config } = sample
  const chat = (model: string) =>
    sample.app.inject({
      ...{ method: 'POST', url: '/v1/chat/completions' },
      headers: { authorization: `Bearer ${VIEWER}` },
      payload: {
        model,
        messages: [{ role: 'user', content: HOSTILE }],
        user: HOSTILE,
        weir: { session_id: HOSTILE, metadata: { [HOSTILE]: HOSTILE, tenant: HOSTILE } },
      },
    })
  // as a log that somebody else wrote has them
  traffic.logged({
    ...{ object: 'decision', id: 'logged', time: Date.now(), router: HOSTILE, version: HOSTILE },
    ...{ model: HOSTILE, win_rate: 0.5, threshold: 0.5, reason: HOSTILE, propensity: 1 },
    ...{ prompt_hash: HOSTILE, fallback_reason: HOSTILE, session_id: HOSTILE, text: HOSTILE },
  })
  for (const behaviour of ['answer', 'bad_request'] as const) {
    upstream.otherwise = behaviour
    for (const model of ['weir', 'small', HOSTILE]) {
      statuses.push((await chat(model)).statusCode)
    }
  }
  for (let i = 0; i < 60; i++) {
    await services.decider.route({ prompt: `${HOSTILE} ${i}`, session_id: HOSTILE }, {})
  }
  const reloader = createReloader({ fleet: services.fleet, onReload: () => {}, onNote: () => {} })
  const console = adminConsole(config, serverHandlers(services, config, traffic), Date.now)
  const backend = localBackend(services.fleet, reloader, async () => '')
  const port = await openAdminPort(backend, services, {
    port: 0,
    console: { ...console, title: HOSTILE },
  })
  url = port.url
  closing.push(
    () => port.close(),
    () => reloader.close(),
    () => sample.close(),
  )
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
  closing.unshift(() => browser.close())
})
afterAll(async () => {
  for (const close of closing) await close()
})

async function open(
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<{ page: Page; context: BrowserContext }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error' && !/40[13]|ERR_/.test(message.text()))
      faults.push(message.text())
  })
  await page.goto(`${url}/console/`)
  return { page, context }
}

async function signedIn(
  options?: Parameters<Browser['newContext']>[0],
): Promise<{ page: Page; context: BrowserContext }> {
  const opened = await open(options)
  await opened.page.fill('#key', VIEWER)
  await opened.page.press('#key', 'Enter')
  await opened.page.waitForSelector('nav[aria-label="Views"]', { state: 'attached' })
  return opened
}

const viewsOf = (page: Page): Promise<string[]> =>
  page.$$eval('nav a', (links) => links.map((link) => (link as { hash?: string }).hash ?? ''))

async function seriousFaults(page: Page): Promise<string[]> {
  // past the page's own policy, as a developer's tool
  const session = await page.context().newCDPSession(page)
  await session.send('Runtime.evaluate', { expression: AXE })
  const found = (await page.evaluate('axe.run()')) as {
    violations: { id: string; impact: string; nodes: { html: string }[] }[]
  }
  return found.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
}

test('the built files are under 250 kB gzipped, and the first view needs under 60', () => {
  const folder = join(BUILT, 'assets')
  const sizes = new Map(
    readdirSync(folder).map((name) => [name, gzipSync(readFileSync(join(folder, name))).length]),
  )
  expect([...sizes.values()].reduce((a, b) => a + b, 0)).toBeLessThan(250_000)
  const first = [...sizes].filter(([name]) => /^(index|overview|uPlot)/.test(name))
  expect(first.reduce((sum, [, size]) => sum + size, 0)).toBeLessThan(60_000)
})

test('nobody sees anything without a key, and a wrong key is told so', async () => {
  const { page, context } = await open()
  await page.fill('#key', 'wrong')
  await page.press('#key', 'Enter')
  expect(await page.textContent('[role="alert"]')).toContain('console_key_unknown')
  expect(await page.$('nav')).toBeNull()
  await context.close()
})

for (const [scheme, width] of [
  ['light', 1440],
  ['dark', 390],
] as const) {
  test(`every view: ${scheme}, ${width} wide: no script of a client, no serious fault of axe, no sideways scrolling`, async () => {
    const { page, context } = await signedIn({
      colorScheme: scheme,
      viewport: { width, height: 844 },
    })
    const views = await viewsOf(page)
    expect(views.length).toBeGreaterThan(2)
    for (const view of views) {
      await page.goto(`${url}/console/${view}`)
      await page.waitForSelector('h1')
      await page.waitForTimeout(700)
      expect(await page.evaluate('globalThis.hacked'), view).toBeUndefined()
      expect(await seriousFaults(page), view).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth'), view).toBe(
        true,
      )
    }
    await context.close()
  })
}

test('a prompt with markup is shown as text in the playground, and the threshold flips it', async () => {
  const { page, context } = await signedIn()
  await page.goto(`${url}/console/#/playground?prompt=${encodeURIComponent(HOSTILE)}`)
  const model = await page.waitForSelector('.verdict-model')
  const before = await model.textContent()
  await page.focus('input[type="range"]')
  await page.press('input[type="range"]', before?.includes('strong') ? 'End' : 'Home')
  await expect.poll(() => page.textContent('.verdict-model'), { timeout: 10_000 }).not.toBe(before)
  expect(await page.evaluate('globalThis.hacked')).toBeUndefined()
  await context.close()
})

test('markup in names of models, users, sessions and metadata of chats is text in every row that is opened', async () => {
  expect(statuses).toEqual([200, 200, 404, 400, 400, 404])
  const { page, context } = await signedIn()
  for (const filter of ['', `?model=${encodeURIComponent(HOSTILE)}`]) {
    await page.goto(`${url}/console/#/live${filter}`)
    const table = '[aria-label="Decisions"]'
    await page.waitForSelector(table)
    await expect.poll(() => page.textContent('main')).toContain(HOSTILE)
    await page.focus(table)
    await page.keyboard.press(filter === '' ? 'End' : 'Home')
    await page.keyboard.press('Enter')
    await page.waitForTimeout(500)
    expect(await page.evaluate('globalThis.hacked')).toBeUndefined()
    expect(await page.$$('main img, main script')).toEqual([])
  }
  await context.close()
})

test('says when the server is gone, and goes on when it is back', async () => {
  const { page, context } = await signedIn()
  await page.waitForSelector('.stats')
  await context.setOffline(true)
  await page.waitForSelector('.offline-line .note', { timeout: 10_000 })
  expect(await page.$('.stats')).not.toBeNull()
  await context.setOffline(false)
  await page.waitForSelector('.offline-line .note', { state: 'detached', timeout: 10_000 })
  await context.close()
})

test('the keyboard reaches the content, the views and signing out', async () => {
  const { page, context } = await signedIn()
  await page.keyboard.press('Tab')
  expect(await page.evaluate('document.activeElement.className')).toBe('skip')
  await page.focus('button[aria-label="Sign out"]')
  await page.keyboard.press('Enter')
  await page.waitForSelector('#key')
  await page.reload()
  expect(await page.$('nav')).toBeNull()
  await context.close()
})

describe('in all of it', () => {
  test('no script failed, and nothing broke the policy of the pages', () => {
    expect(faults).toEqual([])
  })
})

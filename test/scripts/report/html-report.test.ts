import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderFrontierHtml } from '../../../scripts/report/frontier-html.ts'
import { renderHtml, writeHtmlReport } from '../../../scripts/report/html-report.ts'
import { openPlot } from '../../../scripts/report/plot.ts'
import type { EvaluationReport } from '../../../training/evaluate/report/report.ts'
import { plantedReport } from './planted-report.ts'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
let folder: string
let report: EvaluationReport

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-report-'))
  report = await plantedReport(14_000, 5)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the HTML report', () => {
  test('is one file under 1.5 MB for 5 routers on 14,000 prompts, with nothing to fetch', async () => {
    const path = join(folder, 'report.html')
    await writeHtmlReport(path, report)
    const page = await readFile(path, 'utf8')
    expect(page.length).toBeLessThan(1_500_000)
    expect(page).not.toMatch(/(?:src|href)="(?!data:)[^#]/)
    expect(await readdir(folder)).toEqual(['report.html'])
  })

  test('escapes what prompts contain', async () => {
    const page = renderHtml(await openPlot(), report)
    expect(page).not.toContain('<img')
    expect(page).toContain('&lt;img src=x')
  })

  test('is drawn from preferences, without dollars or absolute quality, too', async () => {
    const bare = await plantedReport(500, 1, { costs: false })
    const page = renderHtml(await openPlot(), {
      ...bare,
      quality: { ...bare.quality, strong: null, weak: null },
    })
    expect(page).toContain('Dollars are not known')
    expect(page).not.toContain('id="figure-dollars"')
    expect(page).not.toMatch(/NaN|undefined<|null</)
  })

  test('says in one sentence what to do, with money and date', async () => {
    const page = renderHtml(await openPlot(), report, new Date('2026-12-01T12:00:00Z'))
    expect(page).toMatch(
      /As of 1 December 2026, on 14,000 prompts with known scores, router-1 sends [\d.]+% to big, which costs \$[\d.]+ per 1,000 requests where big alone costs \$[\d.]+ \([\d.]+% less\), and quality is/,
    )
  })

  test('a place that can not be written is said, and leaves nothing behind', async () => {
    await expect(writeHtmlReport(join(folder, 'missing', 'r.html'), report)).rejects.toThrow(
      /could not write .*missing.r\.html/,
    )
  })
})

describe.skipIf(!existsSync(CHROMIUM))(
  'in Chromium (needs one at CHROMIUM or /usr/bin/chromium)',
  () => {
    let browser: Browser
    const problems: string[] = []

    const open = async (width: number, scheme: 'light' | 'dark' = 'light'): Promise<Page> => {
      const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme })
      page.on('console', (message) => problems.push(message.text()))
      page.on('pageerror', (error) => problems.push(error.message))
      page.on('request', (request) => {
        if (!/^(?:file|data):/.test(request.url())) problems.push(`fetched ${request.url()}`)
      })
      await page.goto(`file://${join(folder, 'report.html')}`)
      return page
    }

    beforeAll(async () => {
      await writeHtmlReport(join(folder, 'report.html'), report)
      browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
    })
    afterAll(() => browser?.close())

    test.each([1280, 390])('nothing overflows at %i px', async (width) => {
      const page = await open(width)
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
      await page.close()
    })

    test('the slider, by keyboard, moves the share, the dollars and the mark on the curve', async () => {
      const page = await open(1280)
      const text = (id: string) => page.textContent(`#${id}`)
      const circle = () => page.getAttribute('.wide .marker circle', 'cx')
      const before = [await text('figure-share'), await text('figure-dollars'), await circle()]
      const { operating } = report.routers[0]!
      expect(before[0]).toBe(`${(100 * operating!.strong_share.value!).toFixed(1)}%`)
      await page.focus('#threshold')
      for (let press = 0; press < 10; press++) await page.keyboard.press('ArrowLeft')
      const after = [await text('figure-share'), await text('figure-dollars'), await circle()]
      expect(Number.parseFloat(after[0]!)).toBeGreaterThan(Number.parseFloat(before[0]!))
      expect(Number(after[1]!.slice(1))).toBeGreaterThan(Number(before[1]!.slice(1)))
      expect(Number(after[2])).toBeGreaterThan(Number(before[2]))
      await page.close()
    })

    test('another router is chosen with the keyboard, at its own threshold', async () => {
      const page = await open(1280)
      await page.selectOption('#router', { label: 'router-3' })
      const share = report.routers[2]!.operating!.strong_share.value!
      expect(await page.textContent('#figure-share')).toBe(`${(100 * share).toFixed(1)}%`)
      await page.close()
    })

    test('dark, light and print differ in their ground and keep text apart from it', async () => {
      const colours = async (page: Page) =>
        (await page.evaluate(
          '[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]',
        )) as [string, string]
      const light = await open(1280)
      const dark = await open(1280, 'dark')
      const [[lightGround], [darkGround, darkText]] = [await colours(light), await colours(dark)]
      expect(lightGround).not.toBe(darkGround)
      expect(darkText).not.toBe(darkGround)
      await dark.emulateMedia({ media: 'print', colorScheme: 'dark' })
      expect((await colours(dark))[0]).toBe(lightGround)
      expect(await dark.isVisible('#threshold')).toBe(false)
      await light.close()
      await dark.close()
    })

    test('a word is explained by keyboard, and the curve is saved as a PNG', async () => {
      const page = await open(390)
      await page.focus('.word[popovertarget="word-apgr"]')
      await page.keyboard.press('Enter')
      expect(await page.isVisible('#word-apgr')).toBe(true)
      const saved = page.waitForEvent('download')
      await page.click('.save button[data-as="png"]')
      const path = await (await saved).path()
      expect((await readFile(path)).subarray(1, 4).toString()).toBe('PNG')
      await page.close()
    })

    test('a router among many models has a page that fits a phone', async () => {
      const near = { value: 0.012, low: 0.004, high: 0.02 }
      const at = (cost: number) => ({
        cost_per_1k: cost,
        quality: { value: 0.7, low: 0.68, high: 0.72 },
        above_best_single: near,
        above_mixture: near,
      })
      const models = [1, 3, 9].map((cost, k) => ({
        model: `model-with-a-long-name-${k}`,
        role: k === 2 ? ('strong' as const) : ('weak' as const),
        cost_per_1k: cost,
        quality: 0.5 + 0.1 * k,
        share: 1 / 3,
      }))
      const many = renderFrontierHtml(
        await openPlot(),
        {
          routers: [
            {
              name: 'many',
              rows: 900,
              rule: { kind: 'best-value', lambda: 10 },
              source: 'default',
              cost_basis: 'logged',
              models,
              best_single: models[2]!.model,
              operating: at(4),
              budgets: [{ ...at(2.25), of_best_cost: 0.25 }],
              area: near,
              area_above_mixtures: near,
              oracle_area: 0.8,
              mixture_area: 0.6,
              curve: [1, 3, 9].map((cost) => ({ cost: cost / 1000, quality: 0.5 + cost / 40 })),
              works: true,
              verdict: 'beats mixtures of single models',
            },
          ],
          left_out: {} as never,
          warnings: ['<b>one</b>'],
        },
        new Date('2026-12-01T12:00:00Z'),
      )
      expect(many).toContain('As of 1 December 2026, on 900 prompts, many costs $4.00 per 1,000')
      expect(many).toContain('&lt;b&gt;one')
      const page = await open(390)
      await page.setContent(many)
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
      await page.close()
    })

    test('nothing was logged, thrown or fetched', () => {
      expect(problems).toEqual([])
    })
  },
)

import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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

    test('nothing was logged, thrown or fetched', () => {
      expect(problems).toEqual([])
    })
  },
)

import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { chromium } from 'playwright-core'
import { expect, test } from 'vitest'
import { startWeir } from './start-weir.ts'

const SAMPLE = join(import.meta.dirname, '../../data/sample/outcomes.jsonl.gz')

test('weir console: a dropped log is explained and trained from, with the report in the page', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-local-'))
  const rows = gunzipSync(readFileSync(SAMPLE)).toString('utf8').split('\n').slice(0, 1500)
  const log = join(folder, 'votes of a team.jsonl')
  await writeFile(log, rows.join('\n'))
  const weir = await startWeir(['console', '--port', '0', '--out', join(folder, 'out'), '--json'])
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  })
  try {
    const page = await browser.newPage()
    await page.goto(weir.console)
    await page.waitForSelector('nav', { state: 'attached' })
    // the code is used up, and is no longer in the address
    expect(page.url()).not.toContain('code=')
    const again = await browser.newContext()
    const second = await again.newPage()
    await second.goto(weir.console)
    await second.waitForSelector('#key')
    await page.goto(`${weir.console.split('#')[0]}#/data`)
    await page.setInputFiles('input[type="file"]', log)
    await page.click('text=Read it')
    await page.waitForSelector('form.train', { timeout: 60_000 })
    expect(await page.textContent('.output')).toContain('layout canonical')
    await page.click('form.train button[type="submit"]')
    const frame = await page.waitForSelector('iframe.report', { timeout: 100_000 })
    const report = await frame.contentFrame()
    expect(await report?.textContent('h1')).toBeTruthy()
  } finally {
    await browser.close()
    await weir.stop()
    await rm(folder, { recursive: true, force: true })
  }
}, 240_000)

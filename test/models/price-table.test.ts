import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readPrices } from '../../models/prices.ts'
import { priceOption } from '../../scripts/cli/log-options.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-prices-'))
})
afterEach(() => rm(folder, { recursive: true }))

const file = async (value: unknown): Promise<string> => {
  const path = join(folder, 'prices.json')
  await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value))
  return path
}

test('a price file gives each model its prices, those of cached tokens where they are said', async () => {
  const path = await file({ small: { input: 1, output: 2, cached_input: 0.1 } })
  expect(await readPrices(path)).toEqual(
    new Map([['small', { input: 1, output: 2, cached_input: 0.1 }]]),
  )
})

test('a price file that is wrong is refused by model and field', async () => {
  await expect(readPrices(join(folder, 'none.json'))).rejects.toMatchObject({
    code: 'file_not_found',
  })
  await expect(readPrices(await file('{'))).rejects.toThrow(/prices\.json: expected JSON/)
  await expect(readPrices(await file({ small: { input: -1, output: 2 } }))).rejects.toThrow(
    /prices\.json: small\.input: expected .*, got -1/,
  )
})

test('--price takes pairs and files, and the later one wins', async () => {
  const path = await file({ small: { input: 1, output: 2 }, big: { input: 5, output: 6 } })
  expect(await priceOption([path, 'small=3/4'])).toEqual(
    new Map([
      ['small', { input: 3, output: 4 }],
      ['big', { input: 5, output: 6 }],
    ]),
  )
  await expect(priceOption(['prices'])).rejects.toMatchObject({ code: 'option_invalid' })
})

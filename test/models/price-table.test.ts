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

test('a list whose names say the unit is read per million: LiteLLM, per thousand, OpenRouter', async () => {
  const litellm = {
    sample_spec: { input_cost_per_token: 'a comment', output_cost_per_token: 'another' },
    'gpt-4o': {
      input_cost_per_token: 2.5e-6,
      output_cost_per_token: 1e-5,
      cache_read_input_token_cost: 1.25e-6,
      input_cost_per_token_above_200k_tokens: 5e-6,
      max_input_tokens: 128_000,
      mode: 'chat',
    },
    claude: {
      input_cost_per_token: 3e-6,
      output_cost_per_token: 1.5e-5,
      cache_creation_input_token_cost: 3.75e-6,
    },
    'dall-e': { input_cost_per_pixel: 1e-8, output_cost_per_pixel: 0 },
    local: { input_cost_per_token: 0, output_cost_per_token: 0 },
  }
  expect(await readPrices(await file(litellm))).toEqual(
    new Map([
      [
        'gpt-4o',
        {
          input: 2.5,
          output: 10,
          cached_input: 1.25,
          tiers: [{ above: 200_000, input: 5, output: 10, cached_input: 1.25 }],
        },
      ],
      ['claude', { input: 3, output: 15, cache_write: 3.75 }],
      ['local', { input: 0, output: 0 }],
    ]),
  )
  const perThousand = {
    m: { input_cost_per_1k_tokens: 0.00015, output_cost_per_1k_tokens: '0.0006' },
  }
  expect(await readPrices(await file(perThousand))).toEqual(
    new Map([['m', { input: 0.15, output: 0.6 }]]),
  )
  const pricing = {
    prompt: '0.0000025',
    completion: '0.00001',
    input_cache_read: '0.00000125',
    image: '0',
  }
  const router = {
    data: [
      { id: 'x/y', pricing },
      { id: 'auto', pricing: { prompt: '-1', completion: '-1' } },
    ],
  }
  expect(await readPrices(await file(router))).toEqual(
    new Map([['x/y', { input: 2.5, output: 10, cached_input: 1.25 }]]),
  )
})

test('a price that is a million or a thousand times too small is questioned', async () => {
  const perToken = await file({ m: { input: 2.5e-6, output: 1e-5 } })
  await expect(readPrices(perToken)).rejects.toThrow(/m\.input.*per token.*2\.5 per million/s)
  const perThousand = await file({ m: { input: 0.00015, output: 0.0006 } })
  await expect(readPrices(perThousand)).rejects.toThrow(/per thousand tokens/)
  await expect(priceOption(['m=0.0000025/0.00001'])).rejects.toThrow(/--price: m\.input/)
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

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { loadRouter } from '../../models/router.ts'
import { runWeir } from '../../scripts/cli/program.ts'
import { writeTinyModel } from '../models/encoders/hf/tiny-model.ts'
import { type FaultyServer, startFaultyServer } from '../models/encoders/openai/faulty-server.ts'

const KEY = 'sk-never-written-0123'
let folder: string
let out = ''
let err = ''

/** The command in this process. */
async function weir(...args: readonly string[]): Promise<number> {
  out = ''
  err = ''
  const code = await runWeir(args)
  process.exitCode = undefined
  return code
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-encoder-'))
  const random = createRandom(3)
  const rows = Array.from({ length: 400 }, (_, i) => {
    const hard = random.int(2) === 1
    const prompt = `${hard ? 'prove that zz' : 'hello there'} ${i} ${random.int(1e6)}`
    return { prompt, scores: { big: 1, small: hard ? random.int(2) : 1 } }
  })
  const log = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  await writeFile(join(folder, 'log.jsonl'), log)
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(() => {
  vi.stubEnv('WEIR_CACHE', join(folder, 'cache'))
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text)
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

const train = (name: string, encoder: string): Promise<number> =>
  weir(
    ...['train', join(folder, 'log.jsonl'), '--strong', 'big', '--weak', 'small', '--json'],
    ...['--encoder', encoder, '--name', name, '--out', join(folder, 'bundles')],
  )

describe('weir encoder', () => {
  it('lists every encoder, for people and for programs', async () => {
    expect(await weir('encoder', 'list')).toBe(0)
    expect(out).toMatch(/^encoder +dimension/)
    await weir('encoder', 'list', '--json')
    const { encoders } = JSON.parse(out) as { encoders: { name: string }[] }
    expect(encoders.map(({ name }) => name)).toEqual([
      'lexical',
      'use-lite-static',
      'use-lite',
      'hf:<dir>',
      'openai:<model>',
      'lexical+<encoder>',
    ])
  })

  it('measures an encoder', async () => {
    await writeTinyModel(join(folder, 'model'))
    expect(await weir('encoder', 'bench', `hf:${join(folder, 'model')}`, '--json')).toBe(0)
    const { encoders } = JSON.parse(out) as {
      encoders: { dimension: number; milliseconds: Record<string, number> }[]
    }
    expect(encoders[0]).toMatchObject({ dimension: 8 })
    expect(Object.keys(encoders[0]!.milliseconds)).toEqual(['20', '128', '512'])
    expect(Object.values(encoders[0]!.milliseconds).every((ms) => ms > 0)).toBe(true)
  })

  it('says which encoders there are when it is given another', async () => {
    expect(await weir('encoder', 'bench', 'bert')).toBe(1)
    expect(err).toMatch(/this weir has no encoder bert; it has: lexical, use-lite/)
  })
})

// workers start from source, a second each on an idle core
describe('weir train --encoder', { timeout: 90_000 }, () => {
  it('makes a bundle that holds the encoder and routes without the folder it came from', async () => {
    await writeTinyModel(join(folder, 'moved'))
    expect(await train('with-hf', `hf:${join(folder, 'moved')}`)).toBe(0)
    const { bundle } = JSON.parse(out) as { bundle: string }
    await rm(join(folder, 'moved'), { recursive: true })
    const router = await loadRouter(bundle)
    try {
      // what is read of a prompt is cut to what training has seen
      expect(router.manifest.encoder).toMatchObject({
        kind: 'familiar',
        dimension: 8,
        options: { inner: { kind: 'hf', dimension: 8 } },
      })
      const { winRate } = await router.score(['prove that zz 1', 'hello there 2'])
      expect(winRate[0]).toBeGreaterThan(winRate[1]!)
    } finally {
      await router.close()
    }
  })

  it('asks an endpoint for nothing twice and never writes its key into the bundle', async () => {
    const server: FaultyServer = await startFaultyServer()
    try {
      vi.stubEnv('OPENAI_API_KEY', KEY)
      const name = `openai:m?base_url=${server.baseUrl}`
      expect(await train('with-openai', name)).toBe(0)
      const asked = server.requests.length
      expect(await train('with-openai', name)).toBe(0)
      expect(server.requests.length).toBe(asked + 1) // the one that asks for the dimension
      const { bundle } = JSON.parse(out) as { bundle: string }
      const entries = await readdir(bundle, { recursive: true, withFileTypes: true })
      const files = entries.filter((entry) => entry.isFile())
      expect(files.length).toBeGreaterThan(3)
      for (const { parentPath, name } of files) {
        expect((await readFile(join(parentPath, name))).includes(KEY)).toBe(false)
      }

      const before = server.requests.length
      expect(await weir('route', bundle, 'hello there')).toBe(1)
      expect(err).toContain('--allow-encoder-host 127.0.0.1:')
      expect(server.requests.length).toBe(before)
      const host = ['--allow-encoder-host', '127.0.0.1', '--json']
      expect(await weir('route', bundle, 'hello there', ...host)).toBe(0)
      expect(server.requests.at(-1)!.headers.authorization).toBeUndefined()
      const key = ['--encoder-key-env', 'OPENAI_API_KEY']
      expect(await weir('route', bundle, 'hello there', ...host, ...key)).toBe(0)
      expect(server.requests.at(-1)!.headers.authorization).toBe(`Bearer ${KEY}`)
    } finally {
      await server.close()
    }
  })
})

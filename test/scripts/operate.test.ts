// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what configurations hold
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { writeBundle } from '../../models/bundle/write.ts'
import { examine } from '../../scripts/cli/commands/doctor.ts'
import { fileSchemaOf, SCHEMAS } from '../../scripts/cli/commands/schema.ts'
import { runWeir } from '../../scripts/cli/program.ts'
import { readServeConfig } from '../../scripts/cli/serve-config.ts'
import { scratch } from '../data/scratch.ts'
import { budget } from '../serving/budgets/budget.ts'
import { lexicalDraft } from './lexical-draft.ts'

const servers: ReturnType<typeof createServer>[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

test.each(Object.keys(SCHEMAS))('weir schema %s is a JSON Schema of the file', async (kind) => {
  const schema = (await fileSchemaOf(kind)) as Record<string, object>
  expect(schema).toMatchObject({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: { $schema: { type: 'string' } },
  })
  const property = { serve: 'state', policy: 'routes', train: 'logs', mapping: 'fields' }[kind]!
  expect(schema.properties).toHaveProperty(property)
})

test('a file with a value from the environment names the field and line, and never the value', async () => {
  const folder = await scratch({
    'weir.json': '{\n "routers": [],\n "state": { "stores": "${STORE}" }\n}',
  })
  const path = join(folder, 'weir.json')
  const read = (environment: Record<string, string>) =>
    readServeConfig([folder], { config: path }, environment)
  expect((await read({ STORE: 'memory' })).config.state).toEqual({ stores: 'memory' })
  await expect(read({})).rejects.toThrow(
    `${path}:3: state.stores: expected the environment variable STORE`,
  )
  const secret = read({ STORE: 'mysql://u:secret@h' })
  await expect(secret).rejects.toThrow('got what ${STORE} stands for')
  await expect(read({ STORE: 'memory', WEIR_STATE__REPLICAS: 'many' })).rejects.toThrow(
    'state.replicas',
  )
  const printed = await readServeConfig(
    [folder],
    { config: path, printConfig: true },
    { STORE: 'memory' },
  )
  expect(printed.config.state).toEqual({ stores: '${STORE}' })
})

test('weir doctor says what would stop the server, and what it found', async () => {
  const upstream = createServer((_, response) => response.writeHead(404).end())
  servers.push(upstream)
  await new Promise((resolve) => upstream.listen(0, '127.0.0.1', () => resolve(undefined)))
  const { port } = upstream.address() as AddressInfo
  const folder = await scratch()
  await writeBundle(folder, await lexicalDraft(0.5))
  const model = { upstreams: [{ upstream: 'up' }], price: { input: 1, output: 2 }, context: 8000 }
  const config = {
    routers: [{ path: join(folder, 'cli') }, { path: join(folder, 'missing') }],
    state: { stores: 'redis://127.0.0.1:1', replicas: 2 },
    log: { folder: join(folder, 'log') },
    gateway: {
      upstreams: {
        up: { base_url: `http://127.0.0.1:${port}/v1`, key_env: 'UP_KEY' },
        down: { base_url: 'http://127.0.0.1:1/v1', key_env: 'DOWN_KEY' },
      },
      models: { big: model },
      budgets: [budget()],
    },
  }
  const { writeFile } = await import('node:fs/promises')
  const path = join(folder, 'weir.json')
  await writeFile(path, JSON.stringify(config))
  const findings = await examine([], path, { UP_KEY: 'sk-1' })
  const found = new Map(
    findings.map(({ check, result, detail }) => [check, `${result}: ${detail}`]),
  )
  expect(found.get('configuration')).toContain('ok')
  expect(found.get(`bundle ${join(folder, 'cli')}`)).toMatch(/^ok: cli /)
  expect(found.get(`bundle ${join(folder, 'missing')}`)).toMatch(/^fault/)
  expect(found.get('key of up')).toBe('ok: UP_KEY is set')
  expect(found.get('key of down')).toBe('fault: DOWN_KEY is not set')
  expect(found.get('upstream up')).toMatch(/^ok: answers after \d+ ms/)
  expect(found.get('upstream down')).toMatch(/^fault/)
  expect(found.get('Redis')).toMatch(/^fault: the store redis:\/\/127.0.0.1:1/)
  expect(found.get('budgets')).toMatch(/^fault: state.stores: expected postgres/)
  expect(found.get(`log folder ${join(folder, 'log')}`)).toMatch(/^ok: can be written; \d+ MB free/)
  expect(JSON.stringify(findings)).not.toContain('sk-1')
  expect(await examine([], join(folder, 'none.json'))).toMatchObject([{ result: 'fault' }])
})

test.each(['bash', 'zsh', 'fish'])(
  'weir completion %s knows commands and their options',
  async (shell) => {
    let printed = ''
    const { write } = process.stdout
    process.stdout.write = ((text: string) => {
      printed += text
      return true
    }) as typeof write
    try {
      expect(await runWeir(['completion', shell])).toBe(0)
    } finally {
      process.stdout.write = write
    }
    for (const word of ['serve', 'data', 'ingest', 'score-name']) expect(printed).toContain(word)
  },
)

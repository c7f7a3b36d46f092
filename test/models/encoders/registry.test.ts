import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encoderKinds, makeNamedEncoder } from '../../../models/encoders/registry.ts'
import { writeTinyModel } from './hf/tiny-model.ts'
import { type FaultyServer, startFaultyServer } from './openai/faulty-server.ts'

let folder: string
let server: FaultyServer
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-named-'))
  await writeTinyModel(folder)
  server = await startFaultyServer()
})
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

describe('an encoder’s name', () => {
  it('reads hf with its settings', async () => {
    const plain = await makeNamedEncoder(`hf:${folder}`, { inline: true })
    const prefixed = await makeNamedEncoder(`hf:${folder}?prefix=query:%20&file=onnx/model.onnx`, {
      inline: true,
    })
    expect(prefixed.encoder.spec.options.prefix).toBe('query: ')
    expect(prefixed.encoder.spec.id).not.toBe(plain.encoder.spec.id)
  })

  it('reads openai with its settings, its key and its address from the environment', async () => {
    const made = await makeNamedEncoder('openai:some/model?dimensions=3&key_env=MY_KEY', {
      environment: { OPENAI_BASE_URL: server.baseUrl, MY_KEY: 'secret-1' },
    })
    expect(made.encoder.spec).toMatchObject({ kind: 'openai', dimension: 3 })
    expect(server.requests.at(-1)).toMatchObject({ model: 'some/model', dimensions: 3 })
    expect(server.requests.at(-1)!.headers.authorization).toBe('Bearer secret-1')
    expect(JSON.stringify(made.encoder.spec)).not.toContain('secret-1')
  })

  it.each([
    ['no-such-encoder', 'encoder_unknown'],
    ['use-lite:q4', 'option_invalid'],
    ['use-lite?x=1', 'option_invalid'],
    ['hf:', 'option_invalid'],
    ['openai', 'option_invalid'],
    ['openai:m?dimensions=many', 'option_invalid'],
    ['openai:m?key=sk-1', 'option_invalid'],
  ])('refuses %s', async (name, code) => {
    await expect(makeNamedEncoder(name, { environment: {} })).rejects.toMatchObject({ code })
  })
})

it.each(encoderKinds())('the kind %s has a case of the encoder contract', async (kind) => {
  const names = await readdir(import.meta.dirname, { recursive: true })
  const suites = await Promise.all(
    names
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => readFile(join(import.meta.dirname, name), 'utf8')),
  )
  const held = new RegExp(`describeEncoderContract\\(\\s*'${kind}[ ,']`)
  expect(suites.some((text) => held.test(text))).toBe(true)
})

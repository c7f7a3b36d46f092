import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { writeBundle } from '../../models/bundle/write.ts'
import { runWeir } from '../../scripts/cli/program.ts'
import { serveConfig } from '../../scripts/cli/serve-config.ts'
import { lexicalDraft } from './lexical-draft.ts'

let folder: string
let bundle: string
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
  folder = await mkdtemp(join(tmpdir(), 'weir-sign-'))
  await writeBundle(folder, await lexicalDraft(0.5))
  bundle = join(folder, 'cli')
})
afterAll(() => rm(folder, { recursive: true, force: true }))
beforeEach(() => {
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text)
    return true
  })
})
afterEach(() => vi.restoreAllMocks())

describe('weir sign', () => {
  it('makes a key once, for its owner alone, signs with it, and the signature is required', async () => {
    const key = join(folder, 'a.key')
    expect(await weir('sign', '--new-key', key)).toBe(0)
    const publicKey = (await readFile(`${key}.pub`, 'utf8')).trim()
    expect(publicKey).toMatch(/^ed25519:[\w-]{43}$/)
    expect(out).toContain(publicKey)
    expect((await stat(key)).mode & 0o777).toBe(0o600)
    expect(await weir('sign', '--new-key', key)).toBe(1)
    expect(err).toContain('a key is never overwritten')

    const route = (signer: string) =>
      weir('route', bundle, 'prove it', '--explain', '--json', '--require-signature', signer)
    expect(await route(publicKey)).toBe(1)
    expect(err).toContain('[signature_missing]')
    expect(await weir('sign', bundle, '--key', key, '--json')).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ name: 'cli', public_key: publicKey })
    expect(await route(publicKey)).toBe(0)
    expect(JSON.parse(out).explanation.signed_by).toBe(publicKey)

    // signing again with another key replaces the signature, and says so
    expect(await weir('sign', bundle, '--new-key', join(folder, 'b.key'))).toBe(0)
    expect(out).toContain(`signature by ${publicKey} is replaced`)
    expect(await route(publicKey)).toBe(1)
    expect(err).toContain('[signer_unknown]')
    expect(await weir('route', bundle, 'prove it')).toBe(0)
  })

  it('refuses what it cannot do, by name', async () => {
    const open = join(folder, 'open.key')
    expect(await weir('sign', '--new-key', open)).toBe(0)
    await chmod(open, 0o644)
    expect(await weir('sign', bundle, '--key', open)).toBe(1)
    expect(err).toContain('mode 644; chmod 600')
    const text = join(folder, 'text.key')
    await writeFile(text, 'no key', { mode: 0o600 })
    expect(await weir('sign', bundle, '--key', text)).toBe(1)
    expect(err).toContain('[signing_key_invalid]')
    expect(await weir('sign', bundle, '--key', join(folder, 'none'))).toBe(1)
    expect(err).toContain('[file_not_found]')
    expect(await weir('sign', bundle)).toBe(2)
    expect(await weir('sign', '--key', open)).toBe(2)
    expect(await weir('sign', bundle, '--key', open, '--new-key', text)).toBe(2)
    expect(await weir('route', bundle, 'x', '--require-signature', 'mine')).toBe(2)
    expect(err).toContain('a public key as weir sign prints it')
  })

  it('is required by a server’s configuration, whose keys must be keys', async () => {
    const key = `ed25519:${'A'.repeat(43)}`
    const file = join(folder, 'weir.yaml')
    await writeFile(file, `require_signature: [${key}]\n`)
    expect(await serveConfig([bundle], { config: file })).toMatchObject({
      require_signature: [key],
    })
    expect(await serveConfig([bundle], { requireSignature: [key] })).toMatchObject({
      require_signature: [key],
    })
    await writeFile(file, 'require_signature: [mine]\n')
    await expect(serveConfig([bundle], { config: file })).rejects.toThrow('require_signature')
    await writeFile(file, 'require_signature: []\n')
    await expect(serveConfig([bundle], { config: file })).rejects.toThrow('require_signature')
  })
})

import { execFileSync } from 'node:child_process'
import {
  cp,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readBundle } from '../../../models/bundle/read.ts'
import {
  newSigningKey,
  parseSigningKey,
  SIGNATURE_FILE,
  signManifest,
} from '../../../models/bundle/signature.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { loadRouter } from '../../../models/router.ts'
import { sampleDraft } from '../sample-bundle.ts'
import { loadWordEncoder } from '../word-encoder.ts'

const ours = newSigningKey()
const theirs = newSigningKey()
const signers = [ours.publicKey]

let root: string
let path: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-signature-'))
  path = (await writeBundle(root, sampleDraft())).path
})
afterEach(() => rm(root, { recursive: true }))

/** Signs a version as `weir sign` does. */
async function sign(folder: string, { privateKey } = ours): Promise<void> {
  const manifest = await readFile(join(folder, 'manifest.json'))
  await writeFile(
    join(folder, SIGNATURE_FILE),
    signManifest(manifest, parseSigningKey(privateKey, 'key')),
  )
}

const certificate = { target: { kind: 'strong-share', share: 0.3 }, n: 100 }
const certified = sampleDraft({
  name: 'certified',
  manifest: { threshold: { value: 0.4, source: 'calibrated', certificate } },
})

describe('a signed bundle', () => {
  test('is read where its signature is required, and says who signed it', async () => {
    await sign(path)
    const bundle = await readBundle(join(root, 'sample'), {
      signers: [theirs.publicKey, ...signers],
    })
    expect(bundle.signedBy).toBe(ours.publicKey)
    expect((await readBundle(path)).signedBy).toBe(ours.publicKey)
    const router = await loadRouter(path, { loadEncoder: loadWordEncoder, signers })
    expect(router.signedBy).toBe(ours.publicKey)
    const decision = await router.route({ prompt: 'prove it', explain: true })
    expect(decision.explanation?.signed_by).toBe(ours.publicKey)
    await router.close()
  })

  test('names the signer in its certificate, which a new version does not inherit', async () => {
    const { path: folder, manifest } = await writeBundle(root, certified)
    await sign(folder)
    const signed = await readBundle(folder)
    expect(signed.manifest.version).toBe(manifest.version)
    expect(signed.manifest.threshold.certificate).toEqual({
      ...certificate,
      signed_by: ours.publicKey,
    })
    // made from what was read, as onboarding and calibration do
    const copy = await writeBundle(join(root, 'next'), {
      files: certified.files,
      manifest: signed.manifest,
    })
    expect(copy.manifest.threshold.certificate).toEqual(certificate)
    expect((await readBundle(copy.path)).signedBy).toBeUndefined()
  })

  test('keeps its signature when its folder is copied', async () => {
    await sign(path)
    await cp(path, join(root, 'copy'), { recursive: true })
    expect((await readBundle(join(root, 'copy'), { signers })).signedBy).toBe(ours.publicKey)
  })
})

describe('a required signature', () => {
  const refused: [string, string, (other: string) => Promise<unknown>][] = [
    ['no signature', 'signature_missing', async () => {}],
    ['another key', 'signer_unknown', () => sign(path, theirs)],
    [
      'a changed byte of a file',
      'bundle_corrupt',
      async () => {
        await sign(path)
        const bytes = await readFile(join(path, 'head.bin'))
        bytes[3]! ^= 1
        await writeFile(join(path, 'head.bin'), bytes)
      },
    ],
    [
      'a changed manifest',
      'signature_invalid',
      async () => {
        await sign(path)
        const file = join(path, 'manifest.json')
        const text = await readFile(file, 'utf8')
        await writeFile(file, text.replace(/"created": "\d+/, '"created": "1999'))
      },
    ],
    [
      'the signature of another bundle',
      'signature_invalid',
      async (other) => {
        await sign(other)
        await cp(join(other, SIGNATURE_FILE), join(path, SIGNATURE_FILE))
      },
    ],
    [
      'the files of another bundle under this signature',
      'signature_invalid',
      async (other) => {
        await sign(path)
        await cp(join(other, 'manifest.json'), join(path, 'manifest.json'))
        await cp(join(other, 'head.bin'), join(path, 'head.bin'))
      },
    ],
    [
      'the signature of another key under this key’s name',
      'signature_invalid',
      async () => {
        await sign(path, theirs)
        const file = join(path, SIGNATURE_FILE)
        const text = await readFile(file, 'utf8')
        await writeFile(file, text.replace(theirs.publicKey, ours.publicKey))
      },
    ],
    [
      'a file that the manifest does not list',
      'signature_invalid',
      async () => {
        await sign(path)
        await mkdir(join(path, 'encoder'))
        await writeFile(join(path, 'encoder', 'vocabulary.json'), '[]')
      },
    ],
    [
      'something else in signature.json',
      'signature_invalid',
      () => writeFile(join(path, SIGNATURE_FILE), '{"format": 1}'),
    ],
    [
      'a signature.json of 5 MB',
      'bundle_invalid',
      () => writeFile(join(path, SIGNATURE_FILE), Buffer.alloc(5e6)),
    ],
  ]
  test.each(refused)('refuses %s', async (_, code, make) => {
    const other = (await writeBundle(root, sampleDraft({ name: 'other', seed: 2 }))).path
    await make(other)
    await expect(readBundle(path, { signers })).rejects.toMatchObject({ code })
    await expect(loadRouter(path, { loadEncoder: loadWordEncoder, signers })).rejects.toMatchObject(
      { code },
    )
  })

  test('a signature that does not hold is refused where none is required, too', async () => {
    await sign(path, theirs)
    const file = join(path, SIGNATURE_FILE)
    await writeFile(file, (await readFile(file, 'utf8')).replace(theirs.publicKey, ours.publicKey))
    await expect(readBundle(path)).rejects.toMatchObject({ code: 'signature_invalid' })
  })

  test('a manifest cannot claim a signer itself', async () => {
    const claimed = { ...certificate, signed_by: ours.publicKey }
    const { path: folder } = await writeBundle(root, certified)
    const file = join(folder, 'manifest.json')
    const manifest = JSON.parse(await readFile(file, 'utf8'))
    manifest.threshold.certificate = claimed
    await writeFile(file, JSON.stringify(manifest))
    await expect(readBundle(folder)).rejects.toThrow('signed_by is for signature.json to say')
  })
})

describe('a bundle’s folder', () => {
  const specials: [string, () => Promise<unknown> | unknown, string][] = [
    [
      'a link in place of a file',
      async () => {
        await rename(join(path, 'head.bin'), join(root, 'head.bin'))
        await symlink(join(root, 'head.bin'), join(path, 'head.bin'))
      },
      'symbolic link',
    ],
    [
      'a link in place of its manifest',
      async () => {
        await rename(join(path, 'manifest.json'), join(root, 'manifest.json'))
        await symlink(join(root, 'manifest.json'), join(path, 'manifest.json'))
      },
      'symbolic link',
    ],
    ['a link to a folder', () => symlink('/etc', join(path, 'encoder')), 'symbolic link'],
    ['a link to a device', () => symlink('/dev/zero', join(path, 'zero')), 'symbolic link'],
    ['a FIFO', () => execFileSync('mkfifo', [join(path, 'pipe')]), 'FIFO'],
    [
      'a FIFO in place of a file',
      async () => {
        await rm(join(path, 'head.bin'))
        execFileSync('mkfifo', [join(path, 'head.bin')])
      },
      'FIFO',
    ],
    [
      'a manifest of 17 MB',
      () => truncate(join(path, 'manifest.json'), 17 * 2 ** 20),
      'manifest.json',
    ],
    ['a file of 3 GB', () => truncate(join(path, 'head.bin'), 3e9), '3000000000 bytes'],
    [
      'a current version elsewhere',
      async () => {
        await rename(path, join(root, 'elsewhere'))
        await rm(join(root, 'sample', 'current'))
        await symlink(join(root, 'elsewhere'), join(root, 'sample', 'current'))
      },
      'leads out of it',
    ],
  ]
  test.each(specials)('with %s is refused', async (_, make, named) => {
    await make()
    await expect(readBundle(join(root, 'sample'))).rejects.toMatchObject({
      code: 'bundle_invalid',
      message: expect.stringContaining(named),
    })
  })
})

import { openTerminal } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const OPTIONS = optionTable({
  key: {
    flag: '--key <file>',
    schema: Text,
    help: 'file with the private key that signs',
  },
  newKey: {
    flag: '--new-key <file>',
    schema: Text,
    help: 'make a new key pair first: the private key in this file (mode 600), the public one in FILE.pub',
  },
  json: jsonOption('the result'),
})

/** `weir sign [bundle]`: signs a version of a bundle with an ed25519 key, or makes such a key. */
export const signCommand = defineCommand({
  name: 'sign',
  description: 'sign a bundle, so that servers can refuse bundles of anyone else',
  arguments: [
    [
      '[bundle]',
      'bundle folder, such as bundles/demo (its current version) or bundles/demo/VERSION',
    ],
  ],
  options: OPTIONS,
  notes: `The signature is written to signature.json beside manifest.json and covers every file of the version. It does
not change the version. Signing again with another key replaces it.`,
  examples: [
    'weir sign --new-key release.key',
    'weir sign bundles/demo --key release.key',
    'weir serve bundles/demo --require-signature "$(cat release.key.pub)"',
  ],
  run,
})

async function run(path: string | undefined, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  const terminal = openTerminal()
  const { key, newKey } = flags
  const refuse = (option: string, expected: string, got: string): never => {
    throw new WeirError('option_invalid', { option, expected, got })
  }
  if (key !== undefined && newKey !== undefined)
    refuse('--key and --new-key', 'one of them', 'both')
  if (key === undefined && newKey === undefined) refuse('--key', 'it, or --new-key', 'neither')
  if (key !== undefined && path === undefined) refuse('[bundle]', 'a bundle to sign', 'none')
  if (newKey !== undefined) {
    const publicKey = await makeKey(newKey)
    if (path === undefined) {
      if (flags.json) terminal.json({ key: newKey, public_key: publicKey })
      else {
        terminal.print(
          `Private key: ${newKey} (keep it secret). Public key, also in ${newKey}.pub:`,
        )
        terminal.print(publicKey)
        terminal.print(`Next: weir sign BUNDLE --key ${newKey}`)
      }
      return
    }
  }
  const signed = await signBundle(path!, key ?? newKey!)
  if (flags.json) terminal.json(signed)
  else {
    terminal.print(`${signed.name} ${signed.version} is signed by ${signed.public_key}`)
    if (signed.replaced !== undefined && signed.replaced !== signed.public_key) {
      terminal.print(`Its signature by ${signed.replaced} is replaced.`)
    }
    terminal.print(`Next: weir serve ${path} --require-signature ${signed.public_key}`)
  }
}

/** @throws file_unwritable, also if the file exists: a key is never overwritten */
async function makeKey(path: string): Promise<string> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { writeNew } = await import('../../../core/files.ts')
  const { newSigningKey } = await import('../../../models/bundle/signature.ts')
  const { privateKey, publicKey } = newSigningKey()
  const write = async (file: string, text: string, mode: number): Promise<void> => {
    try {
      await writeNew(file, text, { mode })
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException
      const reason = code === 'EEXIST' ? 'it exists, and a key is never overwritten' : message
      throw new WeirError('file_unwritable', { path: file, reason }, { cause })
    }
  }
  await write(path, privateKey, 0o600)
  await write(`${path}.pub`, `${publicKey}\n`, 0o644)
  return publicKey
}

/** Checks every file of the version, then signs it. */
async function signBundle(path: string, keyFile: string) {
  const { join } = await import('node:path')
  const { readFile } = await import('node:fs/promises')
  const { writeWhole } = await import('../../../core/files.ts')
  const { readBundle } = await import('../../../models/bundle/read.ts')
  const { publicKeyOf, SIGNATURE_FILE, signManifest, verifySignature } = await import(
    '../../../models/bundle/signature.ts'
  )
  const privateKey = await readKey(keyFile)
  const bundle = await readBundle(path)
  const manifestBytes = await readFile(join(bundle.path, 'manifest.json'))
  const signature = signManifest(manifestBytes, privateKey)
  const publicKey = publicKeyOf(privateKey)
  verifySignature(manifestBytes, Buffer.from(signature), [publicKey], bundle.path)
  await writeWhole(join(bundle.path, SIGNATURE_FILE), signature)
  const { manifest } = await readBundle(bundle.path, { signers: [publicKey] })
  return {
    name: manifest.name,
    version: manifest.version,
    path: bundle.path,
    public_key: publicKey,
    ...(bundle.signedBy !== undefined && { replaced: bundle.signedBy }),
  }
}

/** @throws signing_key_invalid, also for a key that others on the machine may read */
async function readKey(path: string) {
  const { readFile, stat } = await import('node:fs/promises')
  const { WeirError } = await import('../../../core/errors.ts')
  const { parseSigningKey } = await import('../../../models/bundle/signature.ts')
  const absent = (cause: unknown): never => {
    throw new WeirError('file_not_found', { path }, { cause })
  }
  const entry = await stat(path).catch(absent)
  const mode = entry.mode & 0o777
  // a secret store may hand the key over through a pipe, which has no such permissions
  if (entry.isFile() && process.platform !== 'win32' && (mode & 0o077) !== 0) {
    const got = `one that others may read (mode ${mode.toString(8)}; chmod 600 ${path})`
    throw new WeirError('signing_key_invalid', { path, got })
  }
  return parseSigningKey(await readFile(path, 'utf8').catch(absent), path)
}

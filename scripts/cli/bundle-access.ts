import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import type { EncoderAccess } from '../../models/encoders/openai/access.ts'
import type { Router, RouterOptions } from '../../models/router.ts'
import { optionTable, Texts } from './options.ts'

const ENCODERS = 'Encoders that call out'

/**
 * The options of every command that opens a bundle: who must have signed it, and where its encoder may send
 * prompts.
 */
export const BUNDLE_OPTIONS = optionTable({
  requireSignature: {
    flag: '--require-signature <key>',
    key: 'require_signature',
    schema: Texts,
    help: 'refuse a bundle unless this public key (ed25519:...) has signed it',
    unset: 'signed or not',
    section: 'Signed bundles',
    check: assertPublicKey,
  },
  allowEncoderHost: {
    flag: '--allow-encoder-host <host>',
    key: 'allow_encoder_hosts',
    schema: Texts,
    help: 'let the bundle’s encoder send prompts to this host (name or name:port)',
    unset: 'none',
    section: ENCODERS,
  },
  encoderKeyEnv: {
    flag: '--encoder-key-env <variable>',
    key: 'encoder_key_env',
    schema: Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }),
    help: 'environment variable with the key for those hosts',
    unset: 'no key is sent',
    section: ENCODERS,
  },
})

/** The values of those options. */
export interface BundleFlags {
  readonly requireSignature?: readonly string[] | undefined
  readonly allowEncoderHost?: readonly string[] | undefined
  readonly encoderKeyEnv?: string | undefined
}

/** The keys of `--require-signature`; undefined without it. */
export const signersOf = ({
  requireSignature: keys,
}: BundleFlags): readonly string[] | undefined => (keys && keys.length > 0 ? keys : undefined)

/** @throws option_invalid */
function assertPublicKey(got: string): void {
  if (/^ed25519:[A-Za-z0-9_-]{43}$/.test(got)) return
  const expected = 'a public key as weir sign prints it (ed25519:...)'
  throw new WeirError('option_invalid', { option: '--require-signature', expected, got })
}

export const encoderAccess = (flags: BundleFlags): EncoderAccess => ({
  allowHosts: flags.allowEncoderHost,
  keyEnv: flags.encoderKeyEnv,
})

/** Opens the router of a bundle, signed as the flags require, with the access that they allow. */
export async function openRouter(
  path: string,
  flags: BundleFlags,
  options: RouterOptions = {},
): Promise<Router> {
  const { loadRouter } = await import('../../models/router.ts')
  return loadRouter(path, {
    ...options,
    encoderAccess: encoderAccess(flags),
    signers: signersOf(flags),
  })
}

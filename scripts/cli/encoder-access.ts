import Type from 'typebox'
import type { EncoderAccess } from '../../models/encoders/openai/access.ts'
import type { Router, RouterOptions } from '../../models/router.ts'
import { optionTable, Texts } from './options.ts'

const ENCODERS = 'Encoders that call out'

/** The options of every command that opens a bundle: where its encoder may send prompts. */
export const ENCODER_OPTIONS = optionTable({
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

/** The access that those options allow. */
export interface EncoderFlags {
  readonly allowEncoderHost?: readonly string[] | undefined
  readonly encoderKeyEnv?: string | undefined
}

export const encoderAccess = (flags: EncoderFlags): EncoderAccess => ({
  allowHosts: flags.allowEncoderHost,
  keyEnv: flags.encoderKeyEnv,
})

/** Opens the router of a bundle with the access that the flags allow. */
export async function openRouter(
  path: string,
  flags: EncoderFlags,
  options: RouterOptions = {},
): Promise<Router> {
  const { loadRouter } = await import('../../models/router.ts')
  return loadRouter(path, { ...options, encoderAccess: encoderAccess(flags) })
}

import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import { isListed } from '../../../core/outgoing.ts'
import type { EndpointOptions } from './endpoint.ts'
import type { OpenAiSettings } from './settings.ts'

/** An embeddings endpoint that the operator allows bundles to use. */
export const EncoderConnection = Type.Object(
  {
    /** the URL up to but without `/embeddings` */
    base_url: Type.String({ pattern: '^https?://' }),
    /** the environment variable that holds its key; no key is sent if absent */
    key_env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
  },
  { additionalProperties: false },
)
export type EncoderConnection = Type.Static<typeof EncoderConnection>

/**
 * Where the encoders of bundles may send prompts, and with which keys. Bundles are third-party data: a bundle
 * asks, by connection name or by address, and the operator's settings decide.
 */
export interface EncoderAccess {
  /** by the name that a bundle asks for, or the address it was trained with */
  readonly connections?: Readonly<Record<string, EncoderConnection>> | undefined
  /** hosts on which a bundle may choose the address, as `name` or `name:port` */
  readonly allowHosts?: readonly string[] | undefined
  /** the environment variable whose key is sent to those hosts; no key if absent */
  readonly keyEnv?: string | undefined
}

/**
 * The settings of a bundle's encoder with the address that may be called, and its key. A bundle's `key_env`
 * is never looked up.
 *
 * @throws encoder_not_allowed, config_invalid
 */
export function permitted(
  settings: OpenAiSettings,
  { connections = {}, allowHosts = [], keyEnv }: EncoderAccess,
  environment: Readonly<Record<string, string | undefined>>,
): { readonly settings: OpenAiSettings; readonly options: EndpointOptions } {
  const { connection: wanted, base_url: asked } = settings
  const named = Object.entries(connections).find(([name, { base_url }]) =>
    wanted === undefined ? sameAddress(base_url, asked) : name === wanted,
  )
  if (named) {
    const [name, { base_url, key_env }] = named
    const apiKey = keyOf(key_env, `encoders.${name}.key_env`, environment)
    return { settings: { ...settings, base_url }, options: { apiKey } }
  }
  if (isListed(new URL(asked), allowHosts)) {
    const apiKey = keyOf(keyEnv, '--encoder-key-env (encoder_key_env)', environment)
    return { settings, options: { apiKey, allowHosts } }
  }
  const { host } = new URL(asked)
  throw new WeirError('encoder_not_allowed', { host, name: wanted ?? 'NAME' })
}

/** Compares addresses, ignoring a trailing slash; the operator chooses the query. */
function sameAddress(one: string, other: string): boolean {
  const [a, b] = [new URL(one), new URL(other)]
  const path = ({ pathname }: URL): string => pathname.replace(/\/+$/, '')
  return a.origin === b.origin && path(a) === path(b)
}

function keyOf(
  variable: string | undefined,
  where: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  if (variable === undefined) return undefined
  const key = environment[variable]
  if (key) return key
  throw new WeirError('config_invalid', {
    where,
    expected: 'an environment variable that holds the key',
    got: `${variable}, which is not set`,
  })
}

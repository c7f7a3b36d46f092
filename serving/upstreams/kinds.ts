import Type, { type Static, type TObject } from 'typebox'
import { Compile } from 'typebox/compile'
import { BytesHeld } from '../../core/bytes-held.ts'
import { WeirError } from '../../core/errors.ts'
import { outgoingUrl } from '../../core/outgoing.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { AiSdkSettings, openAiSdkUpstream } from './ai-sdk.ts'
import { anthropicDialect } from './anthropic.ts'
import type { Dialect } from './dialect.ts'
import { HttpUpstreamSettings, openHttpUpstream } from './http-upstream.ts'
import { openAiDialect } from './openai.ts'
import { readTls } from './tls-settings.ts'
import type { Upstream } from './upstream.ts'

/** Most bytes of answers that are held as a whole at a time: those that are checked, translated or converted. */
const ANSWERS_IN_FLIGHT = 256 * 1024 * 1024

export const answersHeld = (): BytesHeld => new BytesHeld(ANSWERS_IN_FLIGHT, 'answers')

/** What an upstream needs in addition to its settings. */
export interface UpstreamContext {
  readonly name: string
  /** the path of the settings, for errors: `gateway.upstreams.NAME` */
  readonly where: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** hosts that upstreams may be on; any if undefined */
  readonly allowHosts: readonly string[] | undefined
  /** counts the answers that are held as a whole, of all upstreams; absent, each upstream counts its own */
  readonly held?: BytesHeld | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** One kind of upstream that a configuration may name: an entry of the registry. */
export interface UpstreamKind {
  readonly kind: string
  /** schema of a section in `gateway.upstreams`, including `kind` */
  readonly schema: TObject
  /** @param settings fit `schema`. @throws config_invalid */
  open(settings: unknown, context: UpstreamContext): Promise<Upstream>
}

/** An entry whose `open` gets its settings typed by its schema. */
export const defineUpstreamKind = <S extends TObject>(row: {
  readonly kind: string
  readonly schema: S
  open(settings: Static<S>, context: UpstreamContext): Promise<Upstream>
}): UpstreamKind => row as UpstreamKind

/** A kind for a dialect over HTTP. */
const httpKind = (kind: string, dialect: (now: () => number) => Dialect): UpstreamKind =>
  defineUpstreamKind({
    kind,
    schema: HttpUpstreamSettings,
    async open(settings, { name, where, environment, allowHosts, held = answersHeld(), now }) {
      const { key_env: variable } = settings
      const key = variable === undefined ? undefined : environment[variable]
      if (variable !== undefined && !key) {
        throw new WeirError('config_invalid', {
          where: `${where}.key_env`,
          expected: 'an environment variable that holds the key',
          got: `${variable}, which is not set`,
        })
      }
      // Azure's addresses have their version in the query
      const url = outgoingUrl(settings.base_url, `${where}.base_url`, { allowHosts, query: true })
      const tls = settings.tls && (await readTls(settings.tls, `${where}.tls`, environment))
      const options = { name, url, dialect: dialect(now), key, tls, environment, held, now }
      return openHttpUpstream(settings, options)
    },
  })

/** The kind of an upstream without `kind`. */
const DEFAULT_KIND = 'openai'

/** The built-in kinds of upstream. */
export const UPSTREAM_KINDS: readonly UpstreamKind[] = [
  httpKind(DEFAULT_KIND, () => openAiDialect),
  httpKind('anthropic', anthropicDialect),
  defineUpstreamKind({ kind: 'ai-sdk', schema: AiSdkSettings, open: openAiSdkUpstream }),
]

/**
 * A section of `gateway.upstreams`. Its kind determines its other fields: `openUpstream` checks them against
 * the schema of that kind.
 */
export const UpstreamConfig = Type.Unsafe<UpstreamConfig>(
  Type.Object({ kind: Type.Optional(Type.String({ minLength: 1 })) }),
)
export type UpstreamConfig = Partial<Omit<HttpUpstreamSettings, 'kind'>> & {
  /** the API of the upstream (default `openai`) */
  readonly kind?: string
  readonly [setting: string]: unknown
}

/** Opens an upstream. @param more kinds besides the built-in ones. @throws config_invalid */
export async function openUpstream(
  config: UpstreamConfig,
  context: UpstreamContext,
  more: readonly UpstreamKind[] = [],
): Promise<Upstream> {
  const kinds = [...UPSTREAM_KINDS, ...more]
  const { where } = context
  const { kind = DEFAULT_KIND } = config
  const row = kinds.find((each) => each.kind === kind)
  if (!row) {
    const expected = `one of ${kinds.map((each) => each.kind).join(', ')}`
    throw new WeirError('config_invalid', { where: `${where}.kind`, expected, got: kind })
  }
  const check = Compile(row.schema)
  if (!check.Check(config)) {
    const { field, expected, got } = firstFault(check.Errors(config), config)
    throw new WeirError('config_invalid', { where: `${where}.${field}`, expected, got })
  }
  return row.open(config, context)
}

import Type from 'typebox'
import { type ValueSources, withOverrides, withValues } from '../../core/config-values.ts'
import { WeirError } from '../../core/errors.ts'
import type { Source } from '../../core/yaml-source.ts'
import { DEFAULT_CACHE_ENTRIES } from '../../serving/router/config.ts'
import { assertServes, DEFAULT_DEADLINE_MS, ServeConfig } from '../../serving/server/config.ts'
import { BUNDLE_OPTIONS } from './bundle-access.ts'
import { assertFits, readSource, withLine } from './config-file.ts'
import {
  type Flags,
  keyValue,
  type OptionRow,
  optionTable,
  Switch,
  Text,
  TextByName,
} from './options.ts'

const { properties: CONFIG } = ServeConfig
const LISTENING = 'Listening'
const ROUTERS = 'Routers'
const LOGGING = 'Logging'
const PORT = Type.Integer({ minimum: 0, maximum: 65_535 })

/** The options of `weir serve`. A row with a `key` sets that key of the configuration and has its schema. */
export const SERVE_OPTIONS = optionTable({
  config: {
    flag: '--config <file>',
    schema: Text,
    help: 'YAML or JSON file with the whole configuration; flags win over it',
  },
  printConfig: {
    flag: '--print-config',
    schema: Switch,
    help: 'print the configuration of the file and the flags as a file for --config, and stop',
  },
  policy: {
    flag: '--policy <file>',
    key: 'gateway.policy',
    schema: Text,
    help: 'YAML or JSON file that says what the gateway does with chats (docs/policies.md)',
  },
  capabilities: {
    flag: '--capabilities <file>',
    key: 'gateway.capabilities',
    schema: Text,
    help: 'public list of what models hold, take and cost (model_prices_and_context_window.json)',
  },
  watch: {
    flag: '--watch',
    schema: Switch,
    help: 'reload when the current version of a bundle or a policy file changes',
  },
  deadline: {
    flag: '--deadline <ms>',
    key: 'deadline_ms',
    schema: CONFIG.deadline_ms,
    unset: `${DEFAULT_DEADLINE_MS}; 0 never`,
    help: 'fall back when a decision takes longer than this',
  },
  cache: {
    flag: '--cache <n>',
    key: 'cache_entries',
    schema: CONFIG.cache_entries,
    unset: `${DEFAULT_CACHE_ENTRIES}; 0 keeps none`,
    help: 'scores kept per router',
  },
  rate: {
    flag: '--rate <n>',
    key: 'rate_per_minute',
    schema: CONFIG.rate_per_minute,
    unset: 'no limit',
    help: 'requests per minute for each key, or for each address without keys',
  },
  json: { flag: '--json', schema: Switch, help: 'print the address as one JSON object' },
  host: {
    flag: '--host <host>',
    schema: Text,
    default: '127.0.0.1',
    help: 'address to listen on',
    section: LISTENING,
  },
  port: {
    flag: '--port <port>',
    schema: PORT,
    default: 8080,
    help: 'port to listen on; 0 takes a free one',
    section: LISTENING,
  },
  adminPort: {
    flag: '--admin-port <port>',
    schema: PORT,
    help: 'port for reload and rollback, reachable from this machine only',
    section: LISTENING,
  },
  adminTokenFile: {
    flag: '--admin-token-file <file>',
    schema: Text,
    unset: 'a new token in a folder of this user’s, which is printed',
    help: 'file with the token that the admin port asks for; made if it does not exist',
    section: LISTENING,
  },
  console: {
    flag: '--console',
    schema: Switch,
    help: 'serve the console on the admin port (one above --port if --admin-port is absent): docs/console.md',
    section: LISTENING,
  },
  workers: {
    flag: '--workers <n>',
    schema: Type.Integer({ minimum: 1, maximum: 256 }),
    unset: '1',
    help: 'processes that share the port; one that dies is replaced',
    section: LISTENING,
  },
  insecure: {
    flag: '--insecure',
    schema: Switch,
    help: 'listen beyond this machine without keys',
    section: LISTENING,
  },
  default: {
    flag: '--default <router>',
    key: 'default',
    schema: CONFIG.default,
    unset: 'the first bundle',
    help: 'router for requests that name none',
    section: ROUTERS,
  },
  alias: {
    flag: '--alias <name=router>',
    key: 'aliases',
    schema: TextByName,
    help: 'another name for a router',
    section: ROUTERS,
  },
  split: {
    flag: '--split <name=a:90,b:10>',
    key: 'splits',
    schema: TextByName,
    help: 'a name whose sessions are divided between routers by weight; a session keeps its router',
    section: ROUTERS,
  },
  shadow: {
    flag: '--shadow <name=router>',
    key: 'shadows',
    schema: TextByName,
    help: 'also decide with another router, which is only logged',
    section: ROUTERS,
  },
  explore: {
    flag: '--explore <p>',
    key: 'exploration.floor',
    schema: Type.Number({ minimum: 0, maximum: 0.5 }),
    unset: '0',
    help: 'try the other model with this probability, for weir ope',
    section: ROUTERS,
  },
  ...BUNDLE_OPTIONS,
  log: {
    flag: '--log <folder>',
    key: 'log.folder',
    schema: Text,
    help: 'folder for a log of every decision and all feedback',
    section: LOGGING,
  },
  logText: {
    flag: '--log-text <what>',
    key: 'log.text',
    schema: CONFIG.log.properties.text,
    unset: 'none',
    help: 'how prompts are kept in the log: none, redacted or full',
    section: LOGGING,
  },
  logEmbedding: {
    flag: '--log-embedding',
    key: 'log.embedding',
    schema: Switch,
    help: 'keep embeddings in the log',
    section: LOGGING,
  },
  logMetadata: {
    flag: '--log-metadata',
    key: 'log.metadata',
    schema: Switch,
    help: 'keep metadata and tags of the gateway’s requests in the log',
    section: LOGGING,
  },
  store: {
    flag: '--store <where>',
    key: 'store',
    schema: CONFIG.store,
    unset: 'in the log',
    help: 'where feedback is kept: postgres://... for several replicas, or a folder',
    section: LOGGING,
  },
  lines: {
    flag: '--lines [file]',
    schema: Type.Union([Type.Literal(true), Text]),
    help: 'write one JSON line per decision, to standard error or to a file',
    section: LOGGING,
  },
  spans: {
    flag: '--spans',
    schema: Switch,
    help: 'OpenTelemetry spans and metrics of requests, policies, decisions and upstreams, with the SDK that is registered',
    section: LOGGING,
  },
})
export type ServeFlags = Flags<typeof SERVE_OPTIONS>

/**
 * The configuration file (YAML or JSON), if there is one, with the flags on top.
 *
 * @throws config_invalid, option_invalid, file_not_found
 */
export const serveConfig = async (
  bundles: readonly string[],
  flags: Partial<ServeFlags>,
): Promise<ServeConfig> => (await readServeConfig(bundles, flags)).config

/** The same, with the file for errors that show later. */
export async function readServeConfig(
  bundles: readonly string[],
  flags: Partial<ServeFlags>,
  environment: ValueSources['environment'] = process.env,
): Promise<{ readonly config: ServeConfig; readonly source: Source | undefined }> {
  const source =
    flags.config === undefined ? undefined : await readSource(flags.config, 'a server config')
  const file = fileConfig(source ?? NO_FILE, environment, flags.printConfig === true)
  const config: Record<string, unknown> = {
    ...file,
    routers: [...(file.routers ?? []), ...bundles.map((path) => ({ path }))],
  }
  if (flags.policy !== undefined) config.gateway = withoutPolicies(file.gateway)
  else if (flags.capabilities !== undefined) {
    config.gateway = { ...gatewayOf(file.gateway, '--capabilities', 'whose models they are') }
  }
  for (const [name, { key }] of Object.entries<OptionRow>(SERVE_OPTIONS)) {
    const given = flags[name as keyof ServeFlags]
    if (key === undefined || given === undefined || isEmpty(given)) continue
    // how a log is written only matters if there is one
    if (key.startsWith('log.') && name !== 'log' && config.log === undefined) continue
    const value = Array.isArray(given) ? FROM_TEXTS[name]!(given) : given
    setAt(config, key.split('.'), ADDED.has(name) ? withBefore(config[key], value) : value)
  }
  // what is printed keeps the names of what stands elsewhere
  if (flags.printConfig !== true) assertFits(ServeConfig, config, source ?? NO_FILE)
  assertServes(config as ServeConfig)
  return { config: config as ServeConfig, source }
}

/**
 * The gateway section of a server's configuration, for commands that ask its models without serving.
 *
 * @throws config_invalid, also without such a section; file_not_found
 */
export async function readGatewayConfig(path: string): Promise<{
  readonly gateway: NonNullable<ServeConfig['gateway']>
  readonly log: ServeConfig['log']
  readonly source: Source
}> {
  const source = await readSource(path, 'a server config')
  const { gateway, log } = fileConfig(source, process.env)
  if (gateway) return { gateway, log, source }
  const expected = 'a section gateway, with upstreams and models'
  throw new WeirError('config_invalid', { where: `${path}:1`, expected, got: 'none' })
}

const NO_FILE: Source = { path: 'options', text: '', value: {}, hash: '', lineOf: () => 1 }

/**
 * The file with `WEIR_*` variables over it and the values that stand elsewhere. Routers may all come from the command
 * line, so it may leave them out.
 *
 * @param asWritten leaves values that stand elsewhere as they are written
 */
function fileConfig(
  source: Source,
  environment: ValueSources['environment'],
  asWritten = false,
): Partial<ServeConfig> {
  const { value } = source
  if (!isObject(value)) assertFits(ServeConfig, value, source)
  const written = withOverrides(value as object as Record<string, unknown>, environment, [
    ...Object.keys(CONFIG),
  ])
  const config = withLineOf(source, () => withValues(written, { environment }))
  assertFits(ServeConfig, { routers: [], ...(config as object) }, source)
  return (asWritten ? written : config) as Partial<ServeConfig>
}

function withLineOf<T>(source: Source, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw withLine(error, source)
  }
}

/** @throws option_invalid without a gateway, which policies need */
function withoutPolicies(gateway: ServeConfig['gateway']): object {
  const { policies: _, ...rest } = gatewayOf(gateway, '--policy', 'whose chats the policy is for')
  return rest
}

/** @throws option_invalid without a gateway */
function gatewayOf(
  gateway: ServeConfig['gateway'],
  option: string,
  why: string,
): NonNullable<ServeConfig['gateway']> {
  if (gateway) return gateway
  const expected = `a gateway section in --config, ${why}`
  throw new WeirError('option_invalid', { option, expected, got: 'none' })
}

/** Options whose values are added to the file's list, because they allow more. */
const ADDED: ReadonlySet<string> = new Set(['allowEncoderHost'])

const withBefore = (before: unknown, added: unknown): unknown => [
  ...new Set([before ?? [], added].flat()),
]

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Sets the value at the path; the existing value is copied, and a record is merged with the new one. */
function setAt(config: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path
  const before = config[key!]
  if (rest.length > 0) {
    const inner = isObject(before) ? { ...before } : {}
    setAt(inner, rest, value)
    config[key!] = inner
  } else config[key!] = isObject(before) && isObject(value) ? { ...before, ...value } : value
}

/** Converts the repeatable flags to configuration. */
const FROM_TEXTS: Readonly<Record<string, (texts: readonly string[]) => unknown>> = {
  alias: (texts) => pairs('--alias', texts),
  split: (texts) =>
    Object.fromEntries(
      Object.entries(pairs('--split', texts)).map(([name, arms]) => [name, readArms(arms)]),
    ),
  allowEncoderHost: (texts) => texts,
  requireSignature: (texts) => texts,
  shadow: (texts) =>
    Object.entries(pairs('--shadow', texts)).map(([of, router]) => ({ of, router })),
}

/** `name=value`, repeatable. */
function pairs(option: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((got) => {
      const [name, value] = keyValue(option, got)
      if (value !== '' && !value.includes('=')) return [name, value]
      throw new WeirError('option_invalid', { option, expected: 'NAME=ROUTER', got })
    }),
  )
}

/** `a:90,b:10` */
const readArms = (arms: string): { router: string; weight: number }[] =>
  arms.split(',').map((arm) => {
    const [router, weight] = arm.split(':')
    const value = Number(weight)
    if (router && value > 0) return { router, weight: value }
    const expected = 'NAME=ROUTER:WEIGHT,ROUTER:WEIGHT'
    throw new WeirError('option_invalid', { option: '--split', expected, got: arm })
  })

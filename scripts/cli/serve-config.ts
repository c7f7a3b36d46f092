import { readFile } from 'node:fs/promises'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { parseSource } from '../../core/yaml-source.ts'
import { ServeConfig } from '../../serving/server/config.ts'
import { choiceOption, numberOption } from './options.ts'

/** The flags of `weir serve` that say what is served and how. */
export interface ServeFlags {
  readonly config?: string
  readonly default?: string
  readonly alias?: readonly string[]
  readonly split?: readonly string[]
  readonly shadow?: readonly string[]
  readonly deadline?: string
  readonly cache?: string
  readonly rate?: string
  readonly log?: string
  readonly logText?: string
  readonly explore?: string
  readonly store?: string
  readonly logEmbedding?: boolean
  readonly logMetadata?: boolean
  readonly policy?: string
}

const check = Compile(ServeConfig)

/**
 * The configuration file (YAML or JSON), if there is one, with the flags on top.
 *
 * @throws config_invalid, option_invalid, file_not_found
 */
export async function serveConfig(
  bundles: readonly string[],
  flags: ServeFlags,
): Promise<ServeConfig> {
  const base = flags.config ? await readConfig(flags.config) : {}
  const log = flags.log ? { ...base.log, folder: flags.log } : base.log
  const deadline = numberOption('--deadline', flags.deadline, { min: 0 })
  const cache = numberOption('--cache', flags.cache, { min: 0, integer: true })
  const rate = numberOption('--rate', flags.rate, { min: 1, integer: true })
  const config = {
    ...base,
    routers: [...(base.routers ?? []), ...bundles.map((path) => ({ path }))],
    ...(flags.default === undefined ? {} : { default: flags.default }),
    ...(flags.alias ? { aliases: { ...base.aliases, ...pairs('--alias', flags.alias) } } : {}),
    ...(flags.split ? { splits: { ...base.splits, ...splits(flags.split) } } : {}),
    ...(flags.shadow
      ? {
          shadows: Object.entries(pairs('--shadow', flags.shadow)).map(([of, router]) => ({
            of,
            router,
          })),
        }
      : {}),
    ...(flags.explore === undefined
      ? {}
      : {
          exploration: {
            ...base.exploration,
            floor: numberOption('--explore', flags.explore, { min: 0, max: 0.5 })!,
          },
        }),
    ...(flags.policy === undefined ? {} : { gateway: withPolicy(base.gateway, flags.policy) }),
    ...(flags.store === undefined ? {} : { store: flags.store }),
    ...(deadline === undefined ? {} : { deadline_ms: deadline }),
    ...(cache === undefined ? {} : { cache_entries: cache }),
    ...(rate === undefined ? {} : { rate_per_minute: rate }),
    ...(log
      ? {
          log: {
            ...log,
            ...(flags.logText === undefined
              ? {}
              : { text: choiceOption('--log-text', flags.logText, ['none', 'redacted', 'full']) }),
            ...(flags.logEmbedding ? { embedding: true } : {}),
            ...(flags.logMetadata ? { metadata: true } : {}),
          },
        }
      : {}),
  }
  return checked(config, flags.config ?? 'options')
}

/** @throws option_invalid without a gateway, which is what policies are of */
function withPolicy(
  gateway: ServeConfig['gateway'],
  policy: string,
): NonNullable<ServeConfig['gateway']> {
  if (gateway) {
    const { policies: _, ...rest } = gateway
    return { ...rest, policy }
  }
  const expected = 'a gateway section in --config, whose chats the policy is for'
  throw new WeirError('option_invalid', { option: '--policy', expected, got: 'none' })
}

async function readConfig(path: string): Promise<Partial<ServeConfig>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  const { value } = parseSource(text, path)
  // routers may all come from the command line; the whole is checked with them in it
  checked(isObject(value) ? { routers: [{ path: '.' }], ...value } : value, path)
  return value as Partial<ServeConfig>
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function checked(value: unknown, where: string): ServeConfig {
  if (check.Check(value)) {
    if (value.routers.length > 0) return value
  }
  const { field, expected, got } = firstFault(check.Errors(value), value)
  throw new WeirError('config_invalid', { where: `${where}: ${field}`, expected, got })
}

/** `name=value`, as often as given. */
function pairs(option: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((got) => {
      const [name, value, more] = got.split('=')
      if (!name || !value || more !== undefined) {
        throw new WeirError('option_invalid', { option, expected: 'NAME=ROUTER', got })
      }
      return [name, value]
    }),
  )
}

/** `name=a:90,b:10` */
function splits(values: readonly string[]): NonNullable<ServeConfig['splits']> {
  return Object.fromEntries(
    Object.entries(pairs('--split', values)).map(([name, arms]) => [
      name,
      arms.split(',').map((arm) => {
        const [router, weight] = arm.split(':')
        const value = Number(weight)
        if (!router || !(value > 0)) {
          const expected = 'NAME=ROUTER:WEIGHT,ROUTER:WEIGHT'
          throw new WeirError('option_invalid', { option: '--split', expected, got: arm })
        }
        return { router, weight: value }
      }),
    ]),
  )
}

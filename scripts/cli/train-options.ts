import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Static } from 'typebox'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { parseSource, type Source } from '../../core/yaml-source.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { SPLITS } from '../../data/splits/assign-splits.ts'
import { AUTO } from '../../training/auto.ts'
import { settingsFor } from '../../training/fit-router.ts'
import { loadTrainer } from '../../training/trainers/registry.ts'
import {
  describeSetting,
  type Settings,
  settingFault,
  settingSchemas,
} from '../../training/trainers/settings.ts'
import { describeSearch } from '../../training/tune/tune-family.ts'
import type { LogFlags, PairFlags } from './data-flags.ts'
import { keyValue } from './key-value.ts'
import type { RuleFlags } from './rule-options.ts'

/** The flags of `weir train`, as they are typed; a config file says the same. */
export interface TrainFlags extends LogFlags, PairFlags, RuleFlags {
  readonly config?: string
  readonly printConfig?: boolean
  readonly strong?: string
  readonly weak?: string
  readonly router: string
  readonly encoder: string
  readonly engine: string
  readonly out: string
  readonly name: string
  readonly seed: string
  readonly threads: string
  readonly tune?: string
  readonly set: readonly string[]
  readonly judgeWeight: readonly string[]
  readonly price: readonly string[]
  readonly keepText?: boolean
  readonly json?: boolean
}

const Text = Type.String({ minLength: 1 })
const optional = Type.Optional

/** `weir train --config FILE`: YAML or JSON; each key is the flag of its name, with `_` for `-`. */
export const TrainConfig = Type.Object(
  {
    logs: optional(Type.Array(Text, { minItems: 1 })),
    strong: optional(Text),
    weak: optional(Text),
    /** names between commas, or all */
    models: optional(Text),
    rule: optional(Text),
    loss: optional(Type.Number({ minimum: 0, maximum: 1 })),
    router: optional(Text),
    encoder: optional(Text),
    engine: optional(Text),
    out: optional(Text),
    name: optional(Text),
    seed: optional(Type.Integer({ minimum: 0 })),
    threads: optional(Type.Integer({ minimum: 1 })),
    tune: optional(Type.Integer({ minimum: 2 })),
    /** the family's hyperparameters, as `--set` */
    settings: optional(Type.Record(Type.String(), Type.Union([Type.Number(), Type.String()]))),
    /** model: in/out, as `--price` */
    prices: optional(Type.Record(Type.String(), Text)),
    /** judge: weight, as `--judge-weight` */
    judge_weights: optional(Type.Record(Type.String(), Type.Number({ minimum: 0 }))),
    keep_text: optional(Type.Boolean()),
    format: optional(Text),
    /** ours: theirs, as `--map` */
    map: optional(Type.Record(Type.String(), Text)),
    score_range: optional(Text),
    split: optional(Text),
    group_by: optional(Text),
    test_by: optional(Text),
    test_after: optional(Text),
    max_rejects: optional(Type.Number({ minimum: 0, maximum: 1 })),
    rejects: optional(Text),
    judge: optional(Text),
    min_votes: optional(Type.Number({ minimum: 0 })),
    margin: optional(Type.Number({ minimum: 0, maximum: 1 })),
  },
  { additionalProperties: false },
)
export type TrainConfig = Static<typeof TrainConfig>

/** Keys that are not their flag's name. */
const FLAG_OF: Readonly<Record<string, string>> = {
  settings: 'set',
  prices: 'price',
  judge_weights: 'judgeWeight',
}

const check = Compile(TrainConfig)

export interface ReadConfig {
  readonly config: TrainConfig
  readonly source: Source
}

/** @throws file_not_found; config_invalid with file and line */
export async function readTrainConfig(path: string): Promise<ReadConfig> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  const source = parseSource(text, path)
  const { value } = source
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    const known = Object.keys(TrainConfig.properties)
    const unknown = Object.keys(value).find((key) => !known.includes(key))
    if (unknown !== undefined) {
      throw faulty(source, [unknown], `one of ${known.join(', ')}`, unknown)
    }
  }
  if (check.Check(value)) return { config: value, source }
  const { field, expected, got } = firstFault(check.Errors(value), value)
  throw faulty(source, field === '' ? [] : field.split('.'), expected, got, field)
}

/**
 * The flags with the file's values under those that were typed; `set`, `price`, `map` and `judgeWeight` hold
 * the file's and then the typed ones, so that the typed ones win by name.
 *
 * @param typed whether a flag was given on the command line
 */
export function withConfig(
  flags: TrainFlags,
  { config }: ReadConfig,
  typed: (flag: string) => boolean,
): TrainFlags {
  const merged: Record<string, unknown> = { ...flags }
  for (const [key, value] of Object.entries(config)) {
    const flag = FLAG_OF[key] ?? key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
    if (typeof value === 'object' && !Array.isArray(value)) {
      const pairs = Object.entries(value).map(([name, one]) => `${name}=${one}`)
      merged[flag] = [...pairs, ...((merged[flag] as readonly string[] | undefined) ?? [])]
    } else if (!typed(flag)) {
      merged[flag] = typeof value === 'number' ? String(value) : value
    }
  }
  // every key of the schema is a flag, in the form that the flag has
  return merged as unknown as TrainFlags
}

/** Holds the file's settings to the family's own schema, which is known once the flags are. */
export async function checkConfigSettings(
  { config, source }: ReadConfig,
  router: string,
): Promise<void> {
  const { settings: schema } = await loadTrainer(router)
  for (const [name, value] of Object.entries(config.settings ?? {})) {
    const fault = settingFault(schema, name, value)
    if (fault) throw faulty(source, ['settings', name], fault.expected, fault.got)
  }
}

function faulty(
  source: Source,
  field: readonly string[],
  expected: string,
  got: unknown,
  named: string = field.join('.'),
): WeirError {
  const where = `${source.path}:${source.lineOf(field)}${named ? `: ${named}` : ''}`
  return new WeirError('config_invalid', { where, expected, got: String(got) })
}

/** Flags and logs with the config file's under them. */
export async function configured(
  named: readonly string[],
  given: TrainFlags,
  command: Command,
): Promise<{ logs: readonly string[]; flags: TrainFlags }> {
  if (given.config === undefined) return { logs: named, flags: given }
  const read = await readTrainConfig(given.config)
  const flags = withConfig(given, read, (flag) => command.getOptionValueSource(flag) === 'cli')
  if (flags.router !== AUTO) await checkConfigSettings(read, flags.router)
  return { logs: named.length > 0 ? named : (read.config.logs ?? []), flags }
}

const missing = (option: string, expected: string): WeirError =>
  new WeirError('option_invalid', { option, expected, got: 'nothing' })

export function requireLogs(logs: readonly string[]): void {
  if (logs.length === 0) throw missing('logs', 'log files, or one dataset folder')
}

export function requiredPair(
  { strong, weak }: TrainFlags,
  logs: readonly string[],
): { strong: string; weak: string } {
  if (strong === undefined) {
    throw missing('--strong', 'the model that costs more and is better on average')
  }
  if (weak === undefined) throw missing('--weak', 'the model that would answer the rest')
  requireLogs(logs)
  return { strong, weak }
}

/** A value that reads as a number is one; the family's schema says which it wants. */
export function settingsOption(pairs: readonly string[]): Record<string, number | string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, value] = keyValue('--set', pair)
      const number = value.trim() === '' ? Number.NaN : Number(value)
      return [key, Number.isNaN(number) ? value : number]
    }),
  )
}

const PLAIN = [
  'strong',
  'weak',
  'models',
  'rule',
  'router',
  'encoder',
  'engine',
  'out',
  'name',
] as const
const NUMBERS = ['seed', 'threads', 'tune', 'loss'] as const
const AUTO_NOTE = 'auto'

/**
 * What `weir train` would do with these flags, as a file that `--config` reads: every hyperparameter of the
 * family with its value, what it does, its bounds and where `--tune` looks.
 *
 * @param dataset the logs, where they were given: some defaults go with their size
 */
export async function trainConfigText(
  logs: readonly string[],
  flags: TrainFlags,
  overrides: Settings,
  dataset?: Dataset,
): Promise<string> {
  const lines = [
    ...(logs.length > 0 ? ['logs:', ...logs.map((log) => `  - ${quoted(log)}`)] : []),
    ...PLAIN.flatMap((key) => (flags[key] === undefined ? [] : [`${key}: ${quoted(flags[key])}`])),
    ...NUMBERS.flatMap((key) => (flags[key] === undefined ? [] : [`${key}: ${flags[key]}`])),
    ...pairsOf('prices', flags.price),
    ...pairsOf('judge_weights', flags.judgeWeight),
  ]
  if (flags.router === AUTO_NOTE) {
    return [...lines, '# settings: each family’s own defaults; --router FAMILY prints them'].join(
      '\n',
    )
  }
  const trainer = await loadTrainer(flags.router)
  const settings = settingsFor(trainer, sizeOf(dataset), { hyperparameters: overrides })
  const note = dataset ? '' : ' (some go with the size of the log: name it to see them)'
  lines.push(`# of ${flags.router}${note}`, 'settings:')
  for (const [name, schema] of settingSchemas(trainer.settings)) {
    const search = schema.search ? `; --tune: ${describeSearch(schema.search)}` : ''
    lines.push(`  # ${schema.description}; ${describeSetting(schema)}${search}`)
    lines.push(`  ${name}: ${quoted(settings[name]!)}`)
  }
  return lines.join('\n')
}

const quoted = (value: string | number): string =>
  typeof value === 'number' ? String(value) : JSON.stringify(value)

/** `name=value` flags as a map; files given to `--price` stay out, since the file is not ours to copy. */
function pairsOf(key: string, pairs: readonly string[]): string[] {
  const split = pairs.flatMap((pair) => {
    const at = pair.lastIndexOf('=')
    return at > 0 ? [[pair.slice(0, at), pair.slice(at + 1)] as const] : []
  })
  const value = (text: string): string => (key === 'prices' ? quoted(text) : text)
  return split.length > 0
    ? [`${key}:`, ...split.map(([name, text]) => `  ${quoted(name)}: ${value(text)}`)]
    : []
}

/** Without a log the size that the plain defaults are for. */
function sizeOf(dataset: Dataset | undefined) {
  if (!dataset) return undefined
  const train = SPLITS.indexOf('train')
  const inTrain = (prompt: number): boolean => dataset.split[prompt] === train
  return {
    prompts: dataset.split.reduce((sum, of) => sum + Number(of === train), 0),
    votes: dataset.preferences?.prompt.filter(inTrain).length ?? 0,
    models: dataset.models.length,
  }
}

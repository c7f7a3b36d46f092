import type { Command } from 'commander'
import Type from 'typebox'
import { Value } from 'typebox/value'
import { WeirError } from '../../core/errors.ts'
import type { Source } from '../../core/yaml-source.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { BUNDLE_NAME } from '../../models/bundle/manifest.ts'
import { OodRule } from '../../models/bundle/ood-rule.ts'
import { RECIPES } from '../../models/reading/recipe.ts'
import { TRAINERS } from '../../training/trainers/registry.ts'
import type { Settings } from '../../training/trainers/settings.ts'
import { assertFits, configFault, readSource } from './config-file.ts'
import { jsonOption, LOG_OPTIONS, PAIR_OPTIONS, PRICE_OPTION, seedOption } from './log-options.ts'
import {
  assertOutputs,
  type FileConfig,
  type Flags,
  fileSchema,
  keyValue,
  type OptionRow,
  optionTable,
  recordValue,
  Share,
  Switch,
  Text,
  Texts,
} from './options.ts'

/** @throws option_invalid */
export function assertBundleName(text: string): void {
  if (BUNDLE_NAME.test(text)) return
  const expected =
    'a name of letters, digits, dots, dashes and underscores that begins with a letter or digit'
  throw new WeirError('option_invalid', { option: '--name', expected, got: text })
}

const MANY = 'More than two models'
const LEARNING = 'Learning'

export const TRAIN_OPTIONS = optionTable({
  config: {
    flag: '--config <file>',
    schema: Text,
    help: 'YAML or JSON file with these options and the settings of the family; flags win over it',
  },
  printConfig: {
    flag: '--print-config',
    schema: Switch,
    help: 'print the config file that says the same as the flags, with every setting, and stop',
  },
  strong: {
    flag: '--strong <model>',
    key: 'strong',
    schema: Text,
    help: 'the model that costs more and is better on average',
  },
  weak: {
    flag: '--weak <model>',
    key: 'weak',
    schema: Text,
    help: 'the model that answers the other prompts',
  },
  out: {
    flag: '--out <dir>',
    key: 'out',
    schema: Text,
    writes: 'folder',
    default: 'bundles',
    help: 'folder for bundles',
  },
  name: {
    flag: '--name <name>',
    key: 'name',
    schema: Type.String({ pattern: BUNDLE_NAME.source }),
    check: assertBundleName,
    default: 'router',
    help: 'name of the bundle in that folder',
  },
  price: PRICE_OPTION,
  keepText: {
    flag: '--keep-text',
    key: 'keep_text',
    schema: Switch,
    help: 'keep the start of each training prompt in bundles of knn, sw and ensemble, for explain',
  },
  json: jsonOption('the report'),
  models: {
    flag: '--models <names>',
    key: 'models',
    schema: Text,
    help: 'choose among these (a,b,c) or all; the best and the cheapest on train become strong and weak',
    section: MANY,
  },
  rule: {
    flag: '--rule <rule>',
    key: 'rule',
    schema: Text,
    unset: 'best-value',
    help: 'with --models: best-value or cheapest-within',
    section: MANY,
  },
  loss: {
    flag: '--loss <quality>',
    key: 'loss',
    schema: Share,
    unset: '0.02',
    help: 'with --rule cheapest-within: largest loss of quality against the best model',
    section: MANY,
  },
  efforts: {
    flag: '--efforts <model=names>',
    key: 'efforts',
    schema: Type.Record(Type.String(), Text),
    help: 'with --models: these (a,b,c) are one model at several efforts, lowest first; they learn from each other’s labels',
    section: MANY,
  },
  router: {
    flag: '--router <family>',
    key: 'router',
    schema: Text,
    default: 'classifier',
    help: `${Object.keys(TRAINERS).join(', ')} or auto; kernel needs --encoder lexical+...`,
    section: LEARNING,
  },
  prefer: {
    flag: '--prefer <what>',
    key: 'prefer',
    schema: Type.Union([Type.Literal('quality'), Type.Literal('latency')]),
    unset: 'quality',
    help: 'with --router auto: quality takes the best router, latency the simplest that is not clearly worse',
    section: LEARNING,
  },
  minutes: {
    flag: '--minutes <number>',
    key: 'minutes',
    schema: Type.Number({ minimum: 0.01 }),
    unset: '10',
    help: 'with --router auto: compare routers for at most this long, fitting the winner included',
    section: LEARNING,
  },
  maxMs: {
    flag: '--max-ms <number>',
    key: 'max_ms',
    schema: Type.Number({ exclusiveMinimum: 0 }),
    unset: 'no limit',
    help: 'with --router auto: choose no router whose decision takes longer on this machine, if others are left',
    section: LEARNING,
  },
  encoder: {
    flag: '--encoder <encoder>',
    key: 'encoder',
    schema: Text,
    unset: 'lexical; with --router auto also lexical+use-lite',
    help: 'lexical, use-lite, use-lite-static, hf:<dir>, openai:<model>, or lexical+ one of them',
    section: LEARNING,
  },
  engine: {
    flag: '--engine <engine>',
    key: 'engine',
    schema: Text,
    default: 'onnx',
    help: 'onnx or tfjs, for families trained by gradient steps',
    section: LEARNING,
  },
  recipe: {
    flag: '--recipe <recipe>',
    key: 'recipe',
    schema: Text,
    unset: 'auto',
    help: `what of a conversation is read: ${RECIPES.map(({ name }) => name).join(', ')}, a YAML file, or auto, which chooses on train and validation`,
    section: LEARNING,
  },
  phrases: {
    flag: '--phrases',
    key: 'phrases',
    schema: Switch,
    help: 'add courtesies and roles to half of the train prompts, so that they turn fewer decisions',
    section: LEARNING,
  },
  ood: {
    flag: '--ood <answer>',
    key: 'ood',
    schema: OodRule.properties.answer,
    unset: 'clip',
    help: 'to prompts unlike 99% of the training prompts: clip (their features only), strong, weak, or share (strong as often as calibrated)',
    section: LEARNING,
  },
  seed: { ...seedOption('seed of splits, initial weights and shuffles'), section: LEARNING },
  threads: {
    flag: '--threads <number>',
    key: 'threads',
    schema: Type.Integer({ minimum: 1, maximum: 256 }),
    default: 2,
    help: 'threads of the training engine, where its steps are large enough',
    section: LEARNING,
  },
  set: {
    flag: '--set <key=value>',
    key: 'settings',
    schema: Type.Record(Type.String(), Type.Union([Type.Number(), Type.String()])),
    help: 'a hyperparameter of the family',
    section: LEARNING,
  },
  sample: {
    flag: '--sample <number>',
    key: 'sample',
    schema: Type.Integer({ minimum: 100 }),
    unset: 'all of them',
    help: 'use so many prompts of the log only, drawn at random: a first look at a large log',
    section: LEARNING,
  },
  tune: {
    flag: '--tune <number>',
    key: 'tune',
    schema: Type.Integer({ minimum: 2, maximum: 1000 }),
    help: 'try this many settings, the defaults among them, on half of validation (successive halving)',
    section: LEARNING,
  },
  judgeWeight: {
    flag: '--judge-weight <name=number>',
    key: 'judge_weights',
    schema: Type.Record(Type.String(), Type.Number({ minimum: 0 })),
    unset: '1',
    help: 'weight of votes whose judge’s name contains <name>',
    section: LEARNING,
  },
  weakSignals: {
    flag: '--weak-signals',
    key: 'weak_signals',
    schema: Switch,
    help: 'learn from what later requests of a session say of unrated answers too, as far as feedback shows it to be reliable',
    section: LEARNING,
  },
  ...LOG_OPTIONS,
  ...PAIR_OPTIONS,
})
export type TrainFlags = Flags<typeof TRAIN_OPTIONS>

/** `weir train --config FILE`: YAML or JSON; the keys of the option table, and the logs. */
export const TRAIN_CONFIG = fileSchema(TRAIN_OPTIONS, { logs: Type.Optional(Texts) })
export type TrainConfig = FileConfig<typeof TRAIN_OPTIONS> & { readonly logs?: readonly string[] }

export interface ReadConfig {
  readonly config: TrainConfig
  readonly source: Source
}

/** @throws file_not_found; config_invalid with file and line */
export async function readTrainConfig(path: string): Promise<ReadConfig> {
  const source = await readSource(path, 'a training config')
  const { value } = source
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    const known = Object.keys(TRAIN_CONFIG.properties)
    const unknown = Object.keys(value).find((key) => !known.includes(key))
    if (unknown !== undefined) {
      throw configFault(source, [unknown], `one of ${known.join(', ')}`, unknown)
    }
  }
  assertFits(TRAIN_CONFIG, value, source)
  // the schema is made of the same rows as the type
  return { config: value as TrainConfig, source }
}

/**
 * Merges the flags over the file's values. A record of the file becomes `name=value` texts before the typed
 * ones, which override by name.
 *
 * @param typed whether a flag was given on the command line
 */
export function withConfig(
  flags: TrainFlags,
  { config }: ReadConfig,
  typed: (flag: string) => boolean,
): TrainFlags {
  const merged: Record<string, unknown> = { ...flags }
  const values: Readonly<Record<string, unknown>> = config
  for (const [name, { key, schema }] of rowsWithKeys()) {
    const value = values[key]
    if (value === undefined) continue
    if (recordValue(schema)) {
      const pairs = Object.entries(value as object).map(([one, of]) => `${one}=${of}`)
      merged[name] = [...pairs, ...(merged[name] as readonly string[])]
    } else if (!typed(name)) merged[name] = value
  }
  // every value was checked against the schema of its row
  return merged as unknown as TrainFlags
}

const rowsWithKeys = () =>
  Object.entries<OptionRow>(TRAIN_OPTIONS).flatMap(([name, row]) =>
    row.key === undefined ? [] : [[name, { ...row, key: row.key }] as const],
  )

/** Checks the file's settings against the family's schema, which is known once the flags are. */
export async function checkConfigSettings(
  { config, source }: ReadConfig,
  router: string,
): Promise<void> {
  const { loadTrainer } = await import('../../training/trainers/registry.ts')
  const { settingFault } = await import('../../training/trainers/settings.ts')
  const { settings: schema } = await loadTrainer(router)
  for (const [name, value] of Object.entries(config.settings ?? {})) {
    const fault = settingFault(schema, name, value)
    if (fault) throw configFault(source, ['settings', name], fault.expected, fault.got)
  }
}

/** Flags and logs, merged over those of the config file. */
export async function configured(
  named: readonly string[],
  given: TrainFlags,
  command: Command,
): Promise<{ logs: readonly string[]; flags: TrainFlags }> {
  if (given.config === undefined) return { logs: named, flags: given }
  const read = await readTrainConfig(given.config)
  const flags = withConfig(given, read, (flag) => command.getOptionValueSource(flag) === 'cli')
  const { AUTO } = await import('../../training/auto.ts')
  if (flags.router !== AUTO) await checkConfigSettings(read, flags.router)
  await assertOutputs(TRAIN_OPTIONS, { ...flags, config: undefined })
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

/** The weight of each judge's votes, by a part of the judge's name. */
export const judgeWeights = (pairs: readonly string[]): Map<string, number> =>
  new Map(
    pairs.map((pair) => {
      const [name, weight] = keyValue('--judge-weight', pair)
      return [name, Number(weight)]
    }),
  )

/** A text that reads as a number becomes one; the family's schema checks the type. */
export function settingsOption(pairs: readonly string[]): Record<string, number | string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, value] = keyValue('--set', pair)
      const number = value.trim() === '' ? Number.NaN : Number(value)
      return [key, Number.isNaN(number) ? value : number]
    }),
  )
}

/**
 * The settings of `weir train` with these flags, as a file for `--config`: every hyperparameter of the family
 * with its value, description, bounds and the range of `--tune`.
 *
 * @param dataset the logs, if given: some defaults depend on their size
 */
export async function trainConfigText(
  logs: readonly string[],
  flags: TrainFlags,
  overrides: Settings,
  dataset?: Dataset,
): Promise<string> {
  const { AUTO } = await import('../../training/auto.ts')
  const { settingsFor } = await import('../../training/fit-router.ts')
  const { loadTrainer } = await import('../../training/trainers/registry.ts')
  const { describeSetting, settingSchemas } = await import('../../training/trainers/settings.ts')
  const { describeSearch } = await import('../../training/tune/tune-family.ts')
  const values: Readonly<Record<string, unknown>> = flags
  const lines = [
    ...(logs.length > 0 ? ['logs:', ...logs.map((log) => `  - ${quoted(log)}`)] : []),
    ...rowsWithKeys().flatMap(([name, row]) => printRow(row, values[name])),
  ]
  if (flags.router === AUTO) {
    return [...lines, '# settings: each family’s own defaults; --router FAMILY prints them'].join(
      '\n',
    )
  }
  const trainer = await loadTrainer(flags.router)
  const size = dataset && (await sizeOf(dataset))
  const settings = settingsFor(trainer, size, { hyperparameters: overrides })
  const note = dataset ? '' : ' (some go with the size of the log: name it to see them)'
  lines.push(`# of ${flags.router}${note}`, 'settings:')
  for (const [name, schema] of settingSchemas(trainer.settings)) {
    const search = schema.search ? `; --tune: ${describeSearch(schema.search)}` : ''
    lines.push(`  # ${schema.description}; ${describeSetting(schema)}${search}`)
    lines.push(`  ${name}: ${quoted(settings[name]!)}`)
  }
  return lines.join('\n')
}

const quoted = (value: unknown): string => JSON.stringify(value)

/**
 * A row's help and value as lines of the file; empty if it has no value, and for the settings, which are
 * separate.
 */
function printRow({ key, help, schema }: OptionRow, value: unknown): string[] {
  if (value === undefined || key === 'settings') return []
  const of = recordValue(schema)
  if (!of) return [`# ${help}`, `${key}: ${quoted(value)}`]
  // a price file named by --price is not copied
  const pairs = (value as readonly string[]).filter((text) => text.includes('='))
  if (pairs.length === 0) return []
  return [
    `# ${help}`,
    `${key}:`,
    ...pairs.map((text) => {
      // names of models may contain `=`
      const at = key === 'prices' ? text.lastIndexOf('=') : text.indexOf('=')
      const shown = Value.Convert(of, text.slice(at + 1))
      return `  ${quoted(text.slice(0, at))}: ${quoted(shown)}`
    }),
  ]
}

async function sizeOf(dataset: Dataset) {
  const { SPLITS } = await import('../../data/splits/assign-splits.ts')
  const { comparedPrompts } = await import('../../training/fit-router.ts')
  const train = SPLITS.indexOf('train')
  const inTrain = (prompt: number): boolean => dataset.split[prompt] === train
  return {
    prompts: dataset.split.reduce((sum, of) => sum + Number(of === train), 0),
    votes: dataset.preferences?.prompt.filter(inTrain).length ?? 0,
    models: dataset.models.length,
    compared: comparedPrompts(dataset.outcomes, dataset.models.length, inTrain),
  }
}

import { readFile } from 'node:fs/promises'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../models/errors.ts'
import { firstFault } from '../models/schema-fault.ts'
import { parseSource, type Source } from '../serving/policy/source.ts'
import { settingFault } from '../training/settings.ts'
import { loadTrainer } from '../training/trainers.ts'
import type { TrainFlags } from './train-flags.ts'

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

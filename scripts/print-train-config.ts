import type { Dataset } from '../data/dataset.ts'
import { SPLITS } from '../data/split.ts'
import { settingsFor } from '../training/fit-router.ts'
import { describeSetting, type Settings, settingSchemas } from '../training/settings.ts'
import { loadTrainer } from '../training/trainers.ts'
import { describeSearch } from '../training/tune/search.ts'
import type { TrainFlags } from './train-flags.ts'

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
const AUTO = 'auto'

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
  if (flags.router === AUTO) {
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

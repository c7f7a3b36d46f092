import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import type { OnProgress } from '../core/progress.ts'
import { datasetOf, type Logs } from '../data/read-logs.ts'
import { contextOfBundles } from '../models/bundle/read.ts'
import type { Price } from '../models/prices.ts'
import { contextName, knownRecipe, type Recipe } from '../models/reading/recipe.ts'
import { type CalibrateResult, calibrate as calibrateBundle } from './calibrate/calibrate.ts'
import type { Target } from './calibrate/target.ts'
import { chooseModels } from './choose-models.ts'
import { checkedRule, type RuleRequest } from './default-rule.ts'
import type { EngineName } from './engine/engines.ts'
import { type Evaluation, evaluate as evaluateBundles } from './evaluate/evaluate.ts'
import { type TrainResult, train as trainDataset } from './train.ts'
import { openTrainEncoder } from './train-encoder.ts'
import type { Settings } from './trainers/settings.ts'

/** What every long call takes: a way to stop it, and a callback for its progress. */
export interface WorkOptions {
  /** stops the call, which throws a WeirError `cancelled`; `train` returns the best epoch so far instead */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
  /** seed of splits, initial weights, shuffles and bootstrap draws: an integer from 0 to 2^32 - 1, 1 by default */
  readonly seed?: number | undefined
}

/** US dollars per million tokens of each model, by its name in the logs. */
export type Prices = Readonly<Record<string, Price>>

/** A router between two models, which is decided by a threshold. */
export interface TwoModels {
  /** the model that costs more and answers better on average, by its name in the logs */
  readonly strong: string
  /** the model that answers the remaining requests */
  readonly weak: string
  readonly models?: undefined
  readonly rule?: undefined
  readonly efforts?: undefined
}

/** A router among two or more models, which is decided by a rule over their predicted quality and cost. */
export interface SeveralModels {
  /** models by their names in the logs, or all of them; `prices` names each unless the logs have costs */
  readonly models: readonly string[] | 'all'
  /** `best-value` by default, or `cheapest-within` a loss of quality (0 to 1, 0.02 by default) */
  readonly rule?: RuleRequest | undefined
  /** the best model on the train rows by default */
  readonly strong?: string | undefined
  /** the cheapest of the others by default */
  readonly weak?: string | undefined
  /**
   * models of the log that are one model at several efforts, the lowest first, by a name for the model: their heads
   * learn from each other
   */
  readonly efforts?: Readonly<Record<string, readonly string[]>> | undefined
}

export type TrainOptions = TrainSettings & (TwoModels | SeveralModels)

export interface TrainSettings extends WorkOptions {
  /** the bundle is written to `out/name`; `bundles` and `router` by default */
  readonly out?: string | undefined
  readonly name?: string | undefined
  /** a router family by name, or `auto` to compare them; `classifier` by default */
  readonly router?: string | undefined
  /**
   * which parts of conversations are read: the name of a known recipe, a recipe, or `auto` (the default), which
   * chooses a known one on the train and validation rows
   */
  readonly recipe?: string | Recipe | undefined
  /**
   * columns of the logs, or keys of their `metadata`, that say where a request is from, such as `feature`, `tier` or
   * `size:number`; requests name them in `metadata`
   */
  readonly context?: readonly string[] | undefined
  /** `lexical` (the default), `use-lite`, `use-lite-static`, `hf:<dir>`, `openai:<model>`, or `lexical+` one of them */
  readonly encoder?: string | undefined
  /** engine for families that are trained by gradient steps; `onnx` by default */
  readonly engine?: EngineName | undefined
  /** threads of the training engine; 2 by default */
  readonly threads?: number | undefined
  /** overrides of the family's hyperparameters */
  readonly hyperparameters?: Settings | undefined
  /** how many settings to try in search of better hyperparameters; 1, the defaults alone, by default */
  readonly tune?: number | undefined
  readonly prices?: Prices | undefined
  /** keeps the start of each training prompt in the bundle, where `explain` can show it; false by default */
  readonly keepText?: boolean | undefined
  /** where converted encoders are kept between runs; `$WEIR_CACHE`, else the user's cache folder */
  readonly cacheFolder?: string | undefined
}

/**
 * Trains a router between two models, or among all that `models` names, evaluates it on held-out prompts and
 * writes it as a bundle. The same logs and seed give the same bundle.
 *
 * @returns the bundle's path and manifest, and the report on the test prompts (APGR and CPT with 95%
 * intervals); with `models` also `choice`, what the rule achieves on the test prompts that all models
 * answered, if there are at least 50
 * @throws WeirError the errors of reading logs; option_invalid, rows_too_few, labels_one_class, model_unknown,
 * models_equal, family_unknown, engine_unavailable or module_missing (with the `npm i` command to run), training_diverged,
 * export_mismatch
 */
export async function train(logs: Logs, options: TrainOptions): Promise<TrainResult> {
  const {
    encoder = 'lexical',
    prices: given,
    cacheFolder,
    models,
    rule,
    efforts: tiers,
    recipe = 'auto',
    ...rest
  } = options
  const prices = given && tableOf(given)
  const choice = models && checkedRule(rule ?? { kind: 'best-value' })
  const keys = options.context?.map(contextName)
  const all = await datasetOf(logs, { ...options, context: keys })
  const { strong, weak } = options
  const chosen = models
    ? chooseModels(all, { models, strong, weak, prices })
    : { dataset: all, ...requiredPair(options) }
  const efforts = tiers && Object.entries(tiers).map(([model, of]) => ({ model, tiers: of }))
  const { onProgress } = options
  const opened = await openTrainEncoder(encoder, { cacheFolder, onProgress })
  try {
    return await trainDataset(chosen.dataset, {
      out: 'bundles',
      name: 'router',
      router: 'classifier',
      engine: 'onnx',
      threads: 2,
      seed: 1,
      recipe: typeof recipe === 'string' ? knownRecipe(recipe, 'recipe') : recipe,
      ...definedOnly({ ...rest, prices, choice, efforts }),
      strong: chosen.strong,
      weak: chosen.weak,
      ...opened,
    })
  } finally {
    await opened.encoder?.encoder.close?.()
  }
}

/** Callers without types may have named neither. */
function requiredPair({ strong, weak }: Partial<TwoModels>): { strong: string; weak: string } {
  if (strong !== undefined && weak !== undefined) return { strong, weak }
  throw new WeirError('option_invalid', {
    option: strong === undefined ? 'strong' : 'weak',
    expected: 'the name of a model in the logs, or `models` to choose among more than two',
    got: 'nothing',
  })
}

export interface CalibrateOptions extends WorkOptions {
  /** what the bundle's threshold or rule must achieve, such as `{ kind: 'strong-share', share: 0.3 }` */
  readonly target: Target
  /** a calibration method by name; the target's default otherwise */
  readonly method?: string | undefined
  /** prompts of the mix that the labelled rows are re-weighted to resemble */
  readonly targetPrompts?: readonly string[] | undefined
  /** overrides of the bundle's prices */
  readonly prices?: Prices | undefined
  /** keeps the bundle's probability calibration unchanged; false by default */
  readonly keepProbabilities?: boolean | undefined
  /** only reports and writes no version; false by default */
  readonly dryRun?: boolean | undefined
}

/**
 * Chooses the threshold of a bundle for a target, on rows that the router was not trained on, and writes a
 * new version of the bundle with the threshold and its certificate. The version that was read stays
 * unchanged. For a bundle of many models it chooses the number of the rule.
 *
 * @returns `threshold` (or `rule` for a bundle of many models), what it is expected to achieve, and its
 * certificate
 * @param bundle the folder of a bundle (its current version is used) or of one version
 * @throws WeirError bundle_invalid, calibration_data_short, calibration_impossible, budget_too_small, cancelled
 */
export async function calibrate(
  bundle: string,
  logs: Logs,
  options: CalibrateOptions,
): Promise<CalibrateResult> {
  const { prices, targetPrompts, ...given } = options
  const dataset = await datasetOf(logs, { ...options, context: await contextOfBundles([bundle]) })
  return calibrateBundle(bundle, definedOnly({ dataset, targetPrompts }), {
    seed: 1,
    ...definedOnly(given),
    ...(prices && { prices: tableOf(prices) }),
    date: new Date().toISOString(),
  })
}

export interface EvaluateOptions extends WorkOptions {
  /** another pair of the bundles' models; the pair they were trained for by default */
  readonly strong?: string | undefined
  readonly weak?: string | undefined
  readonly prices?: Prices | undefined
  /** bootstrap replicates; 1,000 by default, 200 past 200,000 prompts */
  readonly replicates?: number | undefined
  /** adds curves, slices and the worst misses to the report; false by default */
  readonly details?: boolean | undefined
}

/**
 * Compares bundles with each other and with the trivial baselines (random, prompt length, kNN, category
 * prior) on prompts that none of them was trained on.
 *
 * @param bundles the folder of one bundle, or several folders
 * @returns a report whose figures all have 95% bootstrap intervals, paired across routers; for bundles of
 * many models (`'pair' in report` is false), the quality that each budget buys, compared with single models
 * and their mixtures
 * @throws WeirError bundle_invalid, rows_too_few, model_unknown, cancelled
 */
export async function evaluate(
  bundles: string | readonly string[],
  logs: Logs,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { prices, strong, weak, seed = 1, ...given } = options
  const paths = typeof bundles === 'string' ? [bundles] : bundles
  const dataset = await datasetOf(logs, { ...options, context: await contextOfBundles(paths) })
  return evaluateBundles(paths, dataset, {
    ...given,
    ...definedOnly({ strong, weak }),
    seed,
    prices: prices && tableOf(prices),
  })
}

const tableOf = (prices: Prices): ReadonlyMap<string, Price> => new Map(Object.entries(prices))

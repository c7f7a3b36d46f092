import { WeirError } from '../core/errors.ts'
import type { OnProgress } from '../core/progress.ts'
import { deriveSeed } from '../core/random.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import { modelIndex } from '../data/pair.ts'
import { textOf } from '../models/encoders/context.ts'
import type { EncoderArtifact } from '../models/encoders/encoder.ts'
import { joinEncoders } from '../models/encoders/joined.ts'
import type { Family, Pair } from '../models/families/family.ts'
import { loadFamily } from '../models/families/registry.ts'
import { type Recipe, readsFields } from '../models/reading/recipe.ts'
import { createEngine } from './engine/engines.ts'
import { fitContext } from './fit-context.ts'
import { fitFamiliar } from './fit-familiar.ts'
import { fitLexical, PROJECTION_DEFAULTS } from './lexical/fit.ts'
import { loadTrainer } from './trainers/registry.ts'
import { type Settings, settingFault } from './trainers/settings.ts'
import { type EncodedSplit, encodeSplits } from './trainers/splits.ts'
import type { DataSize, OutcomeColumns, Trainer, TrainerResult } from './trainers/trainer.ts'

/** One model at several efforts, each of which is a model of the log. */
export interface Efforts {
  /** a name for the model, for messages and the manifest */
  readonly model: string
  /** models of the log, the lowest effort first */
  readonly tiers: readonly string[]
}

export interface FitRouterOptions {
  readonly strong: string
  readonly weak: string
  /** the family's name */
  readonly router: string
  readonly engine: string
  readonly seed: number
  readonly threads: number
  /** an existing encoder; without it, `lexical` is fitted on the train prompts */
  readonly encoder?: EncoderArtifact
  /** fits `lexical` as well and appends the encoder's columns to it */
  readonly besideLexical?: boolean
  /**
   * Encoders fitted on this dataset's train prompts, by the form that a trainer reads: a cache, so that
   * several fits share one encoder.
   */
  readonly fitted?: Map<Trainer['input'], EncoderArtifact>
  /** overrides of the family's hyperparameters */
  readonly hyperparameters?: Settings
  /** models that are one model at several efforts; their heads are fitted together */
  readonly efforts?: readonly Efforts[] | undefined
  /** checkpoint file for families trained by gradient steps: a killed run resumes from it */
  readonly checkpoint?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** A dataset whose prompts a recipe has read; without one they are plain texts. */
export interface ReadDataset extends Dataset {
  readonly recipe?: Recipe
}

/** The encoded rows that a family is fitted on; several fits may share them. */
export interface PreparedRows {
  readonly encoder: EncoderArtifact
  readonly train: EncodedSplit
  readonly validation: EncodedSplit
}

/** A fitted router before it is exported, with the splits it was fitted on. */
export interface FittedRouter extends TrainerResult, PreparedRows {
  readonly family: Family
  readonly pair: Pair
}

/**
 * Fits the encoder on the train prompts and the head on their labels; validation is used only to stop and to
 * select.
 */
export async function fitRouter(
  dataset: ReadDataset,
  options: FitRouterOptions,
): Promise<FittedRouter> {
  const { input } = await loadTrainer(options.router)
  return fitHead(dataset, await prepareRows(dataset, input, options), options)
}

/** Fits the encoder on the train prompts, in the form that the trainer reads, and encodes train and validation. */
export async function prepareRows(
  dataset: ReadDataset,
  input: Trainer['input'],
  options: FitRouterOptions,
): Promise<PreparedRows> {
  const encoder = await fitEncoder(dataset, input, options)
  const both = ['train', 'validation'] as const
  const [train, validation] = await encodeSplits(dataset, both, encoder.encoder, options.signal)
  return { encoder, train: train!, validation: validation! }
}

export async function fitHead(
  dataset: Dataset,
  prepared: PreparedRows,
  options: FitRouterOptions,
): Promise<FittedRouter> {
  const { signal, onProgress, seed, checkpoint } = options
  const trainer = await loadTrainer(options.router)
  const family = await loadFamily(options.router)
  const pair = {
    strong: modelIndex(dataset, options.strong),
    weak: modelIndex(dataset, options.weak),
  }
  const { train, validation } = prepared
  const size = {
    prompts: train.embeddings.rows,
    votes: train.preferences?.prompt.length ?? 0,
    models: dataset.models.length,
    compared: comparedPrompts(train.outcomes, dataset.models.length),
  }
  const hyperparameters = settingsFor(trainer, size, options)
  const engine = await createEngine(options.engine)
  try {
    const fitted = await trainer.fit({
      models: dataset.models,
      ...pair,
      efforts: options.efforts?.map(({ tiers }) => tiers.map((tier) => modelIndex(dataset, tier))),
      train,
      validation,
      hyperparameters,
      seed,
      engine,
      threads: options.threads,
      checkpoint,
      signal,
      onProgress,
    })
    return { ...fitted, ...prepared, family, pair }
  } finally {
    await engine.close()
  }
}

/** Number of prompts on which two or more models were scored, among those to be counted. */
export function comparedPrompts(
  outcomes: OutcomeColumns | undefined,
  models: number,
  counted: (prompt: number) => boolean = () => true,
): number {
  const prompts = outcomes ? outcomes.scores.length / models : 0
  let compared = 0
  for (let i = 0; i < prompts; i++) {
    if (!counted(i)) continue
    let scored = 0
    for (let k = 0; k < models; k++) if (!Number.isNaN(outcomes!.scores[i * models + k]!)) scored++
    if (scored > 1) compared++
  }
  return compared
}

/** The given encoder, or `lexical` in the form that the trainer reads, or both side by side. */
async function fitEncoder(
  dataset: ReadDataset,
  input: Trainer['input'],
  options: FitRouterOptions,
): Promise<EncoderArtifact> {
  const { encoder, besideLexical, fitted } = options
  const known = fitted?.get(input)
  if (known) return known
  if (encoder && besideLexical && input === 'dense') {
    throw new WeirError('option_invalid', {
      option: '--encoder',
      expected: `only a dense encoder for --router ${options.router}`,
      got: `lexical+${encoder.encoder.spec.kind}`,
    })
  }
  if (encoder && !besideLexical) return familiarTo(dataset, withFields(dataset, encoder))
  const lexical = await fitLexicalFields(dataset, input, options)
  const made = familiarTo(dataset, encoder ? joinEncoders(lexical, encoder) : lexical)
  fitted?.set(input, made)
  return made
}

const trainPrompts = ({ prompts, split }: Dataset): string[] =>
  prompts.filter((_, i) => SPLITS[split[i]!] === 'train')

/** An encoder of text with columns for declared context and conversation features, if the recipe reads them. */
function withFields(dataset: ReadDataset, encoder: EncoderArtifact): EncoderArtifact {
  const { recipe } = dataset
  return readsFields(recipe) ? fitContext(encoder, trainPrompts(dataset), recipe) : encoder
}

/** An encoder that reads what is worded like the train prompts, if the recipe says so. */
const familiarTo = (dataset: ReadDataset, encoder: EncoderArtifact): EncoderArtifact =>
  dataset.recipe?.unfamiliar === 'skip' ? fitFamiliar(encoder, trainPrompts(dataset)) : encoder

type LexicalFit = Pick<FitRouterOptions, 'seed' | 'signal' | 'onProgress'>

/** `lexical`, fitted on the train prompts, with the recipe's fields, reading as the recipe says. */
export const fitWords = async (
  dataset: ReadDataset,
  input: Trainer['input'],
  options: LexicalFit,
): Promise<EncoderArtifact> => familiarTo(dataset, await fitLexicalFields(dataset, input, options))

async function fitLexicalFields(
  dataset: ReadDataset,
  input: Trainer['input'],
  { seed, signal, onProgress }: LexicalFit,
): Promise<EncoderArtifact> {
  const { recipe } = dataset
  const readings = trainPrompts(dataset)
  const lexical = await fitLexical({
    prompts: readsFields(recipe) ? readings.map(textOf) : readings,
    ...(input === 'dense'
      ? { projection: { ...PROJECTION_DEFAULTS, seed: deriveSeed(seed, 'svd') } }
      : {}),
    signal,
    onProgress,
  })
  return withFields(dataset, lexical)
}

/**
 * The family's defaults, overridden first by those that depend on the data's size, then by the settings asked
 * for.
 *
 * @param size without it, the defaults do not depend on the data's size
 * @throws option_invalid for a setting that the family does not have or that is out of bounds
 */
export function settingsFor(
  trainer: Trainer,
  size: DataSize | undefined,
  {
    besideLexical,
    encoder,
    hyperparameters = {},
  }: Pick<FitRouterOptions, 'besideLexical' | 'encoder' | 'hyperparameters'>,
): Settings {
  for (const [name, value] of Object.entries(hyperparameters)) {
    const fault = settingFault(trainer.settings, name, value)
    const option = Object.hasOwn(trainer.defaults, name) ? `--set ${name}` : '--set'
    if (fault) throw new WeirError('option_invalid', { option, ...fault })
  }
  const tailed = besideLexical && encoder && Object.hasOwn(trainer.defaults, 'tail')
  return {
    ...trainer.defaults,
    ...(size ? trainer.sized?.(size) : {}),
    ...(tailed ? { tail: encoder.encoder.spec.dimension } : {}),
    ...hyperparameters,
  } as Settings
}

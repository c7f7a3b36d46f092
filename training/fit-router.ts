import { type Dataset, SPLITS } from '../data/dataset.ts'
import { modelIndex } from '../data/pair.ts'
import type { EncoderArtifact } from '../models/encoder.ts'
import { joinEncoders } from '../models/encoders/joined.ts'
import { WeirError } from '../models/errors.ts'
import { loadFamily } from '../models/families.ts'
import type { Family, Pair } from '../models/family.ts'
import type { OnProgress } from '../models/progress.ts'
import { deriveSeed } from '../models/random.ts'
import { createEngine } from './engine/engines.ts'
import { fitLexical, PROJECTION_DEFAULTS } from './lexical/fit.ts'
import { type EncodedSplit, encodeSplit } from './splits.ts'
import type { TrainerResult } from './trainer.ts'
import { loadTrainer } from './trainers.ts'

export interface FitRouterOptions {
  readonly strong: string
  readonly weak: string
  /** the family's name */
  readonly router: string
  readonly engine: string
  readonly seed: number
  readonly threads: number
  /** made beforehand; without it, `lexical` is fitted on the train prompts */
  readonly encoder?: EncoderArtifact
  /** `lexical` is fitted all the same, and the encoder's columns stand behind its own */
  readonly besideLexical?: boolean
  /** overrides of the family's hyperparameters */
  readonly hyperparameters?: Readonly<Record<string, number>>
  /** a file for families trained by gradient steps: a killed run goes on from it */
  readonly checkpoint?: string
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

/** A fitted router before it is exported, with the splits it was fitted on. */
export interface FittedRouter extends TrainerResult {
  readonly family: Family
  readonly pair: Pair
  readonly encoder: EncoderArtifact
  readonly train: EncodedSplit
  readonly validation: EncodedSplit
}

/** Fits the encoder on the train prompts and the head on their labels; validation only stops and selects. */
export async function fitRouter(
  dataset: Dataset,
  options: FitRouterOptions,
): Promise<FittedRouter> {
  const { signal, onProgress, seed } = options
  const watch = { ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}) }
  const trainer = await loadTrainer(options.router)
  const family = await loadFamily(options.router)
  const pair = {
    strong: modelIndex(dataset, options.strong),
    weak: modelIndex(dataset, options.weak),
  }
  const hyperparameters = withOverrides(
    options.besideLexical && options.encoder && Object.hasOwn(trainer.defaults, 'tail')
      ? { ...trainer.defaults, tail: options.encoder.encoder.spec.dimension }
      : trainer.defaults,
    options.hyperparameters,
  )
  const encoder = await fitEncoder(dataset, trainer.input, options)
  const train = await encodeSplit(dataset, 'train', encoder.encoder, signal)
  const validation = await encodeSplit(dataset, 'validation', encoder.encoder, signal)
  const engine = await createEngine(options.engine)
  try {
    const fitted = await trainer.fit({
      models: dataset.models,
      ...pair,
      train,
      validation,
      hyperparameters,
      seed,
      engine,
      threads: options.threads,
      ...(options.checkpoint ? { checkpoint: options.checkpoint } : {}),
      ...watch,
    })
    return { ...fitted, family, pair, encoder, train, validation }
  } finally {
    await engine.close()
  }
}

/** The encoder as given, or `lexical` in the form the trainer reads, or both side by side. */
async function fitEncoder(
  dataset: Dataset,
  input: 'dense' | 'sparse',
  options: FitRouterOptions,
): Promise<EncoderArtifact> {
  const { encoder, besideLexical, seed, signal, onProgress } = options
  if (encoder && !besideLexical) return encoder
  if (encoder && input === 'dense') {
    throw new WeirError('option_invalid', {
      option: '--encoder',
      expected: `a dense encoder alone for --router ${options.router}`,
      got: `lexical+${encoder.encoder.spec.kind}`,
    })
  }
  const lexical = await fitLexical({
    prompts: dataset.prompts.filter((_, i) => SPLITS[dataset.split[i]!] === 'train'),
    ...(input === 'dense'
      ? { projection: { ...PROJECTION_DEFAULTS, seed: deriveSeed(seed, 'svd') } }
      : {}),
    ...(signal ? { signal } : {}),
    ...(onProgress ? { onProgress } : {}),
  })
  return encoder ? joinEncoders(lexical, encoder) : lexical
}

function withOverrides(
  defaults: Readonly<Record<string, number>>,
  overrides: Readonly<Record<string, number>> = {},
): Readonly<Record<string, number>> {
  for (const key of Object.keys(overrides)) {
    if (!Object.hasOwn(defaults, key)) {
      const expected = `one of ${Object.keys(defaults).join(', ')}`
      throw new WeirError('option_invalid', { option: '--set', expected, got: key })
    }
  }
  return { ...defaults, ...overrides }
}

import type { TObject } from 'typebox'
import type { OnProgress } from '../../core/progress.ts'
import type { Embeddings } from '../../models/encoders/embeddings.ts'
import type { HeadWeights } from '../../models/families/family.ts'
import type { Engine, EpochRecord } from '../engine/engine.ts'
import type { Settings } from './settings.ts'

/** Preferences on the prompts of one split, as columns. */
export interface PreferenceColumns {
  /** index of the prompt in the split's embeddings */
  readonly prompt: Int32Array
  readonly modelA: Int32Array
  readonly modelB: Int32Array
  /** 1 if a is better, 0 if b is better, 0.5 for a tie */
  readonly label: Float32Array
  readonly weight: Float32Array
}

/** Outcomes on the prompts of one split: prompts x models, row-major, NaN if not observed. */
export interface OutcomeColumns {
  readonly scores: Float32Array
  /**
   * the scores with estimates in place of those of the pair that are missing because one model answered: right
   * on average over prompts, and not in [0, 1]; absent if there are none. For families and comparisons that
   * need both models of a prompt; a model's own head learns from `scores`
   */
  readonly completed?: Float32Array
  /** like `completed`, with predicted scores in place of the missing ones and the observed ones kept: in [0, 1] */
  readonly imputed?: Float32Array
  /** 1 - propensity of the scores of single answers (overlap weights; Li, Morgan and Zaslavsky 2018), 1 for others; beside `completed` */
  readonly weights?: Float32Array
  /** lengths of the answers in tokens, if the log has them; prompts x models, like the scores */
  readonly tokens?: Float32Array
}

/** One split as families see it: each prompt once, with the observations on it. */
export interface TrainingRows {
  readonly embeddings: Embeddings
  readonly preferences?: PreferenceColumns
  readonly outcomes?: OutcomeColumns
}

export interface TrainerInput<S extends Settings = Settings> {
  readonly models: readonly string[]
  readonly strong: number
  readonly weak: number
  /** models that are one model at several efforts, as indices, the lowest effort first; read if `sharesEfforts` */
  readonly efforts?: readonly (readonly number[])[] | undefined
  readonly train: TrainingRows
  readonly validation: TrainingRows
  readonly hyperparameters: S
  readonly seed: number
  readonly engine: Engine
  readonly threads: number
  /** checkpoint file of families trained by gradient steps, so that a killed run resumes */
  readonly checkpoint?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

export interface TrainerResult {
  readonly weights: HeadWeights
  /**
   * If the head was refitted with the validation rows included, the head before that: it scores validation
   * rows for a threshold or a comparison.
   */
  readonly heldOut?: HeadWeights
  /** every hyperparameter with the value that was used */
  readonly hyperparameters: Settings
  readonly curve: readonly EpochRecord[]
  /** how the heads of each of the input's `efforts` were fitted together, in their order */
  readonly shared?: readonly SharedFit[]
  readonly backend: string
  /** true if the signal stopped it early and this is the best result so far */
  readonly stopped?: boolean
  /** number of epochs in the checkpoint that this run resumed from, if there was one */
  readonly resumedAfter?: number
}

/** How the heads of one model's efforts share what they learn; chosen on held-out rows. */
export interface SharedFit {
  /** prior correlation of the efforts' weights: 0 if the heads were fitted apart, towards 1 if they are nearly one */
  readonly correlation: number
  /** strength of the L2 penalty of each head */
  readonly l2: number
  /** labels of each effort in train and validation */
  readonly labels: readonly number[]
  /** mean quality of each effort on these prompts before and after it was made to rise with the effort */
  readonly fitted: readonly number[]
  readonly quality: readonly number[]
}

/** The amount of training data; defaults may depend on it. */
export interface DataSize {
  /** number of prompts of the train split */
  readonly prompts: number
  readonly votes: number
  readonly models: number
  /** prompts on which two or more models were scored */
  readonly compared: number
}

/** Fits a family; its forward pass is the family with the same name in models/. */
export interface Trainer<S extends Settings = Settings> {
  readonly family: string
  /** the form of the embeddings it reads */
  readonly input: 'dense' | 'sparse'
  /** every hyperparameter with its default, bounds, description, and search space for `--tune` */
  readonly settings: TObject
  readonly defaults: S
  /** the defaults that depend on the amount of data */
  sized?(size: DataSize): Partial<S>
  /** whether it fits the heads of one model's efforts together */
  readonly sharesEfforts?: true
  fit(input: TrainerInput<S>): Promise<TrainerResult>
}

import type { TObject } from 'typebox'
import type { OnProgress } from '../../core/progress.ts'
import type { Embeddings } from '../../models/encoders/embeddings.ts'
import type { HeadWeights } from '../../models/families/family.ts'
import type { Engine, EpochRecord } from '../engine/engine.ts'
import type { Settings } from './settings.ts'

/** Preferences on the prompts of one split, as columns. */
export interface PreferenceColumns {
  /** index of the prompt among the split's embeddings */
  readonly prompt: Int32Array
  readonly modelA: Int32Array
  readonly modelB: Int32Array
  /** 1 where a is better, 0 where b is, 0.5 for a tie */
  readonly label: Float32Array
  readonly weight: Float32Array
}

/** Outcomes on the prompts of one split: prompts x models, row-major, NaN where not observed. */
export interface OutcomeColumns {
  readonly scores: Float32Array
  /** how long the answers were, where the log says; the same shape */
  readonly tokens?: Float32Array
}

/** One split, as families see it: each prompt once, with what was observed of it. */
export interface TrainingRows {
  readonly embeddings: Embeddings
  readonly preferences?: PreferenceColumns
  readonly outcomes?: OutcomeColumns
}

export interface TrainerInput<S extends Settings = Settings> {
  readonly models: readonly string[]
  readonly strong: number
  readonly weak: number
  readonly train: TrainingRows
  readonly validation: TrainingRows
  readonly hyperparameters: S
  readonly seed: number
  readonly engine: Engine
  readonly threads: number
  /** where families trained by gradient steps keep how far they are, so that a killed run goes on */
  readonly checkpoint?: string
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

export interface TrainerResult {
  readonly weights: HeadWeights
  /**
   * The same head before it was fitted again with the validation rows among the others, where it was:
   * what validation rows are scored with, for a threshold or a comparison.
   */
  readonly heldOut?: HeadWeights
  /** every hyperparameter with the value it had */
  readonly hyperparameters: Settings
  readonly curve: readonly EpochRecord[]
  readonly backend: string
  /** true where the signal stopped it early and this is the best so far */
  readonly stopped?: boolean
  /** epochs that a killed run's checkpoint had done before this one went on, where there was one */
  readonly resumedAfter?: number
}

/** How much there is to learn from: defaults may depend on it. */
export interface DataSize {
  /** of the train split */
  readonly prompts: number
  readonly votes: number
  readonly models: number
}

/** How a family is fitted; its forward pass is the family of the same name in models/. */
export interface Trainer<S extends Settings = Settings> {
  readonly family: string
  /** which embeddings it reads */
  readonly input: 'dense' | 'sparse'
  /** every hyperparameter: its default, its bounds, a sentence, and where `--tune` looks */
  readonly settings: TObject
  readonly defaults: S
  /** the defaults that go with the data's size, where they do */
  sized?(size: DataSize): Partial<S>
  fit(input: TrainerInput<S>): Promise<TrainerResult>
}

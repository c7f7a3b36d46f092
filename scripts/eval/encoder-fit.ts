import { type Embeddings, takeRows } from '../../models/embeddings.ts'
import { classifier } from '../../models/families/classifier.ts'
import { mf } from '../../models/families/mf.ts'
import { createRandom, deriveSeed } from '../../models/random.ts'
import type { Engine } from '../../training/engine/engine.ts'
import type { Trainer, TrainingRows } from '../../training/trainer.ts'
import { classifierTrainer } from '../../training/trainers/classifier.ts'
import { mfTrainer } from '../../training/trainers/mf.ts'
import type { PairTable } from './encoder-data.ts'

export type Head = 'linear' | 'mf'

/** Of the labels a head is given, what stops and selects it. */
const VALIDATION = 0.15
const PAIR = { strong: 0, weak: 1 } as const

/** Embeddings of every prompt of the table, made from the training rows where the encoder is fitted. */
export type EmbeddingSource = (training: readonly number[]) => Promise<Embeddings>

/**
 * The win rate of every prompt, from a head (and a fitted encoder) that saw `labels` rows of the other
 * folds: the first of one seeded order, so that more labels contain fewer.
 */
export async function outOfFold(
  table: PairTable,
  source: EmbeddingSource,
  head: Head,
  labels: number,
  options: {
    readonly seed: number
    readonly folds: number
    readonly engine: Engine
    readonly signal?: AbortSignal
  },
): Promise<Float64Array> {
  const { seed, folds, engine, signal } = options
  const winRate = new Float64Array(table.prompts.length)
  const family = head === 'mf' ? mf : classifier
  const trainer: Trainer = head === 'mf' ? mfTrainer : classifierTrainer
  for (let fold = 0; fold < folds; fold++) {
    const order = createRandom(deriveSeed(seed, `fold ${fold}`)).shuffle(
      Array.from(table.fold.keys()).filter((row) => table.fold[row] !== fold),
    )
    const given = order.slice(0, labels)
    const cut = Math.round(given.length * VALIDATION)
    const embeddings = await source(given.slice(cut))
    const rows = (chosen: readonly number[]): TrainingRows => ({
      embeddings: takeRows(embeddings, chosen),
      outcomes: {
        scores: Float32Array.from(
          chosen.flatMap((row) => [table.scores[2 * row]!, table.scores[2 * row + 1]!]),
        ),
      },
    })
    const { weights } = await trainer.fit({
      models: ['strong', 'weak'],
      ...PAIR,
      train: rows(given.slice(cut)),
      validation: rows(given.slice(0, cut)),
      hyperparameters:
        head === 'mf'
          ? mfTrainer.defaults
          : { ...classifierTrainer.defaults, l2_min: 0.3, l2_max: 30, l2_steps: 5 },
      seed,
      engine,
      threads: 1,
      ...(signal ? { signal } : {}),
    })
    const held = Array.from(table.fold.keys()).filter((row) => table.fold[row] === fold)
    const scores = family.forward(weights, PAIR, takeRows(embeddings, held))
    for (const [place, row] of held.entries()) winRate[row] = scores.winRate[place]!
  }
  return winRate
}

import { createRandom, deriveSeed } from '../core/random.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import { promptStem } from '../data/splits/stem.ts'

/** Most prompts that fits are compared on out of fold; a seeded sample of a larger log. */
const MOST_PROMPTS = 6_000

const TRAIN = SPLITS.indexOf('train')
const VALIDATION = SPLITS.indexOf('validation')
const HELD_OUT = SPLITS.indexOf('calibration')
const UNUSED = SPLITS.indexOf('test')

export interface FoldSplits {
  /** the rows that are held out in one of the folds, ascending */
  readonly rows: readonly number[]
  /** one split per fold: the other folds' rows train, an eighth of them stops; the fold's are its calibration rows */
  readonly splits: readonly Uint8Array[]
}

/**
 * Splits the train and validation rows, or a sample of them, into folds by the stem of what was asked, so that no
 * copy of a question stands on both sides. The log's own calibration and test rows stay out.
 */
export function foldSplits(
  dataset: Dataset,
  { folds, seed, most = MOST_PROMPTS }: { folds: number; seed: number; most?: number },
): FoldSplits {
  const rows = [...dataset.split.keys()].filter((row) => dataset.split[row]! <= VALIDATION)
  const kept = createRandom(deriveSeed(seed, 'recipes')).shuffle(rows).slice(0, most)
  const cell = new Map(
    kept.map((row) => [
      row,
      createRandom(deriveSeed(seed, promptStem(dataset.prompts[row]!, dataset.manifest.split))).int(
        8 * folds,
      ),
    ]),
  )
  return {
    rows: kept.sort((a, b) => a - b),
    splits: Array.from({ length: folds }, (_, fold) =>
      Uint8Array.from(dataset.prompts, (_prompt, row) => {
        const at = cell.get(row)
        if (at === undefined) return UNUSED
        if (at % folds === fold) return HELD_OUT
        return Math.floor(at / folds) === 0 ? VALIDATION : TRAIN
      }),
    ),
  }
}

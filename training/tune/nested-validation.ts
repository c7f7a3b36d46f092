import { type Dataset, SPLITS } from '../../data/dataset.ts'

const VALIDATION = SPLITS.indexOf('validation')
const COMPARISON = SPLITS.indexOf('calibration')
const ASIDE = SPLITS.indexOf('test')

/** A dataset whose validation rows are halved, so that nothing is judged on the rows it was tuned on. */
export interface NestedValidation {
  /** its validation split is the tuning half, its calibration split the comparing one */
  readonly dataset: Dataset
  /** prompts of the comparing half, ascending */
  readonly compared: readonly number[]
}

/** Every second validation row compares; calibration rows are put aside with the test rows. */
export function nestValidation(dataset: Dataset): NestedValidation {
  let seen = 0
  const split = dataset.split.map((of) => {
    if (of === COMPARISON) return ASIDE
    if (of !== VALIDATION) return of
    return seen++ % 2 === 0 ? VALIDATION : COMPARISON
  })
  const compared = [...split.keys()].filter((row) => split[row] === COMPARISON)
  return { dataset: { ...dataset, split }, compared }
}

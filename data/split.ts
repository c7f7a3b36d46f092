import { hashText, unitInterval } from './hash64.ts'

export type Split = 'train' | 'validation' | 'calibration' | 'test'

/** In the order of the numbers that a dataset stores. */
export const SPLITS = ['train', 'validation', 'calibration', 'test'] as const satisfies Split[]

export type SplitFractions = Readonly<Record<Split, number>>

export const DEFAULT_FRACTIONS: SplitFractions = {
  train: 0.65,
  validation: 0.1,
  calibration: 0.1,
  test: 0.15,
}

/** The split of a stem: the same on every machine, whatever other rows the log holds. Index into SPLITS. */
export function splitOf(stem: string, seed: number, fractions: SplitFractions): number {
  const hash = new Uint32Array(2)
  hashText(stem, seed, hash)
  return splitAt(unitInterval(hash), fractions)
}

/** The split whose share of [0, 1) a point falls in. */
export function splitAt(point: number, fractions: SplitFractions): number {
  let upper = 0
  for (let i = 0; i < SPLITS.length; i++) {
    upper += fractions[SPLITS[i]!]
    if (point < upper) return i
  }
  return SPLITS.findLastIndex((split) => fractions[split] > 0)
}

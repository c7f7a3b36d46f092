import { createHash } from 'node:crypto'

export type Split = 'train' | 'validation' | 'calibration' | 'test'

/** In the order of the numbers that a dataset stores. */
export const SPLITS = ['train', 'validation', 'calibration', 'test'] as const satisfies Split[]

export type SplitFractions = Readonly<Record<Split, number>>

export const DEFAULT_FRACTIONS: SplitFractions = {
  train: 0.7,
  validation: 0.1,
  calibration: 0.1,
  test: 0.1,
}

/** The split of a stem: the same on every machine, whatever other rows the log holds. Index into SPLITS. */
export function splitOf(stem: string, seed: number, fractions: SplitFractions): number {
  const digest = createHash('sha256').update(`${seed}\n${stem}`, 'utf8').digest()
  const point = digest.readUIntBE(0, 6) / 2 ** 48
  let upper = 0
  for (let i = 0; i < SPLITS.length; i++) {
    upper += fractions[SPLITS[i]!]
    if (point < upper) return i
  }
  return SPLITS.findLastIndex((split) => fractions[split] > 0)
}

import { betting, bettingPlugIn } from './betting.ts'
import type { BoundTest } from './bounds.ts'
import { clopperPearson } from './clopper-pearson.ts'
import { empiricalBernstein } from './empirical-bernstein.ts'
import { hoeffdingBentkusTest } from './hoeffding-bentkus.ts'
import { pairedExact } from './paired-exact.ts'

/** Every finite-sample test of a bounded mean. */
export const BOUND_TESTS: readonly BoundTest[] = [
  betting,
  bettingPlugIn,
  pairedExact,
  clopperPearson,
  hoeffdingBentkusTest,
  empiricalBernstein,
]

import { createRandom, deriveSeed, type Random } from '../../core/random.ts'
import { several } from './draw.ts'
import type { Family } from './family.ts'
import { STRONG, successProbability, WEAK } from './outcomes.ts'
import type { SimulatedPrompt } from './prompts.ts'

const CODING = new Set(['code', 'debugging', 'queries'])

/** Four models: the pair of the outcome log, one halfway between them, and one that is good at code only. */
export const COMPARED: Readonly<Record<string, (family: Family) => number>> = {
  [STRONG]: ({ skill }) => skill.strong,
  'mid-1': ({ skill }) => (skill.strong + skill.weak) / 2,
  'coder-1': ({ name, skill }) => (CODING.has(name) ? skill.strong : skill.weak),
  [WEAK]: ({ skill }) => skill.weak,
}

/** How often the pair of the outcome log is compared directly, rather than two of the four at random. */
export const PAIR_SHARE = 0.3
/** How often the judge prefers the right answer to a wrong one; otherwise it calls a tie. */
export const JUDGE_SEES = 0.92
/** How often it calls a tie if both are right or both wrong; otherwise it picks either. */
export const JUDGE_TIES = 0.5

export interface SimulatedPreference {
  readonly id: string
  readonly category: string
  readonly prompt: string
  readonly modelA: string
  readonly modelB: string
  readonly winner: 'model_a' | 'model_b' | 'tie' | 'both_bad'
  /** P(a better) + P(tie) / 2 = 1/2 + .46 (pA - pB) by the judge's rates */
  readonly winRateA: number
}

/** One comparison per prompt, by a judge that makes errors. */
export function simulatePreferences(
  prompts: readonly SimulatedPrompt[],
  seed: number,
): SimulatedPreference[] {
  const random = createRandom(deriveSeed(seed, 'preferences'))
  return prompts.map(({ family, draft }, i) => {
    const pool = random.next() < PAIR_SHARE ? [STRONG, WEAK] : Object.keys(COMPARED)
    const [modelA, modelB] = several(random, pool, 2) as [string, string]
    const pA = successProbability(COMPARED[modelA]!(family), draft.difficulty)
    const pB = successProbability(COMPARED[modelB]!(family), draft.difficulty)
    return {
      id: `p${String(i + 1).padStart(5, '0')}`,
      category: family.name,
      prompt: draft.prompt,
      modelA,
      modelB,
      winner: judge(random, random.next() < pA, random.next() < pB),
      winRateA: Math.round((0.5 + (JUDGE_SEES / 2) * (pA - pB)) * 1e4) / 1e4,
    }
  })
}

function judge(random: Random, rightA: boolean, rightB: boolean): SimulatedPreference['winner'] {
  if (rightA !== rightB) {
    if (random.next() >= JUDGE_SEES) return 'tie'
    return rightA ? 'model_a' : 'model_b'
  }
  if (random.next() < JUDGE_TIES) return rightA ? 'tie' : 'both_bad'
  return random.next() < 0.5 ? 'model_a' : 'model_b'
}

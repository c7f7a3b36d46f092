import { FAMILIES } from './families.ts'
import { type Answer, STRONG, WEAK } from './outcomes.ts'
import type { SimulatedPreference } from './preferences.ts'
import type { SimulatedAnswers, SimulatedThumb } from './served.ts'
import type { SimulatedRow, Simulation } from './simulator.ts'

/** The log as a user would have it: canonical outcome rows, without the simulator's true values. */
export function logText(rows: readonly SimulatedRow[]): string {
  return lines(
    rows.map((row) => ({
      id: row.id,
      prompt: row.draft.prompt,
      category: row.category,
      scores: { [STRONG]: row.strong.score, [WEAK]: row.weak.score },
      costs: { [STRONG]: row.strong.cost, [WEAK]: row.weak.cost },
      tokens: { [STRONG]: row.strong.tokens, [WEAK]: row.weak.tokens },
    })),
  )
}

/** The preference log, in the canonical layout. */
export function preferenceText(rows: readonly SimulatedPreference[]): string {
  return lines(
    rows.map(({ id, prompt, category, modelA, modelB, winner }) => ({
      id,
      prompt,
      category,
      model_a: modelA,
      model_b: modelB,
      winner,
      judge: 'judge-1',
    })),
  )
}

/** The thumbs log, with the column names that an application might use. */
export function thumbsText(rows: readonly SimulatedThumb[]): string {
  return lines(rows)
}

/** All four models' answers, in the canonical layout. */
export function modelsText(rows: readonly SimulatedAnswers[]): string {
  const each = (
    answers: SimulatedAnswers['answers'],
    field: keyof Answer,
  ): Record<string, number> =>
    Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, answer[field]]))
  return lines(
    rows.map(({ id, prompt, category, answers }) => ({
      id,
      prompt,
      category,
      scores: each(answers, 'score'),
      costs: each(answers, 'cost'),
      tokens: each(answers, 'tokens'),
    })),
  )
}

/** The true values behind each row of both logs, by its id. */
export function truthText({ outcomes, preferences }: Simulation): string {
  return lines([
    ...outcomes.map((row) => ({
      id: row.id,
      difficulty: row.draft.difficulty,
      p_strong: row.pStrong,
      p_weak: row.pWeak,
    })),
    ...preferences.map((row) => ({ id: row.id, win_rate_a: row.winRateA })),
  ])
}

/** Counts, stated and realised rates per family, and the score of the best possible router. */
export function summaryOf({ outcomes: rows, preferences }: Simulation, seed: number) {
  const gain = rows.map((row) => row.pStrong - row.pWeak)
  return {
    simulated: true,
    seed,
    outcomes: rows.length,
    preferences: preferences.length,
    strong: STRONG,
    weak: WEAK,
    best_possible_apgr: round(expectedApgr(gain, gain)),
    prompt_length_apgr: round(
      expectedApgr(
        rows.map((row) => row.draft.prompt.length),
        gain,
      ),
    ),
    families: Object.fromEntries(
      FAMILIES.map((family) => {
        const own = rows.filter((row) => row.category === family.name)
        return [
          family.name,
          {
            rows: own.length,
            p_strong: mean(own.map((row) => row.pStrong)),
            right_strong: mean(own.map((row) => row.strong.score)),
            p_weak: mean(own.map((row) => row.pWeak)),
            right_weak: mean(own.map((row) => row.weak.score)),
          },
        ]
      }),
    ),
  }
}

function lines(rows: readonly unknown[]): string {
  return `${rows.map((row) => JSON.stringify(row)).join('\n')}\n`
}

function mean(values: readonly number[]): number {
  return round(values.reduce((sum, value) => sum + value, 0) / values.length)
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4
}

/**
 * The area under PGR against strong share of a router that ranks prompts by `score`, in expectation over the
 * answers, with `gain` as each prompt's pStrong - pWeak. Ranking by the gain itself is the best any router
 * can do. Prompts with equal scores move together, so the curve is linear across them.
 */
export function expectedApgr(scores: readonly number[], gain: readonly number[]): number {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!)
  const total = gain.reduce((sum, value) => sum + value, 0)
  let area = 0
  let reached = 0
  for (let start = 0; start < order.length; ) {
    let end = start
    let group = 0
    while (end < order.length && scores[order[end]!] === scores[order[start]!])
      group += gain[order[end++]!]!
    area += (end - start) * (reached + group / 2)
    reached += group
    start = end
  }
  return area / (order.length * total)
}

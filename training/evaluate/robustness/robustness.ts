import { apgr, costQualityCurve } from '../metrics/curve.ts'
import { sortScores } from '../metrics/score-order.ts'
import { PERTURBATIONS, type Perturbation, perturbed, suffixed } from './perturbations.ts'
import { findSuffix, vocabularyOf } from './suffix-search.ts'

/** What one change of the prompts does to a router's decisions at its threshold. */
export interface RobustnessRow {
  readonly change: string
  readonly kind: Perturbation['kind']
  /** share of all prompts that go strong */
  readonly strong_share: number
  /** of the prompts that went weak, the share that now goes strong, and the other way round */
  readonly upgraded: number
  readonly downgraded: number
  /** null without labels whose models differ */
  readonly apgr: number | null
}

export interface RobustnessReport {
  readonly prompts: number
  readonly threshold: number
  readonly strong_share: number
  readonly apgr: number | null
  readonly rows: readonly RobustnessRow[]
}

export interface RobustnessInput {
  /** stored prompts */
  readonly prompts: readonly string[]
  /** strong - weak of each prompt */
  readonly gain: ArrayLike<number>
  readonly threshold: number
  score(prompts: readonly string[]): Promise<Float64Array>
  readonly seed: number
  /** searches universal suffixes with this many candidates on this many prompts; none by default */
  readonly search?:
    | { readonly candidates: number; readonly queries: number; readonly words: number }
    | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number, note: string) => void) | undefined
}

/**
 * How far a router's decisions depend on how a prompt is written: flips and APGR under each change, and under
 * pasted text: the easiest and the hardest of the prompts, random words, and with `search` the universal suffixes
 * that hill climbing finds against this router. Suffixes are searched on the first prompts and measured on the
 * others.
 */
export async function measureRobustness(input: RobustnessInput): Promise<RobustnessReport> {
  const { prompts, threshold, search, seed, signal } = input
  const clean = await input.score(prompts)
  const order = [...clean.keys()].sort((a, b) => clean[a]! - clean[b]!)
  const easy = prompts[order[0]!]!
  const hard = prompts[order.at(-1)!]!
  const vocabulary = vocabularyOf(prompts)
  const some = Array.from(
    { length: 20 },
    (_, i) => vocabulary[(i * 7919 + seed * 104_729) % Math.max(1, vocabulary.length)] ?? 'word',
  )
  const changes: Perturbation[] = [
    ...PERTURBATIONS,
    suffixed('random words', some.join(' ')),
    suffixed('easiest prompt pasted', easy),
    suffixed('hardest prompt pasted', hard),
  ]
  const from = search ? Math.min(search.queries, prompts.length >> 1) : 0
  if (search) {
    for (const direction of ['up', 'down'] as const) {
      const suffix = await findSuffix((all) => input.score(all), prompts.slice(0, from), {
        ...{
          vocabulary,
          words: search.words,
          candidates: search.candidates,
          seed,
          direction,
          signal,
        },
        onTried: (tried) =>
          tried % 100 === 0 &&
          input.onProgress?.(tried, search.candidates, `searching a suffix ${direction}`),
      })
      changes.push(suffixed(`universal suffix ${direction}`, suffix))
    }
  }
  const rest = prompts.slice(from)
  const before = clean.slice(from)
  const gain = Array.from(input.gain).slice(from)
  const rows: RobustnessRow[] = []
  for (const [done, change] of changes.entries()) {
    signal?.throwIfAborted()
    input.onProgress?.(done, changes.length, change.name)
    const after = await input.score(rest.map((prompt, row) => perturbed(prompt, row, change)))
    rows.push(rowOf(change, before, after, gain, threshold))
  }
  return {
    prompts: rest.length,
    threshold,
    strong_share: shareAbove(before, threshold),
    apgr: apgrOf(before, gain),
    rows,
  }
}

function rowOf(
  { name, kind }: Perturbation,
  before: Float64Array,
  after: Float64Array,
  gain: readonly number[],
  threshold: number,
): RobustnessRow {
  let [weak, up, down] = [0, 0, 0]
  before.forEach((rate, i) => {
    const strong = rate >= threshold
    const now = after[i]! >= threshold
    if (!strong) weak++
    if (!strong && now) up++
    if (strong && !now) down++
  })
  return {
    change: name,
    kind,
    strong_share: shareAbove(after, threshold),
    upgraded: weak > 0 ? up / weak : 0,
    downgraded: weak < before.length ? down / (before.length - weak) : 0,
    apgr: apgrOf(after, gain),
  }
}

const shareAbove = (rates: Float64Array, threshold: number): number =>
  rates.filter((rate) => rate >= threshold).length / Math.max(1, rates.length)

function apgrOf(rates: Float64Array, gain: readonly number[]): number | null {
  const sum = gain.reduce((total, one) => total + one, 0)
  return sum > 0 ? apgr(costQualityCurve(sortScores(rates), Float64Array.from(gain))) : null
}

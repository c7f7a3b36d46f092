import { type PartialInterval, sampleMeanInterval, sideOf } from '../../../core/stats/intervals.ts'
import { readTranscript } from '../../../models/reading/transcript.ts'
import { errorFloor } from '../../ope/error-floor.ts'
import type { SingleRows } from '../../ope/sensitivity.ts'
import type { Grouping } from '../log/prompt-origins.ts'
import { apgr, costQualityCurve } from '../metrics/curve.ts'

import { sortScores } from '../metrics/score-order.ts'

/** A group of prompts with a common property, and the router's figures on it. */
export interface SliceReport {
  /** the common property: category, length, language, code, source, time */
  readonly by: string
  readonly name: string
  readonly rows: number
  readonly strong_share: number
  /** strong - weak on these prompts */
  readonly gap: PartialInterval
  /** mean score lost on these prompts by not using the strong model, at the router's threshold */
  readonly loss: PartialInterval
  /** null if the interval of the slice's gap contains 0 */
  readonly apgr: number | null
}

/** Smaller groups are counted but not shown. */
export const MIN_SLICE_ROWS = 30
/** A slice with more than this share of the prompts adds nothing to the figures for all prompts. */
const NEARLY_ALL = 0.95
const MAX_SLICES = 60

export function textGroupings(prompts: readonly string[]): Grouping[] {
  const traits = prompts.map(promptTraits)
  return [
    { by: 'length', names: traits.map(({ length }) => length) },
    { by: 'language', names: traits.map(({ language }) => language) },
    { by: 'code', names: traits.map(({ code }) => code) },
  ]
}

/** A system prompt of more characters than this is long. */
const LONG_SYSTEM = 2000

/** Slices of stored prompts by their place in a conversation and by their system prompt. */
export function conversationGroupings(prompts: readonly string[]): Grouping[] {
  const traits = prompts.map((prompt) => {
    const { turns } = readTranscript(prompt)
    const system = turns
      .filter(({ role }) => role === 'system' || role === 'developer')
      .reduce((sum, { text }) => sum + text.length, 0)
    return {
      turn: turns.filter(({ role }) => role === 'user').length > 1 ? 'follow-up' : 'first turn',
      system: system > LONG_SYSTEM ? 'long' : system > 0 ? 'short' : 'none',
    }
  })
  return [
    { by: 'turn', names: traits.map(({ turn }) => turn) },
    { by: 'system prompt', names: traits.map(({ system }) => system) },
  ]
}

/**
 * Worst first, by the lower end of the loss's interval, so that a slice comes first because its loss is
 * certain rather than because the slice is small.
 */
export function sliceReports(
  winRate: ArrayLike<number>,
  threshold: number,
  gain: Float64Array,
  groupings: readonly Grouping[],
  singles?: SingleRows,
): SliceReport[] {
  const slices = groupings.flatMap(({ by, names }) => {
    const groups = groupRows(names)
    // a grouping with one group equals all prompts, which the report already has
    if (groups.size < 2) return []
    return [...groups]
      .filter(
        ([, rows]) => rows.length >= MIN_SLICE_ROWS && rows.length < NEARLY_ALL * names.length,
      )
      .map(([name, rows]) => sliceReport({ by, name }, rows, winRate, threshold, gain, singles))
  })
  return slices.sort((a, b) => b.loss.low! - a.loss.low!).slice(0, MAX_SLICES)
}

function sliceReport(
  label: { readonly by: string; readonly name: string },
  rows: readonly number[],
  winRate: ArrayLike<number>,
  threshold: number,
  gain: Float64Array,
  singles: SingleRows | undefined,
): SliceReport {
  const scores = Float64Array.from(rows, (i) => winRate[i]!)
  const gains = Float64Array.from(rows, (i) => gain[i]!)
  const floor = singles && errorFloor(singles, rows)
  const isSent = (k: number): boolean => scores[k]! >= threshold
  const plain = sampleMeanInterval(gains)
  const gap = floor?.widen(plain, () => 1) ?? plain
  const loss = sampleMeanInterval(gains.map((g, k) => (isSent(k) ? 0 : g)))
  return {
    ...label,
    rows: rows.length,
    strong_share: scores.filter((score) => score >= threshold).length / rows.length,
    gap,
    loss: floor?.widen(loss, (k) => (isSent(k) ? 0 : 1)) ?? loss,
    apgr: sideOf(gap) === 'above' ? apgr(costQualityCurve(sortScores(scores), gains)) : null,
  }
}

/** Properties of a prompt that are computed from its text, for slices. */
export interface PromptTraits {
  readonly length: string
  readonly language: string
  readonly code: string
}

const LENGTHS = [
  [100, 'under 100 characters'],
  [300, '100 to 299'],
  [1_000, '300 to 999'],
  [4_000, '1,000 to 3,999'],
  [Number.POSITIVE_INFINITY, '4,000 and more'],
] as const

const SCRIPTS = [
  ['Chinese', /\p{Script=Han}/gu],
  ['Japanese', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['Korean', /\p{Script=Hangul}/gu],
  ['Cyrillic script', /\p{Script=Cyrillic}/gu],
  ['Arabic script', /\p{Script=Arabic}/gu],
  ['Hebrew', /\p{Script=Hebrew}/gu],
  ['Greek', /\p{Script=Greek}/gu],
  ['Devanagari script', /\p{Script=Devanagari}/gu],
  ['Thai', /\p{Script=Thai}/gu],
] as const

/** Short, frequent words that distinguish the larger languages in Latin script. */
const WORDS: readonly (readonly [string, ReadonlySet<string>])[] = [
  [
    'English',
    new Set(
      'the of and to is in that what for with are this a you how be on it which if'.split(' '),
    ),
  ],
  [
    'Spanish',
    new Set('el la de que y en los las un una por para con del es como qué cuál'.split(' ')),
  ],
  [
    'French',
    new Set('le la les de des et un une que dans pour est du au quel qui avec sur'.split(' ')),
  ],
  [
    'German',
    new Set('der die das und ist nicht ein eine zu den von mit für auf wie was im'.split(' ')),
  ],
  [
    'Portuguese',
    new Set('o a os as de que e do da em um uma para com não é como no na'.split(' ')),
  ],
  [
    'Italian',
    new Set('il lo la gli di che e un una per con non è come del della nel sono'.split(' ')),
  ],
]

const CODE = new RegExp(
  [
    '```',
    String.raw`\b(?:def|function|class|struct|fn|func)\s+\w+\s*[({:<]`,
    String.raw`\b(?:const|let|var|int|double|String|auto)\s+\w+\s*=`,
    String.raw`\b(?:public|private|static|void)\s+(?:static\s+)?\w+\s+\w+\s*\(`,
    String.raw`^\s*(?:import|from)\s+[\w.]+(?:\s+import\b|;|\s*$)`,
    String.raw`^\s*#include\b`,
    String.raw`\bSELECT\b.+\bFROM\b`,
    String.raw`[;{}]\s*$`,
    '=>|::|</\\w+>',
    String.raw`\w\(\w*\)[;.]`,
  ].join('|'),
  'm',
)

export function promptTraits(prompt: string): PromptTraits {
  return {
    length: LENGTHS.find(([below]) => prompt.length < below)![1],
    language: languageOf(prompt.slice(0, 2_000)),
    code: CODE.test(prompt.slice(0, 8_000)) ? 'with code' : 'without code',
  }
}

/** The language by script, then by frequent words; a guess, and reports call it one. */
function languageOf(text: string): string {
  const letters = text.match(/\p{L}/gu)?.length ?? 0
  if (letters < 3) return 'no words'
  // Japanese texts contain Chinese characters as well, so kana decide
  const kana = text.match(SCRIPTS[1][1])?.length ?? 0
  if (kana > 0.05 * letters) return 'Japanese'
  for (const [name, pattern] of SCRIPTS) {
    if ((text.match(pattern)?.length ?? 0) > 0.3 * letters) return name
  }
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? []
  let best = 'other Latin script'
  let most = 0
  for (const [name, frequent] of WORDS) {
    const hits = words.reduce((sum, word) => sum + (frequent.has(word) ? 1 : 0), 0)
    if (hits > most && hits >= 0.04 * words.length) {
      most = hits
      best = name
    }
  }
  return best
}

/** Row numbers by name, in the order of first appearance; rows without a name are left out. */
export function groupRows(names: readonly (string | undefined)[]): Map<string, number[]> {
  const groups = new Map<string, number[]>()
  names.forEach((name, i) => {
    if (name === undefined) return
    const rows = groups.get(name)
    if (rows) rows.push(i)
    else groups.set(name, [i])
  })
  return groups
}

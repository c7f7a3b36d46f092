import Type from 'typebox'
import { CalibrationMap } from '../calibration-map.ts'
import { EncoderSpec } from '../encoders/encoder.ts'
import { Link } from '../families/linear-head.ts'
import { Price } from '../prices.ts'
import { Recipe } from '../reading/recipe.ts'
import { Choice } from './choice-rule.ts'
import { OodRule } from './ood-rule.ts'

export const BUNDLE_FORMAT = 1

export const Candidate = Type.Object({
  model: Type.String({ minLength: 1 }),
  role: Type.Union([Type.Literal('strong'), Type.Literal('weak'), Type.Literal('other')]),
  price: Type.Optional(Price),
  /** mean answer length in the training log, in tokens, if it was logged */
  output_tokens: Type.Optional(Type.Number({ minimum: 0 })),
  /**
   * answer length from the prompt's: exp(intercept + slope ln(characters + 1)) tokens, if that fits better
   */
  output_length: Type.Optional(Type.Object({ intercept: Type.Number(), slope: Type.Number() })),
  /** mean US dollars per request in the training log, for a model without a price */
  cost_usd: Type.Optional(Type.Number({ minimum: 0 })),
  /** US dollars that waiting for an answer counts as when models are chosen among; nobody is billed for them */
  wait_usd: Type.Optional(Type.Number({ minimum: 0 })),
})
export type Candidate = Type.Static<typeof Candidate>

/** The candidate with this role: every pair has both. */
export const roleOf = (candidates: readonly Candidate[], role: Candidate['role']): Candidate =>
  candidates.find((candidate) => candidate.role === role)!

export const Threshold = Type.Object({
  value: Type.Number(),
  /** how it was set: `default` before any calibration (half of validation goes strong) */
  source: Type.Union([Type.Literal('default'), Type.Literal('calibrated')]),
  /** what a calibration run guarantees, and how: target, bound, method, n, date, data hash */
  certificate: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type Threshold = Type.Static<typeof Threshold>

/**
 * What a router recovers of the gap between its models on the test prompts, at strong shares of 0, .01, ... 1: kept in the
 * bundle, so that a server can show the curve without a log. Columns have equal length.
 */
export const CostQuality = Type.Object({
  /** of value, low and high: parts of the gap, or score units where the gap is not clear */
  unit: Type.Union([Type.Literal('pgr'), Type.Literal('score')]),
  /** prompts behind it */
  rows: Type.Integer(),
  /** lowest win rate that is still sent strong */
  threshold: Type.Array(Type.Number()),
  value: Type.Array(Type.Number()),
  /** percentile band over bootstrap replicates */
  low: Type.Array(Type.Number()),
  high: Type.Array(Type.Number()),
})
export type CostQuality = Type.Static<typeof CostQuality>

/** How the training log was split, so that the same rows can be identified again. */
export const SplitRule = Type.Object({
  seed: Type.Integer(),
  fractions: Type.Record(Type.String(), Type.Number()),
  /** prefixes shared by over 5% of the rows, removed before the stem is hashed */
  prefixes: Type.Array(Type.String()),
  /** stems are of what was asked, the last user turn; absent: of the whole conversation */
  asked: Type.Optional(Type.Literal(true)),
})
export type SplitRule = Type.Static<typeof SplitRule>

/**
 * How a pair was judged on a log in which only one model answered most prompts: what the figures rest on. The
 * answers that are missing were estimated (doubly robust), so the figures assume that nothing outside the log
 * decided both who was asked and how well it answered.
 */
export const Observational = Type.Object({
  /** prompts with a score of both models, of one only, and with votes only */
  paired: Type.Integer(),
  strong_only: Type.Integer(),
  weak_only: Type.Integer(),
  votes_only: Type.Integer(),
  /** prompts with one answer that an estimate was made for */
  used: Type.Integer(),
  /** prompts with one answer that no claim covers, because the other model could hardly have been asked */
  excluded: Type.Integer(),
  propensities: Type.Union([
    Type.Literal('logged'),
    Type.Literal('estimated'),
    Type.Literal('logged and estimated'),
  ]),
  /** how propensities and missing answers were estimated, in words */
  method: Type.String(),
  /** how well the log tells from the prompt which model was asked: .5 is not at all, 1 is for certain */
  propensity_auc: Type.Number(),
  /** the least probability with which a used prompt could have gone to the model it did not go to */
  least_propensity: Type.Number(),
  /** effective number of answers of each model, weighted by 1 / propensity (Kish 1965) */
  effective: Type.Object({ strong: Type.Number(), weak: Type.Number() }),
  /** parts of the log that are excluded, in words */
  regions: Type.Array(Type.String()),
  /** present if only some answers were rated: who rates is then estimated as well */
  response: Type.Optional(
    Type.Object({
      /** prompts whose one answer was rated, and was not; they are among those that count as used or excluded */
      rated: Type.Integer(),
      unrated: Type.Integer(),
      /** how well the log tells which answers are rated: .5 is not at all, 1 is for certain */
      auc: Type.Number(),
      /** the least estimated probability that the answer to a used prompt is rated */
      least: Type.Number(),
    }),
  ),
})
export type Observational = Type.Static<typeof Observational>

/** Above this AUC, who was asked depends so much on the prompt that estimated propensities may be too blunt. */
const SHARP_AUC = 0.7

/**
 * Whether figures may be off by more than their intervals say: propensities were estimated, and the prompt
 * decided much of who was asked.
 */
export const isBlunt = ({ propensities, propensity_auc: auc }: Observational): boolean =>
  propensities !== 'logged' && Math.max(auc, 1 - auc) > SHARP_AUC

/** What a router's figures rest on, in one sentence. */
export function describeObservational(of: Observational): string {
  const single = of.strong_only + of.weak_only
  const count = (value: number): string => value.toLocaleString('en-US')
  const outside = of.excluded > 0 ? ` and do not cover ${count(of.excluded)} of them` : ''
  const rated = of.response
    ? `; ${count(of.response.unrated)} more answers were not rated, and figures count them in: they ${RESPONSE_ASSUMPTION}`
    : ''
  return `learned from ${count(single)} prompts that one model answered and ${count(of.paired)} that both did: its figures estimate the missing answers (propensities ${of.propensities})${outside}${rated}`
}

/** What figures assume where only some answers were rated. */
export const RESPONSE_ASSUMPTION =
  'assume that whether an answer is rated depends on its prompt, its model and its time, and not on how good it is beyond what these tell'

/** A name is a folder, and part of a router's name in requests. */
export const BUNDLE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/

/** The shape of a folded head's file. */
export const HeadShape = Type.Object({
  link: Link,
  outputs: Type.Integer({ minimum: 1 }),
  dimension: Type.Integer({ minimum: 1 }),
})
export type HeadShape = Type.Static<typeof HeadShape>

/** Everything about a router except its arrays; a bundle's `manifest.json`. */
export const Manifest = Type.Object({
  format: Type.Literal(BUNDLE_FORMAT),
  name: Type.String({ pattern: BUNDLE_NAME.source }),
  /** hash of all other fields except `created` */
  version: Type.String(),
  created: Type.String(),
  /** which parts of a conversation are read; without it, everything (see `promptReader`) */
  recipe: Type.Optional(Recipe),
  encoder: EncoderSpec,
  family: Type.Object({
    name: Type.String(),
    hyperparameters: Type.Record(Type.String(), Type.Unknown()),
  }),
  candidates: Type.Array(Candidate, { minItems: 2 }),
  /** head.bin: the folded head, if the family is linear */
  head: Type.Optional(HeadShape),
  /**
   * fallback/head.bin: a folded head on an encoder that always answers in time (`lexical`). It decides when
   * the encoder above does not answer. It is fitted to the same win rate and uses the same threshold.
   */
  fallback: Type.Optional(Type.Object({ encoder: EncoderSpec, head: HeadShape })),
  calibration: CalibrationMap,
  threshold: Threshold,
  /** if present, decides among all candidates; the threshold then applies only to the pair */
  choice: Type.Optional(Choice),
  /** what happens to prompts that are unlike the training prompts; without it they are only counted */
  ood: Type.Optional(OodRule),
  data: Type.Object({
    sources: Type.Array(
      Type.Object({ path: Type.String(), sha256: Type.String(), rows: Type.Integer() }),
    ),
    split: SplitRule,
    counts: Type.Record(Type.String(), Type.Integer()),
    /** present if most prompts were answered by one model only */
    observational: Type.Optional(Observational),
  }),
  metrics: Type.Record(Type.String(), Type.Unknown()),
  libraries: Type.Record(Type.String(), Type.String()),
  /** SHA-256 of every other file of the bundle, by its path in the bundle */
  files: Type.Record(Type.String(), Type.String()),
})
export type Manifest = Type.Static<typeof Manifest>

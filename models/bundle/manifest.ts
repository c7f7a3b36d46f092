import Type from 'typebox'
import { CalibrationMap } from '../calibration-map.ts'
import { EncoderSpec } from '../encoders/encoder.ts'
import { Link } from '../families/linear-head.ts'
import { Price } from '../prices.ts'
import { Choice } from './choice-rule.ts'

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
})
export type Candidate = Type.Static<typeof Candidate>

export const Threshold = Type.Object({
  value: Type.Number(),
  /** how it was set: `default` before any calibration (half of validation goes strong) */
  source: Type.Union([Type.Literal('default'), Type.Literal('calibrated')]),
  /** what a calibration run guarantees, and how: target, bound, method, n, date, data hash */
  certificate: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type Threshold = Type.Static<typeof Threshold>

/** How the training log was split, so that the same rows can be identified again. */
export const SplitRule = Type.Object({
  seed: Type.Integer(),
  fractions: Type.Record(Type.String(), Type.Number()),
  /** prefixes shared by over 5% of the rows, removed before the stem is hashed */
  prefixes: Type.Array(Type.String()),
})
export type SplitRule = Type.Static<typeof SplitRule>

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
  name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' }),
  /** hash of all other fields except `created` */
  version: Type.String(),
  created: Type.String(),
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
  data: Type.Object({
    sources: Type.Array(
      Type.Object({ path: Type.String(), sha256: Type.String(), rows: Type.Integer() }),
    ),
    split: SplitRule,
    counts: Type.Record(Type.String(), Type.Integer()),
  }),
  metrics: Type.Record(Type.String(), Type.Unknown()),
  libraries: Type.Record(Type.String(), Type.String()),
  /** SHA-256 of every other file of the bundle, by its path in the bundle */
  files: Type.Record(Type.String(), Type.String()),
})
export type Manifest = Type.Static<typeof Manifest>

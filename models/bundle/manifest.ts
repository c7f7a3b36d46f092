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
  /** mean answer length in the training log, in tokens, where it was logged */
  output_tokens: Type.Optional(Type.Number({ minimum: 0 })),
  /** answer length by the prompt's: exp(intercept + slope ln(characters + 1)) tokens, where that fits better */
  output_length: Type.Optional(Type.Object({ intercept: Type.Number(), slope: Type.Number() })),
  /** mean US dollars of a request in the training log, for a model without a price */
  cost_usd: Type.Optional(Type.Number({ minimum: 0 })),
})
export type Candidate = Type.Static<typeof Candidate>

export const Threshold = Type.Object({
  value: Type.Number(),
  /** how it was chosen: `default` before any calibration (half of validation goes strong) */
  source: Type.Union([Type.Literal('default'), Type.Literal('calibrated')]),
  /** what a calibration run promised and how: target, bound, method, n, date, data hash */
  certificate: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
})
export type Threshold = Type.Static<typeof Threshold>

/** How the training log was split, so that the same rows can be told apart again. */
export const SplitRule = Type.Object({
  seed: Type.Integer(),
  fractions: Type.Record(Type.String(), Type.Number()),
  /** prefixes shared by over 5% of the rows, taken off before the stem is hashed */
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

/** Everything about a router that is not in its arrays. `manifest.json` of a bundle. */
export const Manifest = Type.Object({
  format: Type.Literal(BUNDLE_FORMAT),
  name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' }),
  /** hash of everything here but itself and `created` */
  version: Type.String(),
  created: Type.String(),
  encoder: EncoderSpec,
  family: Type.Object({
    name: Type.String(),
    hyperparameters: Type.Record(Type.String(), Type.Unknown()),
  }),
  candidates: Type.Array(Candidate, { minItems: 2 }),
  /** head.bin: the folded head, where the family is linear */
  head: Type.Optional(HeadShape),
  /**
   * fallback/head.bin: a folded head over an encoder that always answers in time (`lexical`), which
   * decides where the encoder above does not; fitted to the same win rate and the same threshold
   */
  fallback: Type.Optional(Type.Object({ encoder: EncoderSpec, head: HeadShape })),
  calibration: CalibrationMap,
  threshold: Threshold,
  /** decides among all candidates, where it is there; the threshold is then the pair's alone */
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
  /** SHA-256 of every other file of the bundle, by its path in it */
  files: Type.Record(Type.String(), Type.String()),
})
export type Manifest = Type.Static<typeof Manifest>

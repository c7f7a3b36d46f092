import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'

const Share = Type.Number({ minimum: 0, maximum: 1 })
const Confidence = Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 })

/**
 * What a router is calibrated for, exactly one at a time: the lowest cost that keeps a quality, or the
 * highest quality for a budget. Losses and qualities are in score units. For many models, "best" is the model
 * in the strong role.
 */
export const Target = Type.Union([
  Type.Object({ kind: Type.Literal('strong-share'), share: Share }),
  /** the smallest strong share that keeps this much of the performance gap (PGR) */
  Type.Object({
    kind: Type.Literal('quality'),
    pgr: Share,
    confidence: Type.Optional(Confidence),
  }),
  /** keeps this share of the best model's quality; only for a rule among many models */
  Type.Object({
    kind: Type.Literal('best-share'),
    share: Share,
    confidence: Type.Optional(Confidence),
  }),
  /** keeps the quality at most `within` below always-strong */
  Type.Object({
    kind: Type.Literal('match'),
    within: Share,
    confidence: Type.Optional(Confidence),
  }),
  Type.Object({
    kind: Type.Literal('budget'),
    usd_per_1k: Type.Number({ exclusiveMinimum: 0 }),
    confidence: Confidence,
  }),
  /** bounds the net quality loss relative to always-strong */
  Type.Object({ kind: Type.Literal('max-loss'), loss: Share, confidence: Confidence }),
  /** bounds the share of prompts that only the strong model gets right but that go to the weak one */
  Type.Object({
    kind: Type.Literal('max-harm'),
    harm: Share,
    /** absent: bounded only in expectation (conformal risk control) */
    confidence: Type.Optional(Confidence),
  }),
])
export type Target = Type.Static<typeof Target>
/** Targets for the threshold between two models. */
export type ThresholdTarget = Exclude<Target, { kind: 'best-share' }>
export type TargetKind = ThresholdTarget['kind']
/** Targets for a rule among many models. */
export type RuleTarget = Extract<Target, { kind: 'budget' | 'best-share' | 'quality' | 'max-loss' }>

const percent = (value: number): string => `${Number((value * 100).toPrecision(6))}%`

/** The target in words, such as `30% strong calls`. */
export function describeTarget(target: Target): string {
  const sure = (confidence: number | undefined): string =>
    confidence === undefined ? '' : ` at ${percent(confidence)} confidence`
  switch (target.kind) {
    case 'strong-share':
      return `${percent(target.share)} strong calls`
    case 'quality':
      return `${percent(target.pgr)} of the quality gap kept${sure(target.confidence)}`
    case 'best-share':
      return `${percent(target.share)} of the best model’s quality${sure(target.confidence)}`
    case 'match':
      return `quality within ${target.within} of always-strong${sure(target.confidence)}`
    case 'budget':
      return `at most $${target.usd_per_1k} per 1,000 requests${sure(target.confidence)}`
    case 'max-loss':
      return `a net quality loss of at most ${target.loss}${sure(target.confidence)}`
    case 'max-harm':
      return target.confidence === undefined
        ? `harm of at most ${target.harm} in expectation`
        : `harm of at most ${target.harm}${sure(target.confidence)}`
  }
}

/** The target as one of kind `kind`; methods are only called for targets they support. */
export function targetOf<K extends TargetKind>(
  target: Target,
  kind: K,
): Extract<Target, { kind: K }> {
  if (target.kind !== kind) throw new TypeError(`expected a ${kind} target, got ${target.kind}`)
  return target as Extract<Target, { kind: K }>
}

/** Net loss that a quality target allows, given the gap between always-strong and always-weak. */
export function allowedLoss(target: ThresholdTarget, gap: number): number {
  switch (target.kind) {
    case 'quality':
      return (1 - target.pgr) * gap
    case 'match':
      return target.within
    case 'max-loss':
      return target.loss
    default:
      throw new TypeError(`a ${target.kind} target allows no net loss`)
  }
}

const RULE_TARGETS: readonly RuleTarget['kind'][] = ['budget', 'best-share', 'quality', 'max-loss']
const THRESHOLD_TARGETS: readonly ThresholdTarget['kind'][] = [
  'strong-share',
  'quality',
  'match',
  'budget',
  'max-loss',
  'max-harm',
]

/** The target as one of the given kinds, or a refusal that lists them. */
function targetAmong<K extends Target['kind']>(
  target: Target,
  kinds: readonly K[],
): Extract<Target, { kind: K }> {
  if ((kinds as readonly string[]).includes(target.kind)) {
    return target as Extract<Target, { kind: K }>
  }
  throw new WeirError('option_invalid', {
    option: 'the target',
    expected: `one of ${kinds.join(', ')}`,
    got: target.kind,
  })
}

/** A target that a threshold can be chosen for. Throws `option_invalid`. */
export const thresholdTarget = (target: Target): ThresholdTarget =>
  targetAmong(target, THRESHOLD_TARGETS)

/** A target that a rule among many models can be chosen for. Throws `option_invalid`. */
export const ruleTarget = (target: Target): RuleTarget => targetAmong(target, RULE_TARGETS)

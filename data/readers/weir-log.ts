import { Compile } from 'typebox/compile'
import { pickContext, promptFields } from '../../models/reading/transcript.ts'
import {
  DecisionRecord,
  FeedbackRecord,
  GatewayRecord,
  SignalRecord,
} from '../../records/decision-record.ts'

import { type LimitedKey, type RatedBy, withinKeyShare } from '../../records/feedback/key-share.ts'
import type {
  Decisions,
  LeftOut,
  LoggedDecision,
  LogRow,
  Rating,
  RawRecord,
  Reader,
  Reject,
  RowOrigin,
} from '../rows/reader.ts'
import { reject } from './canonical.ts'

/** Lines about the server itself rather than a request; they are skipped. */
const BESIDE: ReadonlySet<unknown> = new Set([
  'log',
  'audit',
  'spend',
  'budget_state',
  'hold',
  'settle',
  'alert',
])
const OBJECTS: ReadonlySet<unknown> = new Set([
  ...BESIDE,
  'decision',
  'gateway',
  'feedback',
  'signal',
])

/** Whether a record is a line of Weir's own decision log. */
export const isDecisionLogLine = (record: RawRecord): boolean => OBJECTS.has(record.object)

const isDecision = Compile(DecisionRecord)
const isGateway = Compile(GatewayRecord)
const isFeedback = Compile(FeedbackRecord)
const isSignal = Compile(SignalRecord)

/**
 * Weir's own decision log: a feedback line, joined with its decision, is an outcome of the model that
 * answered. Decisions are held until the end, since feedback may come much later.
 */
export const weirLogReader: Reader = {
  name: 'weir-log',
  required: ['object'],
  sequential: true,
  recognises: (columns, sample) =>
    columns.has('object') && sample.some((record) => OBJECTS.has(record.object)),
  open:
    (_columns, _sample, { decisions = new Map() }) =>
    (record, origin) =>
      readLine(record, origin, decisions),
}

function readLine(
  record: RawRecord,
  origin: RowOrigin,
  decisions: Decisions,
): LogRow | Reject | undefined {
  if (BESIDE.has(record.object)) return undefined
  if (record.object === 'decision') {
    if (!isDecision.Check(record)) {
      const [error] = isDecision.Errors(record)
      return reject(origin, fieldOf(error?.instancePath), error?.message ?? 'no decision')
    }
    // Shadow decisions did not answer anyone, so they are skipped.
    if (!record.shadow) {
      const { model, text, time, propensity, propensities: others } = record
      const known = { model, time: time / 1000, propensity, ...(others && { others }) }
      decisions.set(record.id, text === undefined ? known : { ...known, text })
    }
    return undefined
  }
  if (record.object === 'gateway') {
    if (!isGateway.Check(record)) {
      const [error] = isGateway.Errors(record)
      return reject(origin, fieldOf(error?.instancePath), error?.message ?? 'no gateway request')
    }
    takeAnswer(record, decisions)
    return undefined
  }
  if (record.object === 'signal') {
    if (!isSignal.Check(record)) {
      const [error] = isSignal.Errors(record)
      return reject(origin, fieldOf(error?.instancePath), error?.message ?? 'no signal')
    }
    decisions.signals?.push(record)
    return undefined
  }
  if (!isFeedback.Check(record)) {
    const [error] = isFeedback.Errors(record)
    return reject(origin, fieldOf(error?.instancePath), error?.message ?? 'no feedback')
  }
  if (!decisions.ratings) return feedbackRow(record, origin, decisions)
  decisions.ratings.push({ record, origin })
  return undefined
}

/** Records which model answered a gateway's request; feedback names it by its own id or its decision's id. */
function takeAnswer(record: GatewayRecord, decisions: Decisions): void {
  const { id, decision_id, model, targets, time, propensity, text, metadata } = record
  if (model === null) return
  const decided = decision_id === undefined ? undefined : decisions.get(decision_id)
  if (decision_id !== undefined && decided) {
    const known = {
      ...decided,
      ...(metadata && { metadata }),
      ...(model === decided.model ? {} : { answered: model }),
    }
    decisions.set(decision_id, known)
    decisions.set(id, known)
    return
  }
  const known = { model: targets[0] ?? model, time: time / 1000, propensity }
  decisions.set(id, {
    ...known,
    ...(metadata && { metadata }),
    ...(model === known.model ? {} : { answered: model }),
    ...(text === undefined ? {} : { text }),
  })
}

/** A decision's prompt, with the metadata that the gateway logged of it as its context. */
export function promptOf({
  text,
  metadata,
}: LoggedDecision): Pick<LogRow, 'prompt' | 'tools' | 'context'> {
  const fields = promptFields(text!)
  const context = metadata && pickContext(metadata, Object.keys(metadata))
  return context ? { ...fields, context: { ...context, ...fields.context } } : fields
}

/** Feedback on a decision as a row: an outcome of the model, or a preference between two models. */
export function feedbackRow(
  feedback: FeedbackRecord,
  origin: RowOrigin,
  decisions: Decisions,
): LogRow | Reject {
  const decision = decisions.get(feedback.decision_id)
  if (!decision) {
    const reason = `expected the decision ${feedback.decision_id} on an earlier line or in an earlier file`
    return reject(origin, 'decision_id', reason)
  }
  if (decision.text === undefined) {
    const reason = `decision ${feedback.decision_id} was logged without its text (serve with the log's text on)`
    return reject(origin, 'text', reason)
  }
  decision.rated = true
  const model = feedback.model ?? decision.answered ?? decision.model
  const { cost_usd, output_tokens, weight } = feedback
  // other models were not drawn by the server (an audit, a correction), or with a chance of their own (a shadow answer)
  const propensity = model === decision.model ? decision.propensity : feedback.propensity
  if (feedback.kind === 'preference' && feedback.against !== undefined) {
    return {
      kind: 'preference',
      origin,
      ...promptOf(decision),
      id: `${feedback.decision_id}\n${feedback.source ?? ''}\n${model}\n${feedback.against}`,
      timestamp: decision.time,
      modelA: model,
      modelB: feedback.against,
      winner: feedback.score === 1 ? 'a' : feedback.score === 0 ? 'b' : 'tie',
      ...(feedback.source !== undefined && { judge: feedback.source }),
      ...(propensity !== undefined && { propensity }),
    }
  }
  return {
    kind: 'outcome',
    origin,
    ...promptOf(decision),
    // One source judges one model's answer once; a repeated delivery is the same event.
    id: `${feedback.decision_id}\n${feedback.source ?? ''}\n${model}`,
    timestamp: decision.time,
    scores: new Map([[model, feedback.score]]),
    ...(weight !== undefined && { weight }),
    ...(cost_usd !== undefined && { costs: new Map([[model, cost_usd]]) }),
    ...(output_tokens !== undefined && { tokens: new Map([[model, output_tokens]]) }),
    ...(propensity !== undefined && {
      propensities: new Map([...Object.entries(decision.others ?? {}), [model, propensity]]),
    }),
  }
}

/** What counts of the feedback that was kept, with at most `share` of it from one API key. */
export function ratingsWithinKeyShare(
  ratings: readonly Rating[],
  share: number | undefined,
): { readonly kept: ReadonlySet<Rating>; readonly limited: readonly LimitedKey[] } {
  const ratedBy = ({ record: { decision_id: id, key, role } }: Rating): RatedBy => ({
    id,
    key: role === 'any' ? undefined : key,
  })
  const keys = new Set(ratings.flatMap(({ record: { key } }) => key ?? [])).size
  const { kept, limited } = withinKeyShare(ratings, ratedBy, { share, keys })
  return { kept: new Set(kept), limited }
}

/** Decisions whose prompt was logged and that no feedback came for. */
export function unratedDecisions(decisions: Decisions): LoggedDecision[] {
  // a request may be known by two ids
  const waiting = new Set(
    [...decisions.values()].filter(({ text, rated }) => text !== undefined && !rated),
  )
  return [...waiting]
}

/** A decision's answer, whose feedback has not come or does not count, as a row. */
export function unratedDecision(decision: LoggedDecision, reason: string): LeftOut {
  if (decision.text === undefined) return { kind: 'left_out', reason }
  const { model: decided, answered, propensity, others, time: timestamp } = decision
  const model = answered ?? decided
  return {
    kind: 'left_out',
    reason,
    answer: {
      ...promptOf(decision),
      timestamp,
      model,
      ...(model === decided && {
        propensities: new Map([...Object.entries(others ?? {}), [model, propensity]]),
      }),
    },
  }
}

const fieldOf = (path: string | undefined): string =>
  path?.slice(1).replace(/\//g, '.') || '(record)'

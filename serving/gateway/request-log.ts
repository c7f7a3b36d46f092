import type { GatewayAttempt, GatewayRecord } from '../../models/decision-log/gateway-record.ts'
import type { LogContents } from '../../models/decision-log/record.ts'
import type { LogWriter } from '../../models/decision-log/writer.ts'
import { WeirError } from '../../models/errors.ts'
import { redact } from '../../models/redaction.ts'
import { requestText } from '../../models/route-request.ts'
import { traitsOf } from '../policy/traits.ts'
import { routeRequest } from './learned-policy.ts'
import type { Attempt, Served, ServedObserver } from './served.ts'

/** Writes every request that the gateway ended to the decision log, with as much of it as is switched on. */
export function requestLog(
  writer: Pick<LogWriter, 'append'>,
  holds: Pick<LogContents, 'text' | 'metadata'>,
): ServedObserver {
  return (served) => writer.append(JSON.stringify(gatewayRecord(served, holds)))
}

export function gatewayRecord(
  served: Served,
  holds: Pick<LogContents, 'text' | 'metadata'>,
): GatewayRecord {
  const { request, plan, model } = served
  const { deciding } = plan
  const serve = plan.kind === 'serve' ? plan : undefined
  const targets = serve?.targets.map((target) => target.model) ?? []
  const kind = serve?.strategy.kind ?? 'refuse'
  const first = targets[0]
  const failed = kind === 'single' && model !== undefined && first !== model ? first : undefined
  return {
    object: 'gateway',
    id: request.id,
    time: request.time,
    endpoint: served.endpoint,
    key: request.caller.name,
    asked: request.body.model,
    step: deciding.step,
    reason: deciding.reason,
    ...given('rule', deciding.name),
    ...given('policy', plan.policy),
    ...given('notes', plan.notes),
    strategy: kind,
    targets,
    model: model ?? null,
    ...given('upstream', served.upstream),
    ...given('failover_from', failed),
    propensity: serve?.propensity ?? 1,
    ...given('decision_id', serve?.decision?.id),
    ...given('win_rate', serve?.decision?.win_rate),
    ...given('threshold', serve?.decision?.threshold),
    attempts: served.attempts.map(attemptRecord),
    ...given('cost_usd', served.costUsd),
    ...given('saved_usd', served.savedUsd),
    ms: rounded(served.milliseconds),
    ...given('first_byte_ms', served.firstByteMs && rounded(served.firstByteMs)),
    status: served.status,
    ...given('code', served.code),
    ...given('checks', served.trail.checks.length > 0 ? [...served.trail.checks] : undefined),
    ...asked(served, holds),
  }
}

/** What the request held that policies look at. */
function asked(
  { request, plan, endpoint }: Served,
  holds: Pick<LogContents, 'text' | 'metadata'>,
): Partial<GatewayRecord> {
  const { hints } = request
  const traits = endpoint === 'chat' ? traitsOf(request) : undefined
  const answer = [request.body.max_completion_tokens, request.body.max_tokens]
  return {
    ...given('session_id', hints.session_id),
    ...given('asked_threshold', hints.threshold),
    ...given('previous_model', hints.previous_model),
    ...given('models', hints.models && [...hints.models]),
    ...given('characters', traits?.text.length),
    ...given(
      'max_tokens',
      answer.find((n) => typeof n === 'number'),
    ),
    ...given('images', traits?.images === true ? true : undefined),
    ...given('tools', traits?.tools === true ? true : undefined),
    ...(holds.metadata
      ? { ...given('metadata', hints.metadata), ...given('tags', traits && [...traits.tags]) }
      : {}),
    ...(traits && holds.text !== 'none'
      ? spoken(request, traits.question, holds.text, plan.kind === 'serve' && plan.decision)
      : {}),
  }
}

function spoken(
  request: Served['request'],
  question: string,
  text: 'redacted' | 'full',
  decided: unknown,
): Partial<GatewayRecord> {
  const kept = (its: string): string => (text === 'full' ? its : redact(its))
  const whole = routedText(request)
  return {
    // a decision has a line of its own, with the text
    ...(decided ? {} : { text: kept(whole) }),
    ...(question === whole ? {} : { question: kept(question) }),
  }
}

/** The text that a router reads, for the data readers; all of nothing where there is no text. */
function routedText(request: Served['request']): string {
  try {
    return requestText(routeRequest(request, undefined))
  } catch (error) {
    if (error instanceof WeirError) return ''
    throw error
  }
}

function attemptRecord({ usage, costUsd, ...attempt }: Attempt): GatewayAttempt {
  return {
    model: attempt.model,
    upstream: attempt.upstream,
    outcome: attempt.outcome,
    ms: rounded(attempt.milliseconds),
    ...given('input_tokens', usage?.inputTokens),
    ...given('output_tokens', usage?.outputTokens),
    ...given('cost_usd', costUsd),
  }
}

const rounded = (milliseconds: number): number => Math.round(milliseconds * 1000) / 1000

/** The field where it has a value; JSON has no other way to leave one out. */
const given = <K extends string, V>(key: K, value: V | undefined): { [k in K]?: V } =>
  (value === undefined ? {} : { [key]: value }) as { [k in K]?: V }

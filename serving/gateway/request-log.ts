import { WeirError } from '../../core/errors.ts'
import { requestText } from '../../models/decision/route-request.ts'
import {
  CONVERSATION_ENDPOINTS,
  type GatewayAttempt,
  type GatewayRecord,
  type LogContents,
} from '../../records/decision-record.ts'
import type { LogWriter } from '../../records/log-writer.ts'
import { loggedText } from '../../records/redaction.ts'
import type { Attempt, Served, ServedObserver } from './contracts.ts'
import { routeRequest } from './learned-policy.ts'
import { traitsOf } from './traits.ts'

/** Writes every request that the gateway finished to the decision log, with the fields that are switched on. */
export function requestLog(
  writer: Pick<LogWriter, 'append'>,
  holds: Pick<LogContents, 'text' | 'metadata'>,
): ServedObserver {
  return (served) => writer.append(JSON.stringify(gatewayRecord(served, holds)))
}

/** Fields without a value: JSON omits them, and omitting them by hand costs ten microseconds per request. */
type Line<T> = { readonly [K in keyof T]: T[K] | undefined }

export function gatewayRecord(
  served: Served,
  holds: Pick<LogContents, 'text' | 'metadata'>,
): Line<GatewayRecord> {
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
    rule: deciding.name,
    policy: plan.policy,
    notes: plan.notes,
    strategy: kind,
    targets,
    model: model ?? null,
    upstream: served.upstream,
    failover_from: failed,
    propensity: serve?.propensity ?? 1,
    decision_id: serve?.decision?.id,
    win_rate: serve?.decision?.win_rate,
    threshold: serve?.decision?.threshold,
    attempts: served.attempts.map(attemptRecord) as GatewayAttempt[],
    cost_usd: served.costUsd,
    saved_usd: served.savedUsd,
    ms: rounded(served.milliseconds),
    first_byte_ms: served.firstByteMs && rounded(served.firstByteMs),
    status: served.status,
    code: served.code,
    checks: served.trail.checks.length > 0 ? [...served.trail.checks] : undefined,
    ...asked(served, holds),
  }
}

/** The properties of the request that policies look at. */
function asked(
  { request, plan, endpoint, code }: Served,
  holds: Pick<LogContents, 'text' | 'metadata'>,
): Partial<Line<GatewayRecord>> {
  const { hints } = request
  const traits = CONVERSATION_ENDPOINTS.has(endpoint) ? traitsOf(request) : undefined
  const answer = [request.body.max_completion_tokens, request.body.max_tokens]
  const cut: string[] = []
  const fields = holds.metadata ? logged(hints.metadata, traits?.tags, cut) : {}
  const words =
    // a text that was refused for its length is not kept
    traits && holds.text !== 'none' && code !== 'prompt_too_long'
      ? spoken(request, traits.question, holds.text, plan.kind === 'serve' && plan.decision, cut)
      : undefined
  return {
    session_id: hints.session_id,
    asked_threshold: hints.threshold,
    previous_model: hints.previous_model,
    models: hints.models && [...hints.models],
    characters: traits?.characters,
    max_tokens: answer.find((n) => typeof n === 'number'),
    images: traits?.images === true ? true : undefined,
    tools: traits?.tools === true ? true : undefined,
    tool_result: request.body.messages.at(-1)?.role === 'tool' ? true : undefined,
    ...fields,
    text: words?.text,
    question: words?.question,
    cut: cut.length > 0 ? cut : undefined,
  }
}

/** Characters of the metadata in one line, as JSON; and of a text or tag in metadata that has more. */
const METADATA_LOGGED = 8192
const TEXT_LOGGED = 200
const TAGS_LOGGED = 100

/** Metadata and tags for the log. @param cut is given the names of what is not whole */
function logged(
  metadata: Readonly<Record<string, unknown>> | undefined,
  tags: readonly string[] | undefined,
  cut: string[],
): Pick<Line<GatewayRecord>, 'metadata' | 'tags'> {
  const fits = (value: unknown): boolean => JSON.stringify(value).length <= METADATA_LOGGED
  const shorter = (text: string): string =>
    text.length > TEXT_LOGGED ? `${text.slice(0, TEXT_LOGGED)}…` : text
  let kept = metadata
  if (kept && !fits(kept)) {
    cut.push('metadata')
    kept = JSON.parse(
      JSON.stringify(kept, (_, value) => (typeof value === 'string' ? shorter(value) : value)),
    ) as Record<string, unknown>
    // many fields, or long names
    if (!fits(kept)) kept = {}
  }
  const some = tags?.slice(0, TAGS_LOGGED).map(shorter)
  if (some && (some.length < tags!.length || some.some((tag, i) => tag !== tags![i]))) {
    cut.push('tags')
  }
  return { metadata: kept, tags: some }
}

/** The text that was routed and the last user message. @param cut is given the names of what is not whole */
function spoken(
  request: Served['request'],
  question: string,
  holds: 'redacted' | 'full',
  decided: unknown,
  cut: string[],
): Pick<Line<GatewayRecord>, 'text' | 'question'> {
  const kept = (name: 'text' | 'question', its: string): string => {
    const logged = loggedText(its, holds)
    if (logged.cut) cut.push(name)
    return logged.text
  }
  const whole = routedText(request)
  return {
    // a decision has a separate line, with the text
    text: decided ? undefined : kept('text', whole),
    question: question === whole ? undefined : kept('question', question),
  }
}

/** The text that a router reads, for the data readers; '' if there is none or it is too long for one. */
function routedText(request: Served['request']): string {
  try {
    return requestText(routeRequest(request, undefined))
  } catch (error) {
    if (error instanceof WeirError) return ''
    throw error
  }
}

function attemptRecord(attempt: Attempt): Line<GatewayAttempt> {
  const { model, upstream, outcome, milliseconds, usage, costUsd } = attempt
  return {
    model,
    upstream,
    outcome,
    ms: rounded(milliseconds),
    input_tokens: usage?.inputTokens,
    output_tokens: usage?.outputTokens,
    cached_input_tokens: usage?.cachedInputTokens || undefined,
    cost_usd: costUsd,
  }
}

const rounded = (milliseconds: number): number => Math.round(milliseconds * 1000) / 1000

import { askedText, isConversation, readTranscript } from '../../models/reading/transcript.ts'
import {
  CONVERSATION_ENDPOINTS,
  type DecisionRecord,
  type FeedbackRecord,
  type GatewayRecord,
  type SignalRecord,
} from '../../records/decision-record.ts'
import { type LogReadStats, readDecisionLog } from '../../records/log-reader.ts'

import { type GatewayRequest, NO_STEP } from '../../serving/gateway/contracts.ts'
import type { ChatBody, ChatTurn } from '../../serving/upstreams/upstream.ts'

/** One request of a log: the gateway's record, the router's, or both. */
export interface LoggedRequest {
  readonly id: string
  readonly gateway: GatewayRecord | undefined
  readonly decision: DecisionRecord | undefined
  /** the model to be asked first; undefined if the policy refused */
  readonly model: string | undefined
  /** the step that decided */
  readonly step: string
}

export interface LoggedRequests {
  /** in the order of their times */
  readonly requests: readonly LoggedRequest[]
  readonly feedback: readonly FeedbackRecord[]
  /** what later requests say of answers */
  readonly signals: readonly SignalRecord[]
  /** fields that every segment has */
  readonly text: 'none' | 'redacted' | 'full'
  readonly metadata: boolean
  readonly stats: LogReadStats
}

/** Conversations of the gateway, by any API, and decisions of `POST /route` that belong to none of them; shadows left out. */
export async function readRequests(path: string, signal?: AbortSignal): Promise<LoggedRequests> {
  const stats: LogReadStats = { torn: 0, invalid: 0 }
  const decisions = new Map<string, DecisionRecord>()
  const chats: GatewayRecord[] = []
  const feedback: FeedbackRecord[] = []
  const signals: SignalRecord[] = []
  const texts = new Set<LoggedRequests['text']>()
  let metadata = true
  for await (const { record } of readDecisionLog(path, stats, signal)) {
    if (record.object === 'log') {
      texts.add(record.text)
      if (!record.metadata) metadata = false
    } else if (record.object === 'feedback') feedback.push(record)
    else if (record.object === 'signal') signals.push(record)
    else if (record.object === 'gateway') {
      // a request that failed before a step decided says nothing about a policy
      if (CONVERSATION_ENDPOINTS.has(record.endpoint) && record.step !== NO_STEP) chats.push(record)
    } else if (record.object === 'decision' && !record.shadow) decisions.set(record.id, record)
  }
  const requests = chats.map((gateway): LoggedRequest => {
    const { id, decision_id: own, targets, step } = gateway
    const decision = own === undefined ? undefined : decisions.get(own)
    if (own !== undefined) decisions.delete(own)
    return { id, gateway, decision, model: targets[0], step }
  })
  for (const decision of decisions.values()) {
    const { id, model } = decision
    requests.push({ id, gateway: undefined, decision, model, step: 'learned' })
  }
  const time = ({ gateway, decision }: LoggedRequest): number => gateway?.time ?? decision!.time
  requests.sort((a, b) => time(a) - time(b))
  const text = texts.has('none') ? 'none' : texts.has('redacted') ? 'redacted' : 'full'
  return { requests, feedback, signals, text: texts.size === 0 ? 'none' : text, metadata, stats }
}

/** The text that a router reads; undefined if it was not logged. */
export const loggedText = ({ gateway, decision }: LoggedRequest): string | undefined =>
  decision?.text ?? gateway?.text

/**
 * Rebuilds the request as far as the log allows. The conversation before the last question becomes one
 * message before it, padded with spaces to the logged length, so that limits and conditions on length see the
 * same length.
 */
export function toRequest(logged: LoggedRequest): GatewayRequest {
  const { gateway, decision } = logged
  const text = loggedText(logged)
  const question = gateway?.question ?? (text === undefined ? '' : askedText(text))
  const before = text === undefined ? '' : withoutQuestion(text, question)
  const tools = gateway?.tools ? [{ type: 'function', function: { name: 'tool' } }] : undefined
  const turns: ChatTurn[] = before === '' ? [] : [{ role: 'system', content: before }]
  turns.push({
    role: 'user',
    content: gateway?.images ? [{ type: 'text', text: question }, { type: 'image_url' }] : question,
  })
  if (gateway?.tool_result) {
    turns.push(
      { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'tool', arguments: '{}' } }] },
      { role: 'tool', tool_call_id: 'a', content: '' },
    )
  }
  const missing = (gateway?.characters ?? 0) - lengthOf(turns, tools)
  // each message adds a line break
  if (missing > 0) turns.unshift({ role: 'system', content: ' '.repeat(missing - 1) })
  const metadata = {
    ...gateway?.metadata,
    ...(gateway?.tags ? { tags: gateway.tags } : {}),
  }
  const body: ChatBody = {
    model: gateway?.asked ?? 'weir',
    messages: turns,
    ...(tools ? { tools } : {}),
    ...(gateway?.max_tokens === undefined ? {} : { max_tokens: gateway.max_tokens }),
  }
  const session = gateway?.session_id ?? decision?.session_id
  return {
    id: logged.id,
    body,
    caller: { name: gateway?.key ?? 'anyone' },
    headers: {},
    hints: {
      ...(session === undefined ? {} : { session_id: session }),
      ...(gateway?.previous_model === undefined ? {} : { previous_model: gateway.previous_model }),
      ...(gateway?.models ? { models: gateway.models } : {}),
      ...(gateway?.asked_threshold === undefined ? {} : { threshold: gateway.asked_threshold }),
      ...(Object.keys(metadata).length > 0 ? { metadata } : {}),
    },
    time: gateway?.time ?? decision!.time,
  }
}

/** The conversation without its last question. Logs before 0.2 hold one text with role headings. */
function withoutQuestion(text: string, question: string): string {
  if (isConversation(text)) {
    const { turns } = readTranscript(text)
    const asked = turns.findLastIndex(({ role }) => role === 'user')
    return turns.flatMap((turn, i) => (i === asked ? [] : [turn.text])).join('\n')
  }
  const at = question === '' ? -1 : text.lastIndexOf(question)
  const rest = at < 0 ? text : text.slice(0, at) + text.slice(at + question.length)
  return rest
    .split(/(?:^|\n\n)[a-z]+: /)
    .filter(Boolean)
    .join('\n')
    .trimEnd()
}

/** Counts as `traitsOf` does: one line per text, tool definitions last. */
function lengthOf(turns: readonly ChatTurn[], tools: unknown): number {
  const texts = turns.map(({ content }) =>
    typeof content === 'string'
      ? content
      : (content ?? []).map((part) => part.text ?? '').join('\n'),
  )
  return [...texts, ...(tools ? [JSON.stringify(tools)] : [])].join('\n').length
}

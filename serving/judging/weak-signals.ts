import { createHash } from 'node:crypto'
import type { Registry } from 'prom-client'
import { LruMap } from '../../core/bounded-map.ts'
import { registerLean } from '../../core/lean-metric.ts'
import { CONVERSATION_ENDPOINTS, type SignalRecord } from '../../records/decision-record.ts'
import type { LogWriter } from '../../records/log-writer.ts'
import type { WeakSignalsConfig } from '../gateway/config.ts'
import type { GatewayRequest, Served, ServedObserver } from '../gateway/contracts.ts'
import { Counts } from '../gateway/metrics.ts'
import { isRephrased, STUCK_SIGNS, sessionKey, stuckSigns, textOf } from '../gateway/sessions.ts'

import type { ChatTurn } from '../upstreams/upstream.ts'

/** What the requests of a session can say of an answer. */
export const WEAK_SIGNS = [
  ...STUCK_SIGNS,
  /** the client closed the connection while the answer came */
  'stopped',
  /** the same was asked again */
  'regenerated',
  /** the same question, or one in nearly the same words, began another conversation of the session */
  'repeated',
] as const
export type WeakSign = (typeof WEAK_SIGNS)[number]

/** Signs that need a user's new message; the others need results of tools. */
const BY_USER: ReadonlySet<WeakSign> = new Set<WeakSign>(['correction', 'rephrased'])

/** An answer that a later request may say something of. */
interface Answered {
  readonly id: string
  readonly model: string
  /** when it was asked for, in milliseconds since 1970 */
  readonly time: number
  /** messages of its request, the digest of all of them, and of all but the last */
  readonly turns: number
  readonly digest: string
  readonly before: string
  readonly question: string
}

/** Answers of one session that are remembered: its conversation, and those that a client holds beside it. */
const ANSWERS = 4
/** Of all sessions that are remembered, whatever `sessions` allows. */
const MOST_BYTES = 256 * 1024 * 1024
/** Of an object, its list and the heads of its strings. */
const OVERHEAD = 400

/** Estimated: strings may have two bytes for each character. */
const bytesOf = ({ id, model, digest, before, question }: Answered): number =>
  OVERHEAD + 2 * (id.length + model.length + digest.length + before.length + question.length)

/** Characters of a question, and of each end of a message in digests, that are kept. */
const KEPT = 400

export interface WeakSignalsOptions {
  readonly config: WeakSignalsConfig
  readonly log: Pick<LogWriter, 'append'>
  readonly registry: Registry
}

/**
 * Watches the finished requests of each session, and logs one `signal` line per answer that a later request goes on from:
 * with the signs that the answer was no good, or without any. A request goes on from an answer if it repeats the answer's
 * conversation; so the requests of other conversations, even under the same session id, say nothing of it.
 */
export function weakSignals({ config, log, registry }: WeakSignalsOptions): ServedObserver {
  const { minutes = 60, sessions = 10_000 } = config
  const known = new LruMap<string, readonly Answered[]>(sessions, {
    bytes: MOST_BYTES,
    sizeOf: (answers, key) => key.length + answers.reduce((sum, one) => sum + bytesOf(one), 0),
  })
  const counts = new Counts()
  registerLean(
    registry,
    'weir_weak_signals_total',
    'Answers that a later request of their session spoke of, by what it said.',
    'counter',
    counts.samples,
  )
  const write = (
    { id, model }: Pick<Answered, 'id' | 'model'>,
    signs: readonly WeakSign[],
    { caller, hints, time }: GatewayRequest,
  ): void => {
    const record: SignalRecord = {
      object: 'signal',
      decision_id: id,
      time,
      model,
      signs: [...signs],
      key: caller.name,
      ...(hints.session_id !== undefined && { session_id: hints.session_id }),
    }
    log.append(JSON.stringify(record))
    for (const sign of signs.length > 0 ? signs : ['none']) counts.add({ sign })
  }

  return (served) => {
    const { request, endpoint, plan } = served
    if (
      !CONVERSATION_ENDPOINTS.has(endpoint) ||
      plan.kind !== 'serve' ||
      request.body.messages.length === 0
    ) {
      return
    }
    const { messages } = request.body
    const key = sessionKey(request)
    const recent = (known.get(key) ?? []).filter(
      ({ time }) => request.time - time < minutes * 60_000,
    )
    const digests = digestsOf(messages, new Set(recent.map(({ turns }) => turns)))
    const own = answered(served, digests)
    const said = recent.length > 0 ? follow(request, digests, recent) : undefined
    if (said) write(said.answer, said.signs, request)
    if (!own) {
      if (said) known.set(key, without(recent, said.answer))
      return
    }
    if (served.code === 'cancelled') write(own, ['stopped'], request)
    known.set(key, [own, ...(said ? without(recent, said.answer) : recent)].slice(0, ANSWERS))
  }
}

/** Each answer is spoken of once; what the client asks again is then the answer that came in its place. */
const without = (answers: readonly Answered[], gone: Answered): Answered[] =>
  answers.filter((one) => one !== gone)

function answered(
  { request, model, status, code, firstByteMs }: Served,
  digests: ReadonlyMap<number, string>,
): Answered | undefined {
  // a stream that its client cut off had begun; one that broke for another reason is no answer
  if (model === undefined || status !== 200 || firstByteMs === undefined) return undefined
  if (code !== undefined && code !== 'cancelled') return undefined
  const { messages } = request.body
  return {
    id: request.id,
    model,
    time: request.time,
    turns: messages.length,
    digest: digests.get(messages.length)!,
    before: digests.get(messages.length - 1)!,
    question: lastQuestion(messages),
  }
}

/** The answer that a request speaks of, and the signs. */
function follow(
  { body: { messages, user }, hints }: GatewayRequest,
  digests: ReadonlyMap<number, string>,
  recent: readonly Answered[],
): { readonly answer: Answered; readonly signs: readonly WeakSign[] } | undefined {
  const { length } = messages
  const question = lastQuestion(messages)
  // many users of one application may open with the same words
  const isOneUser =
    hints.session_id !== undefined ||
    typeof user === 'string' ||
    messages.some(({ role }) => role === 'assistant')
  if (isOneUser) {
    const same = recent.find(
      ({ turns, digest }) => turns === length && digest === digests.get(length),
    )
    if (same) return { answer: same, signs: ['regenerated'] }
    // the question was edited and sent again
    const edited = recent.find(
      (one) =>
        one.turns === length &&
        one.before === digests.get(length - 1) &&
        isRephrased(question, one.question),
    )
    if (edited) return { answer: edited, signs: ['rephrased'] }
  }
  const [answer] = recent
    .filter(
      ({ turns, digest }) =>
        turns < length && digest === digests.get(turns) && messages[turns]!.role === 'assistant',
    )
    .sort((a, b) => b.turns - a.turns)
  if (answer) {
    const since = new Set(messages.slice(answer.turns).map(({ role }) => role))
    // an answer whose client says nothing new is not spoken of
    if (!since.has('user') && !since.has('tool')) return undefined
    const signs = stuckSigns(messages).filter((sign) =>
      since.has(BY_USER.has(sign) ? 'user' : 'tool'),
    )
    return { answer, signs }
  }
  if (hints.session_id === undefined || question === '') return undefined
  const repeated = recent.find(
    (one) => question === one.question || isRephrased(question, one.question),
  )
  return repeated && { answer: repeated, signs: ['repeated'] }
}

function lastQuestion(messages: readonly ChatTurn[]): string {
  const last = messages.findLast(({ role }) => role === 'user')
  // a slice would keep the whole message in memory
  return last ? Buffer.from(textOf(last).slice(0, KEPT)).toString() : ''
}

/**
 * Digests of the first n messages, for some n besides all and all but one: of the role, the calls' number, the length and both
 * ends of each message's text.
 */
function digestsOf(
  messages: readonly ChatTurn[],
  lengths: ReadonlySet<number>,
): Map<number, string> {
  const digests = new Map<number, string>()
  const running = createHash('sha1')
  for (let n = 0; n <= messages.length; n++) {
    if (lengths.has(n) || n >= messages.length - 1) {
      digests.set(n, running.copy().digest('base64'))
    }
    const message = messages[n]
    if (!message) break
    const { role, tool_calls: calls } = message
    const text = textOf(message)
    const ends = text.length <= 2 * KEPT ? text : text.slice(0, KEPT) + text.slice(-KEPT)
    const number = Array.isArray(calls) ? calls.length : 0
    running.update(`${role}\n${number}\n${text.length}\n${ends}\n`)
  }
  return digests
}

import { promptHash } from '../../core/hash.ts'
import { hasLongText } from '../../core/json/large.ts'
import { corrects } from '../../models/reading/conversation.ts'
import type { ChatTurn } from '../upstreams/upstream.ts'
import type { GatewayRequest, RequestHints } from './contracts.ts'

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>
type Fields = Readonly<Record<string, unknown>>

/**
 * Headers in which clients name their session: ours, Claude Code's, Codex's, and those of others. Each client also
 * sends the conversation as a whole.
 */
const HEADERS = [
  'x-weir-session',
  'x-claude-code-session-id',
  'session-id',
  'session_id',
  'x-session-id',
  'x-session-affinity',
] as const

/** Longest id that is kept. */
const LONGEST = 1000

const idOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value.length <= LONGEST ? value : undefined

/**
 * The client's hints, with the session that its headers or its body name where `weir.session_id` does not: a
 * header, `prompt_cache_key` (OpenAI's clients send their conversation's id), or the session in Anthropic's
 * `metadata.user_id`.
 *
 * @param body as the client sent it
 */
export function withSession(hints: RequestHints, headers: Headers, body: Fields): RequestHints {
  if (hints.session_id !== undefined) return hints
  let id: string | undefined
  for (const name of HEADERS) {
    id = headers[name] === undefined ? undefined : idOf(headers[name])
    if (id !== undefined) break
  }
  id ??= idOf(body.prompt_cache_key)
  if (id === undefined && body.metadata) id = userSession(body.metadata as Fields)
  return id === undefined ? hints : { ...hints, session_id: id }
}

/** Claude Code's `user_id` is JSON with the session in it, or ends in it. */
function userSession({ session_id: own, user_id: user }: Fields): string | undefined {
  const stated = idOf(own)
  if (stated !== undefined || typeof user !== 'string' || user.length > LONGEST) return stated
  if (user.startsWith('{')) {
    try {
      return idOf((JSON.parse(user) as Fields).session_id)
    } catch {
      return undefined
    }
  }
  return /_session_([0-9a-f-]{36})$/.exec(user)?.[1]
}

const keys = new WeakMap<GatewayRequest, string>()

/** Characters of a beginning above which only the ends of its long texts are hashed: 60 MB would take a second. */
const LONG_BEGINNING = 64 * 1024
const KEPT_ENDS = 4096

const endsOfLong = (_: string, value: unknown): unknown =>
  typeof value === 'string' && value.length > 2 * KEPT_ENDS
    ? [value.length, value.slice(0, KEPT_ENDS), value.slice(-KEPT_ENDS)]
    : value

/**
 * Identifies the session of a request by the id that its client names, else by that of the response it goes on from
 * (`previous_response_id`), else by the conversation's beginning, which each of its requests repeats. A session belongs to one API key: the same id under another key is another session. Fixed size
 * for any length of id; computed once per request.
 */
export function sessionKey(request: GatewayRequest): string {
  let key = keys.get(request)
  if (key === undefined) {
    const { caller, hints, body, pinned } = request
    if (hints.session_id === undefined && pinned?.session !== undefined) return pinned.session
    const first = body.messages.findIndex(({ role }) => role === 'user')
    const session = hints.session_id ?? body.messages.slice(0, first + 1)
    const cut = hasLongText(session, LONG_BEGINNING) ? endsOfLong : undefined
    key = promptHash(JSON.stringify([caller.name, session], cut))
    keys.set(request, key)
  }
  return key
}

/**
 * The session whose turns go to the same upstream of a model, which then has its prompt in its cache; undefined for a first
 * turn that names none, which may go anywhere.
 */
export function affinityOf(request: GatewayRequest): string | undefined {
  const { hints, body } = request
  const goesOn =
    hints.session_id !== undefined || body.messages.some(({ role }) => role === 'assistant')
  return goesOn ? sessionKey(request) : undefined
}

/** Signs that a model does not get on with its task. */
export const STUCK_SIGNS = [
  'tool_errors',
  'repeated_call',
  'correction',
  'rephrased',
  'tests_failing',
] as const
export type StuckSign = (typeof STUCK_SIGNS)[number]

/** Results of tools that are read, from the last one back. */
const RESULTS = 6
/** How many of them must have failed. */
const FAILED = 3
/** Characters of a result that are read, at its beginning and its end. */
const READ = 2000

const ERROR =
  /\b(error|exception|traceback|failed|failure|not found|no such file|permission denied|command not found|invalid|cannot|could not|exit(ed)? (with )?(code|status):? [1-9])\b|<tool_use_error>/i
const TESTS =
  /\b([1-9]\d*) (tests? |specs? )?(failed|failing|failures?)\b|\bFAILED\b|\bTests?:\s+[1-9]\d* failed/
const CORRECTION =
  /^\W*(no\b[,.! ]|nope\b|wrong\b|that('s| is| was) (wrong|not (right|correct|what i))|(this|that|it) (still )?(does(n't| not)|is(n't| not)) (work|right|correct|fixed)|still (fail|broken|wrong|not|the same|does)|you (broke|forgot|misunderstood|ignored)|not what i (asked|meant|wanted)|try again\b|undo\b|revert\b)/i

/**
 * The signs in a conversation's last part: most results of tools failed, the same call was made again with the
 * same arguments, tests fail twice in a row, or the user's last message corrects or repeats.
 */
export function stuckSigns(messages: readonly ChatTurn[]): StuckSign[] {
  const signs: StuckSign[] = []
  const results = lastOf(messages, RESULTS, ({ role }) => role === 'tool').map(textOf)
  const failures = results.filter((text) => ERROR.test(text)).length
  if (failures >= FAILED) signs.push('tool_errors')
  if (results.filter((text) => TESTS.test(text)).length >= 2) signs.push('tests_failing')
  const calls = lastOf(messages, RESULTS, (turn) => Array.isArray(turn.tool_calls)).map((turn) =>
    callsText(turn.tool_calls as readonly unknown[]),
  )
  if (new Set(calls).size <= calls.length - 2) signs.push('repeated_call')
  const asked = lastOf(messages, 2, ({ role }) => role === 'user').map(textOf)
  const [last = '', before = ''] = asked
  if (before !== '') {
    if (CORRECTION.test(last) || corrects(last)) signs.push('correction')
    else if (isRephrased(last, before)) signs.push('rephrased')
  }
  return signs
}

/** The last so many turns of a kind, the latest first. */
function lastOf(
  messages: readonly ChatTurn[],
  most: number,
  isKind: (turn: ChatTurn) => boolean,
): ChatTurn[] {
  const found: ChatTurn[] = []
  for (let i = messages.length - 1; i >= 0 && found.length < most; i--) {
    const turn = messages[i]!
    if (isKind(turn)) found.push(turn)
  }
  return found
}

/** A turn's text; of a long one its beginning and its end. */
export function textOf({ content }: ChatTurn): string {
  const text =
    typeof content === 'string'
      ? content
      : (content ?? []).map((part) => part.text ?? '').join('\n')
  return text.length <= 2 * READ ? text : `${text.slice(0, READ)}\n${text.slice(-READ)}`
}

/** Calls without their ids. */
const callsText = (calls: readonly unknown[]): string =>
  JSON.stringify(
    calls.map((call) => {
      const { function: made, custom } = (call ?? {}) as { function?: unknown; custom?: unknown }
      return made ?? custom
    }),
  )

/** Whether most of the words are those of the message before. */
export function isRephrased(last: string, before: string): boolean {
  const words = (text: string): Set<string> =>
    new Set(text.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu))
  const [a, b] = [words(last), words(before)]
  if (a.size < 4 || b.size < 4) return false
  let shared = 0
  for (const word of a) if (b.has(word)) shared++
  return shared / Math.max(a.size, b.size) >= 0.6
}

import { promptHash } from '../../core/hash.ts'
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

/**
 * Identifies the session of a request by the id that its client names, else by the conversation's beginning, which each
 * of its requests repeats. A session belongs to one API key: the same id under another key is another session. Fixed size
 * for any length of id; computed once per request.
 */
export function sessionKey(request: GatewayRequest): string {
  let key = keys.get(request)
  if (key === undefined) {
    const { caller, hints, body } = request
    const first = body.messages.findIndex(({ role }) => role === 'user')
    const session = hints.session_id ?? body.messages.slice(0, first + 1)
    key = promptHash(JSON.stringify([caller.name, session]))
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

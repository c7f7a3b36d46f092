import type {
  Answered,
  Asked,
  ENDPOINTS,
  EndpointName,
  Session,
} from '../serving/server/console/contract.ts'

/** Endpoints that change something or take a body, and those that only read. */
export type Sending = {
  [N in EndpointName]: (typeof ENDPOINTS)[N] extends { readonly body: unknown } ? N : never
}[EndpointName]
export type Reading = Exclude<EndpointName, Sending>

/** An answer that is an error, as the server says it. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string

  /** @param status 0 if the server could not be reached */
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }

  get unreachable(): boolean {
    return this.status === 0
  }
}

const BASE = '/console/api'
let csrf = ''
const ended = new Set<() => void>()

/** Called when the server says that the session has ended. */
export function onSessionEnd(listener: () => void): () => void {
  ended.add(listener)
  return () => ended.delete(listener)
}

let reached = true
const reachedListeners = new Set<(now: boolean) => void>()
export const isReached = (): boolean => reached

/** Called when the server can no longer be reached, and when it can again. */
export function onReached(listener: (now: boolean) => void): () => void {
  reachedListeners.add(listener)
  return () => reachedListeners.delete(listener)
}

function setReached(now: boolean): void {
  if (now === reached) return
  reached = now
  for (const listener of reachedListeners) listener(now)
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response
  try {
    response = await fetch(`${BASE}/${path}`, { credentials: 'same-origin', ...init })
  } catch (cause) {
    if ((cause as Error).name === 'AbortError') throw cause
    setReached(false)
    throw new ApiError(0, 'unreachable', 'The server cannot be reached.')
  }
  setReached(true)
  const text = await response.text()
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw new ApiError(
      response.status,
      'no_json',
      `The server answered ${response.status} without JSON.`,
    )
  }
  if (response.ok) return body as T
  const { error } = body as { error?: { code?: string; message?: string } }
  const code = error?.code ?? 'unknown'
  if (code === 'session_needed') for (const listener of ended) listener()
  throw new ApiError(
    response.status,
    code,
    error?.message ?? `The server answered ${response.status}.`,
  )
}

/** Reads from an endpoint. @throws ApiError */
export function read<N extends Reading>(
  name: N,
  query: Asked<N> = {} as Asked<N>,
  signal?: AbortSignal,
): Promise<Answered<N>> {
  const given = Object.entries(query as object).filter(([, value]) => value !== undefined)
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)]))
  return call(given.length > 0 ? `${name}?${search}` : name, signal ? { signal } : {})
}

/** Sends a body to an endpoint. @throws ApiError */
export function send<N extends Sending>(
  name: N,
  body: Asked<N>,
  signal?: AbortSignal,
): Promise<Answered<N>> {
  return post(name, body, signal)
}

const post = <T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> =>
  call(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-weir-csrf': csrf },
    body: JSON.stringify(body),
    ...(signal ? { signal } : {}),
  })

const kept = (session: Session): Session => {
  csrf = session.csrf
  return session
}

/** The session of this browser; undefined if nobody is signed in. @throws ApiError if the server cannot be reached */
export async function currentSession(): Promise<Session | undefined> {
  const { session } = await call<{ readonly session: Session | null }>('session', {})
  return session ? kept(session) : undefined
}

/** @param key an API key, the admin token, or the code of a printed address */
export const signIn = async (key: string): Promise<Session> =>
  kept(await post<Session>('sign-in', { key }))

export const signOut = (): Promise<unknown> => post('sign-out', {})

import { createContext } from 'preact'
import { useCallback, useContext, useEffect, useRef, useState } from 'preact/hooks'
import type { Answered, Asked, Role, Session } from '../serving/server/console/contract.ts'
import { ApiError, isReached, onReached, type Reading, read } from './api.ts'

export const SessionContext = createContext<Session | undefined>(undefined)

/** Who is signed in; only for what is inside the shell. */
export const useSession = (): Session => useContext(SessionContext)!

const ORDER: readonly Role[] = ['viewer', 'operator', 'approver']
/** Whether the person may do what needs this role. */
export const useMay = (role: Role): boolean =>
  ORDER.indexOf(useSession().role) >= ORDER.indexOf(role)

/** Whether the server could be reached by the last call. */
export function useOnline(): boolean {
  const [now, setNow] = useState(isReached)
  useEffect(() => onReached(setNow), [])
  return now
}

/** What an endpoint last answered. `error` with `data`: what is shown is older than the error. */
export interface Loaded<T> {
  readonly data: T | undefined
  readonly error: ApiError | undefined
  readonly loading: boolean
  readonly reload: () => void
}

/** Milliseconds between tries while the server cannot be reached. */
const RETRY_MS = 2_000

/**
 * Reads an endpoint when the view opens, again when the query changes, and every `everyMs` milliseconds while the page
 * is visible.
 */
export function useRead<N extends Reading>(
  name: N,
  query: Asked<N> = {} as Asked<N>,
  everyMs?: number,
): Loaded<Answered<N>> {
  const [state, setState] = useState<Omit<Loaded<Answered<N>>, 'reload'>>({
    data: undefined,
    error: undefined,
    loading: true,
  })
  const key = JSON.stringify(query)
  const [turn, setTurn] = useState(0)
  const reload = useCallback(() => setTurn((before) => before + 1), [])
  useEffect(
    () =>
      poll(async (signal) => {
        try {
          const data = await read(name, JSON.parse(key) as Asked<N>, signal)
          setState({ data, error: undefined, loading: false })
          return everyMs
        } catch (error) {
          if (!(error instanceof ApiError)) throw error
          setState((before) => ({ ...before, error, loading: false }))
          return error.unreachable ? RETRY_MS : everyMs
        }
      }),
    [name, key, everyMs, turn],
  )
  return { ...state, reload }
}

/**
 * Calls `work` now and again after as many milliseconds as it answers, while the page is visible; once if it answers
 * undefined. Ends with the returned function.
 */
export function poll(work: (signal: AbortSignal) => Promise<number | undefined>): () => void {
  const ending = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const run = async (): Promise<void> => {
    let next: number | undefined
    try {
      next = await work(ending.signal)
    } catch (error) {
      if (ending.signal.aborted) return
      throw error
    }
    if (ending.signal.aborted || next === undefined) return
    timer = setTimeout(whenVisible, next)
  }
  const whenVisible = (): void => {
    if (document.visibilityState === 'visible') void run()
    else
      document.addEventListener('visibilitychange', () => void run(), {
        once: true,
        signal: ending.signal,
      })
  }
  void run()
  return () => {
    ending.abort()
    clearTimeout(timer)
  }
}

/** Sends something at a click: whether it is under way, and what came of it. */
export function useAction<T, A extends readonly unknown[]>(
  work: (...given: A) => Promise<T>,
): {
  readonly run: (...given: A) => Promise<T | undefined>
  readonly busy: boolean
  readonly error: ApiError | undefined
} {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<ApiError>()
  const latest = useRef(work)
  latest.current = work
  const run = useCallback(async (...given: A) => {
    setBusy(true)
    setError(undefined)
    try {
      return await latest.current(...given)
    } catch (failed) {
      if (!(failed instanceof ApiError)) throw failed
      setError(failed)
      return undefined
    } finally {
      setBusy(false)
    }
  }, [])
  return { run, busy, error }
}

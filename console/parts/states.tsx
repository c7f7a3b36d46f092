import type { ComponentChildren, JSX } from 'preact'
import type { ApiError } from '../api.ts'
import type { Loaded } from '../state.ts'
import { Icon } from './icons.tsx'

/** What a view shows instead of nothing, and what would fill it. */
export function Empty({
  title,
  children,
}: {
  readonly title: string
  readonly children?: ComponentChildren
}): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children && <div class="empty-text">{children}</div>}
    </div>
  )
}

export function ErrorNote({
  error,
  retry,
}: {
  readonly error: ApiError
  readonly retry?: (() => void) | undefined
}): JSX.Element {
  return (
    <div class="note note-bad" role="alert">
      <Icon name="alert" />
      <p>
        {error.message} <span class="muted">{error.code}</span>
      </p>
      {retry && (
        <button type="button" class="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

export const Loading = (): JSX.Element => (
  <p class="loading" role="status">
    Loading…
  </p>
)

/** What was loaded; before that a word that it loads, and an error above what was loaded before it. */
export function WithData<T>({
  of,
  children,
}: {
  readonly of: Loaded<T>
  readonly children: (data: T) => ComponentChildren
}): JSX.Element {
  const { data, error, reload } = of
  // that the server is gone is said once, above all views
  const shown = error && !(error.unreachable && data !== undefined) ? error : undefined
  return (
    <>
      {shown && <ErrorNote error={shown} retry={reload} />}
      {data !== undefined ? children(data) : !error && <Loading />}
    </>
  )
}

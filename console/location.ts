import { useEffect, useState } from 'preact/hooks'

/** Where in the console: `#/VIEW?name=value`. */
export interface Place {
  readonly view: string
  readonly query: Readonly<Record<string, string>>
}

export function placeOf(hash: string): Place {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?')
  return { view: path, query: Object.fromEntries(new URLSearchParams(search)) }
}

export function addressOf(view: string, query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(query).toString()
  return `#/${view}${search === '' ? '' : `?${search}`}`
}

/** The current place, kept up to date. */
export function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash))
  useEffect(() => {
    const changed = (): void => setPlace(placeOf(location.hash))
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return place
}

/** Changes the query of the current view without a new entry in the browser's history. */
export function replaceQuery(query: Readonly<Record<string, string>>): void {
  const { view } = placeOf(location.hash)
  history.replaceState(null, '', addressOf(view, query))
  dispatchEvent(new HashChangeEvent('hashchange'))
}

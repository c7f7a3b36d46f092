// biome-ignore-all lint/a11y/useSemanticElements: rows that are drawn alone need positions, which tr and td do not take
// biome-ignore-all lint/a11y/useFocusableInteractive: the table has the focus and the keys of its rows
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

export interface Column<T> {
  readonly name: string
  /** CSS width in a grid, such as `8rem` or `minmax(10rem, 2fr)` */
  readonly width: string
  readonly numeric?: boolean
  /** left out on narrow screens */
  readonly wideOnly?: boolean
  readonly cell: (row: T) => ComponentChildren
}

/** Rows drawn above and below what is visible. */
const MARGIN = 12
/** Rows that may come above at once while what is read stays in place. */
const MOST_ADDED = 5_000

/**
 * A table that draws only its visible rows, so that 100,000 scroll as ten do. Arrow keys, Page and Home and End move a
 * current row, Enter opens it.
 */
export function Table<T>({
  label,
  columns,
  rows,
  keyOf,
  rowHeight = 38,
  height = 480,
  onOpen,
  opened,
  empty = 'Nothing yet.',
}: {
  readonly label: string
  readonly columns: readonly Column<T>[]
  readonly rows: readonly T[]
  readonly keyOf: (row: T) => string
  /** pixels */
  readonly rowHeight?: number
  /** pixels, at most */
  readonly height?: number
  readonly onOpen?: ((row: T) => void) | undefined
  /** the key of the row that is open */
  readonly opened?: string | undefined
  readonly empty?: ComponentChildren
}): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const [current, setCurrent] = useState(0)
  const narrow = useNarrow()
  const shown = columns.filter(({ wideOnly }) => !(narrow && wideOnly))
  const grid = { gridTemplateColumns: shown.map(({ width }) => width).join(' ') }
  const fits = Math.ceil(height / rowHeight)
  const first = Math.max(0, Math.floor(top / rowHeight) - MARGIN)
  const last = Math.min(rows.length, first + fits + 2 * MARGIN)
  // rows that come above leave in place what is being read
  const before = useRef<{ readonly key: string; readonly index: number }>(undefined)
  useLayoutEffect(() => {
    const box = scroller.current
    const known = before.current
    if (box && known && box.scrollTop > 0) {
      const by = rows
        .slice(0, known.index + MOST_ADDED)
        .findIndex((row) => keyOf(row) === known.key)
      if (by > known.index) {
        box.scrollTop += (by - known.index) * rowHeight
        setCurrent((index) => index + by - known.index)
      }
    }
    const index = Math.floor((box?.scrollTop ?? 0) / rowHeight)
    before.current = rows[index] && { key: keyOf(rows[index]), index }
  }, [rows])
  const move = (to: number): void => {
    const next = Math.min(rows.length - 1, Math.max(0, to))
    setCurrent(next)
    const box = scroller.current
    if (!box) return
    const header = rowHeight
    const view = box.clientHeight - header
    if (next * rowHeight < box.scrollTop) box.scrollTop = next * rowHeight
    else if ((next + 1) * rowHeight > box.scrollTop + view)
      box.scrollTop = (next + 1) * rowHeight - view
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: current + 1,
      ArrowUp: current - 1,
      PageDown: current + fits - 1,
      PageUp: current - fits + 1,
      Home: 0,
      End: rows.length - 1,
    }
    const to = moves[event.key]
    if (to !== undefined) {
      event.preventDefault()
      move(to)
    } else if (event.key === 'Enter' && onOpen && rows[current]) {
      event.preventDefault()
      onOpen(rows[current])
    }
  }
  if (rows.length === 0) return <p class="table-empty muted">{empty}</p>
  return (
    <div
      class="table"
      role="table"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
      tabIndex={0}
      ref={scroller}
      style={{ maxHeight: `${height}px` }}
      onScroll={({ currentTarget }) => {
        setTop(currentTarget.scrollTop)
        const index = Math.floor(currentTarget.scrollTop / rowHeight)
        before.current = rows[index] && { key: keyOf(rows[index]), index }
      }}
      onKeyDown={onKeyDown}
    >
      <div role="rowgroup" class="table-head">
        <div role="row" class="table-row" style={grid}>
          {shown.map(({ name, numeric }) => (
            <span role="columnheader" class={numeric ? 'numeric' : undefined} key={name}>
              {name}
            </span>
          ))}
        </div>
      </div>
      <div role="rowgroup" class="table-body" style={{ height: `${rows.length * rowHeight}px` }}>
        {rows.slice(first, last).map((row, i) => {
          const index = first + i
          const key = keyOf(row)
          const marks = `${index === current ? ' current' : ''}${key === opened ? ' opened' : ''}`
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the table's own keys do the same
            <div
              role="row"
              aria-rowindex={index + 2}
              class={`table-row${onOpen ? ' opens' : ''}${marks}`}
              key={key}
              style={{ ...grid, top: `${index * rowHeight}px`, height: `${rowHeight}px` }}
              onClick={() => {
                setCurrent(index)
                onOpen?.(row)
              }}
            >
              {shown.map(({ name, numeric, cell }) => (
                <span role="cell" class={numeric ? 'numeric' : undefined} key={name}>
                  {cell(row)}
                </span>
              ))}
            </div>
          )
        })}
      </div>
    </div>
  )
}

const phone = matchMedia('(max-width: 700px)')

/** Whether the screen is as narrow as a phone's. */
export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(phone.matches)
  useEffect(() => {
    const changed = (): void => setNarrow(phone.matches)
    phone.addEventListener('change', changed)
    return () => phone.removeEventListener('change', changed)
  }, [])
  return narrow
}

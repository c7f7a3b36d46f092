import type { ComponentChildren, JSX } from 'preact'
import { useId } from 'preact/hooks'

/** A part of a view with a heading. */
export function Card({
  title,
  more,
  actions,
  children,
  wide = false,
  later = false,
}: {
  readonly title: string
  /** what is shown, in a sentence */
  readonly more?: ComponentChildren
  readonly actions?: ComponentChildren
  readonly children: ComponentChildren
  readonly wide?: boolean
  /** on narrow screens, below the other column */
  readonly later?: boolean
}): JSX.Element {
  const id = useId()
  return (
    <section class={`card${wide ? ' wide' : ''}${later ? ' later' : ''}`} aria-labelledby={id}>
      <header class="card-head">
        <div>
          <h2 id={id}>{title}</h2>
          {more && <p class="muted">{more}</p>}
        </div>
        {actions && <div class="card-actions">{actions}</div>}
      </header>
      {children}
    </section>
  )
}

/** A short word on a coloured ground. */
export const Tag = ({
  tone = 'plain',
  children,
}: {
  readonly tone?: 'plain' | 'accent' | 'good' | 'warn' | 'bad'
  readonly children: ComponentChildren
}): JSX.Element => <span class={`tag tag-${tone}`}>{children}</span>

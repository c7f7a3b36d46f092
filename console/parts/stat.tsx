import type { ComponentChildren, JSX } from 'preact'

/** A figure with its name, and what it means below. */
export function Stat({
  name,
  value,
  children,
  tone,
}: {
  readonly name: string
  readonly value: ComponentChildren
  readonly children?: ComponentChildren
  readonly tone?: 'good' | 'warn' | 'bad' | undefined
}): JSX.Element {
  return (
    <div class={`stat${tone ? ` stat-${tone}` : ''}`}>
      <dt>{name}</dt>
      <dd>
        <span class="stat-value">{value}</span>
        {children && <span class="stat-more">{children}</span>}
      </dd>
    </div>
  )
}

export const Stats = ({ children }: { readonly children: ComponentChildren }): JSX.Element => (
  <dl class="stats">{children}</dl>
)

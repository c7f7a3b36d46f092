// biome-ignore-all lint/a11y/useSemanticElements: a meter element has no interval and no mark
import type { JSX } from 'preact'
import { percent } from '../format.ts'

/** A share from 0 to 1 as a bar, with its interval and a mark where it is compared with something. */
export function Bar({
  label,
  value,
  low,
  high,
  mark,
  tone = 'accent',
  text,
}: {
  /** what the bar is of, for those who do not see it */
  readonly label: string
  readonly value: number
  readonly low?: number | undefined
  readonly high?: number | undefined
  readonly mark?: number | undefined
  readonly tone?: 'accent' | 'plain' | 'warn' | 'bad'
  /** how the value is read aloud; by default in per cent */
  readonly text?: string
}): JSX.Element {
  const at = (share: number): string => `${100 * Math.min(1, Math.max(0, share))}%`
  return (
    <div
      class={`bar bar-${tone}`}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={1}
      aria-valuenow={value}
      aria-valuetext={text ?? percent(value)}
    >
      <span class="bar-fill" style={{ width: at(value) }} />
      {low !== undefined && high !== undefined && (
        <span
          class="bar-interval"
          style={{ left: at(low), width: `calc(${at(high)} - ${at(low)})` }}
        />
      )}
      {mark !== undefined && <span class="bar-mark" style={{ left: at(mark) }} />}
    </div>
  )
}

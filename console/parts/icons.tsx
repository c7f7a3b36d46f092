import type { JSX } from 'preact'

/** Strokes on a grid of 24, drawn for this console. */
const PATHS = {
  overview: 'M4 13h6V4H4zM14 20h6V4h-6zM4 20h6v-3H4z',
  playground: 'M4 6h16M4 12h9M4 18h6M17 13l3 3-3 3',
  curve: 'M4 4v16h16M7 16c3 0 4-8 12-9',
  live: 'M3 12h4l3-8 4 16 3-8h4',
  money:
    'M12 3v18M16.5 7.5c-1-1.3-2.600-2-4.500-2-2.500 0-4.500 1.200-4.500 3.200 0 4.600 9.500 2 9.500 6.700 0 2-2 3.300-5 3.300-2.200 0-4-.8-5-2.200',
  health:
    'M12 20s-8-4.600-8-10.500C4 6.500 6 5 8 5c1.800 0 3.200 1 4 2.600C12.800 6 14.200 5 16 5c2 0 4 1.500 4 4.500C20 15.400 12 20 12 20z',
  change: 'M7 4v12M7 4L4 7M7 4l3 3M17 20V8M17 20l3-3M17 20l-3-3',
  labels: 'M4 5h9l7 7-8 8-8-8zM8.500 9.500h.01',
  data: 'M4 6c0-1.700 3.600-3 8-3s8 1.300 8 3-3.600 3-8 3-8-1.300-8-3zM4 6v12c0 1.700 3.600 3 8 3s8-1.300 8-3V6M4 12c0 1.700 3.600 3 8 3s8-1.300 8-3',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  light:
    'M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.400 1.400M17.600 17.600L19 19M5 19l1.400-1.400M17.600 6.400L19 5',
  dark: 'M20 14.500A8.500 8.500 0 019.500 4 8.500 8.500 0 1020 14.500z',
  system: 'M3 5h18v11H3zM8 20h8M12 16v4',
  out: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
  plus: 'M12 5v14M5 12h14',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  alert: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4.500v15l12-7.500z',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
} as const
export type IconName = keyof typeof PATHS

/** A picture beside a word that says the same, so screen readers pass over it. */
export function Icon({
  name,
  size = 20,
}: {
  readonly name: IconName
  readonly size?: number
}): JSX.Element {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      width={size}
      height={size}
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  )
}

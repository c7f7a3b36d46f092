import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type uPlot from 'uplot'
import { colour, useColours } from '../theme.ts'

type UPlot = typeof uPlot
let loading: Promise<UPlot> | undefined
const load = (): Promise<UPlot> => {
  loading ??= Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]).then(
    ([library]) => library.default,
  )
  return loading
}

export interface Line {
  readonly name: string
  /** a variable of the style sheet, such as `--accent` */
  readonly colour: string
  readonly values: readonly number[]
  readonly filled?: boolean
}

/** Lines over time that change while they are watched, by uPlot: it draws anew at each change. */
export function LiveChart({
  label,
  times,
  lines,
  height = 180,
  format = String,
}: {
  /** what the chart shows, for those who do not see it */
  readonly label: string
  /** milliseconds since 1970 */
  readonly times: readonly number[]
  readonly lines: readonly Line[]
  /** pixels */
  readonly height?: number
  readonly format?: (value: number) => string
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot>(undefined)
  const colours = useColours()
  const names = lines.map(({ name, colour: its }) => `${name}${its}`).join()
  const data = [times.map((time) => time / 1000), ...lines.map(({ values }) => [...values])]
  const latest = useRef(data)
  latest.current = data
  useEffect(() => {
    let ended = false
    const grid = { stroke: colour('--line'), width: 1 }
    const axis = { stroke: colour('--muted'), grid, ticks: { show: false }, font: '12px system-ui' }
    void load().then((Plot) => {
      if (ended || !box.current) return
      chart.current = new Plot(
        {
          width: box.current.clientWidth,
          height,
          cursor: { y: false, points: { size: 6 } },
          legend: { show: false },
          scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
          axes: [axis, { ...axis, size: 52, values: (_, ticks) => ticks.map(format) }],
          series: [
            {},
            ...lines.map(({ name, colour: its, filled }) => ({
              label: name,
              stroke: colour(its),
              width: 2,
              points: { show: false },
              ...(filled ? { fill: faint(colour(its)) } : {}),
            })),
          ],
        },
        latest.current as [number[], ...number[][]],
        box.current,
      )
    })
    const watch = new ResizeObserver(([entry]) =>
      chart.current?.setSize({ width: Math.round(entry!.contentRect.width), height }),
    )
    watch.observe(box.current!)
    return () => {
      ended = true
      watch.disconnect()
      chart.current?.destroy()
      chart.current = undefined
    }
  }, [names, height, colours])
  useEffect(() => {
    chart.current?.setData(data as [number[], ...number[][]])
  })
  return (
    <div class="live-chart">
      <div role="img" aria-label={label} ref={box} style={{ minHeight: `${height}px` }} />
      <ul class="legend" aria-hidden="true">
        {lines.map(({ name, colour: its }) => (
          <li key={name}>
            <span class="dot" style={{ background: `var(${its})` }} />
            {name}
          </li>
        ))}
      </ul>
    </div>
  )
}

/** A computed colour, nearly transparent. */
function faint(shown: string): string {
  const parts = /^rgba?\(([^)]+)\)$/
    .exec(shown)?.[1]
    ?.split(/[,\s/]+/)
    .slice(0, 3)
  return parts ? `rgba(${parts.join(', ')}, 0.12)` : 'transparent'
}

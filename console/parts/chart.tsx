import type { PlotOptions } from '@observablehq/plot'
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { useColours } from '../theme.ts'

type Plots = typeof import('./plot.ts')
let loading: Promise<Plots> | undefined

/**
 * A chart by Observable Plot, which is loaded with the first one. `options` gets the library and the width in pixels; colours are
 * `currentColor` and variables of the style sheet.
 */
export function Chart({
  label,
  options,
  height = 260,
}: {
  /** what the chart shows, with its main figure: it is read instead of the chart */
  readonly label: string
  readonly options: (plot: Plots, width: number) => PlotOptions
  /** pixels */
  readonly height?: number
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const [plots, setPlots] = useState<Plots>()
  const [width, setWidth] = useState(0)
  const colours = useColours()
  useEffect(() => {
    loading ??= import('./plot.ts')
    void loading.then((library) => setPlots(() => library as unknown as Plots))
    const watch = new ResizeObserver(([entry]) => setWidth(Math.round(entry!.contentRect.width)))
    watch.observe(box.current!)
    return () => watch.disconnect()
  }, [])
  useEffect(() => {
    if (!plots || width === 0) return
    box.current!.replaceChildren(plots.draw({ width, height, ...options(plots, width) }))
  }, [plots, width, height, options, colours])
  return (
    <div
      class="chart"
      role="img"
      aria-label={label}
      ref={box}
      style={{ minHeight: `${height}px` }}
    />
  )
}

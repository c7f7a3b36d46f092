import type * as Plot from '@observablehq/plot'
import { Markup } from './markup.ts'
import { SvgDocument } from './svg-document.ts'

/** Opens Observable Plot, on first use, because only reports need it. It is imported only here. */
export type PlotModule = typeof Plot

let loading: Promise<PlotModule> | undefined

export function openPlot(): Promise<PlotModule> {
  loading ??= import('@observablehq/plot')
  return loading
}

/** The pixel positions of 0 and 1 on linear scales and of the lower edge: enough to place a mark. */
export interface PixelScale {
  readonly x: readonly [number, number]
  readonly y: readonly [number, number]
  readonly bottom: number
}

export interface Drawing {
  readonly svg: Markup
  readonly scale: PixelScale
}

/** Draws to markup, without a browser. `label` is read by screen readers. */
export function draw(plot: PlotModule, label: string, options: Plot.PlotOptions): Drawing {
  const figure = plot.plot({
    // the drawing needs only the SVG part of a document
    document: new SvgDocument() as unknown as NonNullable<Plot.PlotOptions['document']>,
    className: 'plot',
    ariaLabel: label,
    ...options,
  }) as unknown as { outerHTML: string; scale: (name: 'x' | 'y') => Plot.Scale }
  const pixels = (name: 'x' | 'y'): [number, number] => {
    const scale = figure.scale(name)
    return [scale.apply(0), scale.apply(1)]
  }
  return {
    svg: new Markup(figure.outerHTML.replace('<svg ', '<svg role="img" ').replace(DECIMALS, '$1')),
    scale: {
      x: pixels('x'),
      y: pixels('y'),
      bottom: Math.max(...(figure.scale('y').range as number[])),
    },
  }
}

/** More than two decimals are not visible on any screen, and are most of a chart's bytes. */
const DECIMALS = /(\d\.\d\d)\d+/g

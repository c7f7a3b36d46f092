import { type PlotOptions, plot } from '@observablehq/plot'

export * from '@observablehq/plot'

/** Draws a chart. Its own style element is left out, as the policy of the pages allows none: styles.css has the same. */
export function draw(options: PlotOptions): Element {
  const drawn = plot({ ...options, className: 'plot' })
  for (const style of drawn.querySelectorAll('style')) style.remove()
  // the chart has one label, and its groups can have none
  for (const part of drawn.querySelectorAll('[aria-label]')) part.removeAttribute('aria-label')
  return drawn
}

import { writeWhole } from '../../core/files.ts'
import type { Interval } from '../../core/stats/intervals.ts'
import type { GatheredRows } from '../../training/calibrate/log-rows.ts'
import type { Menu } from '../../training/calibrate/menu.ts'
import { html, type Markup } from './markup.ts'
import { percent, roundDollars, units } from './number-format.ts'
import { page } from './page.ts'

/** Writes the target table atomically as one file that needs no network. Throws `file_unwritable`. */
export async function writeMenuReport(
  path: string,
  bundle: string,
  menu: Menu,
  gathered: GatheredRows,
): Promise<void> {
  await writeWhole(path, renderMenu(bundle, menu, gathered))
}

/** The whole page: every strong share with its cost and quality, each figure with its interval. */
export function renderMenu(bundle: string, menu: Menu, { rows, costBasis }: GatheredRows): string {
  const head = [
    'Threshold',
    'Strong calls',
    'Quality',
    'PGR',
    'Net loss',
    'Loss at most',
    'Per 1,000',
  ]
  const cell = (interval: Interval | undefined, format: (x: number) => string): Markup =>
    interval
      ? html`<td>${format(interval.value)}<br><span class="quiet">${format(interval.low)} to ${format(interval.high)}</span></td>`
      : html`<td>-</td>`
  const main = html`<h1>What each threshold of ${bundle} costs and keeps</h1>
<p class="quiet">On ${rows.winRate.length} prompts that the router had not seen; small print: 95% intervals. “Loss at most” bounds
the net quality loss against always-strong for all rows together at ${percent(menu.confidence)} confidence, so any may be picked after looking.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Thresholds"><table>
<thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${menu.rows.map(
    ({ threshold, expected, lossBound }) =>
      html`<tr><td>${threshold.toFixed(4)}</td>${cell(expected.share, percent)}${cell(expected.quality, units)}${cell(expected.pgr, percent)}${cell(expected.loss, units)}<td>${lossBound === undefined ? '-' : lossBound.toFixed(3)}</td>${cell(expected.dollars, roundDollars)}</tr>`,
  )}</tbody>
</table></div>
${costBasis && html`<p class="quiet">Dollars: ${costBasis}.</p>`}`
  return page({ title: `Targets of ${bundle}`, main })
}

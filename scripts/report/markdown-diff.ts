import { sideOf } from '../../core/stats/intervals.ts'
import type { BundleDiff } from '../../training/evaluate/diff-bundles.ts'
import { spread } from '../../training/evaluate/report/verdict.ts'
import { count, dollars, percent, probability, score } from './number-format.ts'

const SHOWN_CATEGORIES = 12

/** A diff as Markdown, for a terminal or a comment in a pull request. */
export function renderDiff(diff: BundleDiff): string {
  const { changed, quality, dollars_per_1k: money, apgr } = diff
  const lines = [
    `## ${diff.old.name} -> ${diff.new.name}: ${percent(changed.value)} of ${count(diff.rows)} prompts change route`,
    '',
    ...diff.warnings.map((warning) => `> ${warning}\n`),
    ...table([
      ['', 'old', 'new', 'new minus old', '95% interval'],
      ['threshold', score(diff.old.threshold), score(diff.new.threshold), '', ''],
      [
        'sent strong',
        percent(diff.old.strong_share),
        percent(diff.new.strong_share),
        `+${count(changed.to_strong)}, -${count(changed.to_weak)} prompts`,
        '',
      ],
      [
        'mean score',
        '',
        '',
        signed(quality.value, score),
        `${score(quality.low)} to ${score(quality.high)}`,
      ],
      ...(money.value === null
        ? []
        : [
            [
              '$ per 1,000',
              '',
              '',
              signed(money.value, dollars),
              `${dollars(money.low)} to ${dollars(money.high)}`,
            ],
          ]),
      [
        'APGR (ranking alone)',
        '',
        '',
        signed(apgr.value, score),
        `${score(apgr.low)} to ${score(apgr.high)}, p ${probability(apgr.p)}`,
      ],
    ]),
    '',
    inWords(diff),
  ]
  if (diff.categories.length > 1) {
    lines.push(
      '',
      ...table([
        ['category', 'prompts', 'to strong', 'to weak', 'mean score'],
        ...diff.categories
          .slice(0, SHOWN_CATEGORIES)
          .map(({ category, rows, to_strong, to_weak, quality }) => [
            category,
            count(rows),
            count(to_strong),
            count(to_weak),
            spread(quality),
          ]),
      ]),
    )
  }
  if (diff.prompts.length > 0) {
    lines.push(
      '',
      ...table([
        ['goes', 'old', 'new', 'score', 'prompt'],
        ...diff.prompts.map((row) => [
          row.to,
          score(row.old_win_rate),
          score(row.new_win_rate),
          signed(row.gain, score),
          row.prompt.replace(/\s+/g, ' ').slice(0, 100),
        ]),
      ]),
    )
  }
  return lines.join('\n')
}

function inWords({ quality, changed }: BundleDiff): string {
  if (changed.value === 0) return 'No prompt changes route.'
  const said = {
    above: 'Quality rises',
    below: 'Quality falls',
    open: 'No difference in quality can be shown on these prompts',
  }[sideOf(quality)]
  return `${said}: ${spread(quality)}.`
}

const signed = (value: number | null, format: (x: number | null) => string): string =>
  `${value !== null && value > 0 ? '+' : ''}${format(value)}`

function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = cells[0]!.map((_, k) => Math.max(3, ...cells.map((row) => row[k]!.length)))
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, k) => cell.padEnd(widths[k]!)).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)]
}

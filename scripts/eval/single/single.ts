import { parseArgs } from 'node:util'
import { meanInterval } from '../../../core/stats/intervals.ts'
import { openTerminal, table } from '../../terminal/terminal.ts'
import { findLogs, list } from '../logs.ts'
import { apgrLosses } from './apgr.ts'
import { coverageOf } from './coverage.ts'
import { fewAnswers } from './few.ts'
import { promiseOf } from './promise.ts'
import { ASSIGNMENTS, openPool, SINGLE_SETS } from './worlds.ts'

/**
 * `npm run eval:single`: what is lost where only one model answered each prompt. Real outcome tables are made
 * single-answer by a known assignment; held-out paired truth stands beside what is learned, estimated and
 * promised.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    /** assignments for the APGR loss */
    draws: { type: 'string', default: '20' },
    /** logs for the coverage of intervals */
    repeats: { type: 'string', default: '500' },
    rows: { type: 'string', default: '3000' },
    /** logs for the promise */
    splits: { type: 'string', default: '1000' },
    /** simulated logs worth few answers */
    few: { type: 'string', default: '60' },
  },
})
const seed = Number(options.seed)
const terminal = openTerminal()
const { folder, logs } = findLogs(SINGLE_SETS, list(options.only), terminal.note)
const figures: Record<string, number> = {}
const section = (title: string, rows: readonly (readonly string[])[]): void => {
  terminal.endProgress()
  if (!options.json) terminal.print(`\n${title}\n${table(rows)}`)
}
const percent = (x: number): string => `${(100 * x).toFixed(1)}%`
const cells: number[] = []
for (const set of logs) {
  const losses = await apgrLosses(folder, set, Number(options.draws), seed, terminal.onProgress)
  if (losses.single.length > 0) {
    const loss = meanInterval(losses.loss, undefined, 0.95)
    figures[`${set.name}_apgr_loss_uniform`] = loss.value
    section(`${set.name}: APGR on held-out pairs, ${losses.single.length} uniform assignments`, [
      ['trained on', 'APGR'],
      ['both answers', mean(losses.paired).toFixed(4)],
      ['one answer', mean(losses.single).toFixed(4)],
      ['lost', `${loss.value.toFixed(4)} [${loss.low.toFixed(4)}, ${loss.high.toFixed(4)}]`],
    ])
  }
  const pool = await openPool(folder, set, seed)
  const lines = [
    [
      'assignment',
      'PGR at 20%',
      '50%',
      '80%',
      'quality at 20%',
      '50%',
      '80%',
      'curve RMSE',
      'gap error',
      'plain means',
    ],
  ]
  for (const assignment of ASSIGNMENTS) {
    const of = { repeats: Number(options.repeats), rows: Number(options.rows), seed }
    const found = await coverageOf(pool, assignment, of, terminal.onProgress)
    if (found.repeats === 0) continue
    cells.push(...found.pgr, ...found.quality)
    const name = `${set.name}_${assignment.name.replaceAll(/[ ,]+/g, '_')}`
    figures[`${name}_coverage`] = mean([...found.pgr, ...found.quality])
    figures[`${name}_curve_rmse`] = found.curveRmse
    figures[`${name}_gap_error`] = found.gapError
    figures[`${name}_gap_error_of_plain_means`] = found.naiveError
    lines.push([
      assignment.name,
      ...found.pgr.map(percent),
      ...found.quality.map(percent),
      found.curveRmse.toFixed(4),
      found.gapError.toFixed(4),
      found.naiveError.toFixed(4),
    ])
  }
  section(
    `${set.name}: coverage of 95% intervals, ${options.repeats} logs of ${options.rows} single answers from ${pool.winRate.length} held-out prompts`,
    lines,
  )
  const promised = [
    [
      'rows',
      'assignment',
      'violated',
      'sent weak',
      'refused',
      'violated on as many scores, both answers',
      'sent weak',
    ],
  ]
  for (const assignment of [ASSIGNMENTS[0]!, ASSIGNMENTS[2]!]) {
    const of = { splits: Number(options.splits), rows: 2000, loss: 0.05, confidence: 0.9, seed }
    const found = await promiseOf(pool, assignment, of, terminal.onProgress)
    if (found.splits === 0) continue
    const name = `${set.name}_${assignment.name.replaceAll(/[ ,]+/g, '_')}`
    figures[`${name}_violation_rate`] = found.violations
    figures[`${name}_weak_share_vs_paired`] = found.weakShare / found.pairedWeakShare
    promised.push([
      String(of.rows),
      assignment.name,
      percent(found.violations),
      percent(found.weakShare),
      percent(found.refused),
      percent(found.pairedViolations),
      percent(found.pairedWeakShare),
    ])
  }
  section(`${set.name}: a net loss of 5% promised at 90%, ${options.splits} logs`, promised)
}
if (cells.length > 0) {
  figures.coverage_mean = mean(cells)
  figures.coverage_least = Math.min(...cells)
}
if (Number(options.few) > 0) {
  const found = await fewAnswers(Number(options.few), terminal.onProgress)
  figures.few_refused_logs = found.refused
  figures.few_parts = found.parts
  figures.few_effective = found.effective
  figures.few_coverage = found.covered
  figures.few_coverage_without_floor = found.plain
  figures.few_error_vs_stated = found.ratio
  figures.few_error_vs_stated_without_floor = found.plainRatio
}
terminal.endProgress()
section(
  'figures',
  Object.entries(figures).map(([name, value]) => [name, value.toFixed(4)]),
)
if (options.json) terminal.json({ data: logs.map(({ name }) => name), figures })

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, x) => sum + x, 0) / values.length
}

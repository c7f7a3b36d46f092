import { parseArgs } from 'node:util'
import { WeirError } from '../../../core/errors.ts'
import { betting, bettingPlugIn } from '../../../training/calibrate/bounds/betting.ts'
import type { BoundTest } from '../../../training/calibrate/bounds/bounds.ts'
import { clopperPearson } from '../../../training/calibrate/bounds/clopper-pearson.ts'
import { hoeffdingBentkusTest } from '../../../training/calibrate/bounds/hoeffding-bentkus.ts'
import { pairedExact } from '../../../training/calibrate/bounds/paired-exact.ts'
import { calibrateProbabilities } from '../../../training/calibrate/probability/report.ts'
import { openTerminal, table } from '../../terminal/terminal.ts'
import { type ScoredTable, scoredTables } from './data.ts'
import { categoryGains, neighbourGains } from './gains.ts'
import {
  budgetOnSplits,
  type KnownWorld,
  promiseInWorld,
  promiseOnSplits,
  type SplitOptions,
  shareError,
  shiftedShareErrors,
} from './shares.ts'

/**
 * `npm run eval:calibration`: whether calibration meets its guarantees, on RouteLLM's tables with out-of-fold
 * scores and on simulated worlds whose true values are known.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1000' },
    'world-runs': { type: 'string', default: '200' },
    folds: { type: 'string', default: '10' },
    router: { type: 'string', default: 'classifier' },
  },
})
const seed = Number(options.seed)
const runs = Number(options.runs)
const terminal = openTerminal()
const figures: Record<string, number> = {}
const percent = (value: number): string => `${(100 * value).toFixed(1)}%`
const section = (title: string, rows: readonly (readonly string[])[]): void => {
  terminal.endProgress()
  if (!options.json) terminal.print(`\n${title}\n${table(rows)}`)
}

const METHODS: readonly (readonly [string, BoundTest | 'plug-in', 'max-loss' | 'max-harm'])[] = [
  ['paired_exact', pairedExact, 'max-loss'],
  ['betting', betting, 'max-loss'],
  ['betting_plug_in', bettingPlugIn, 'max-loss'],
  ['clopper_pearson_harm', clopperPearson, 'max-harm'],
  ['hoeffding_bentkus', hoeffdingBentkusTest, 'max-loss'],
  ['plug_in', 'plug-in', 'max-loss'],
]

/**
 * The guarantee holds for any scores; these are the best out-of-fold scores for the table: the router's
 * averaged with those of the prompts' neighbours (if `use-lite` is installed) and the prior of their
 * categories.
 */
async function informedScores(
  table: ScoredTable,
): Promise<{ readonly winRate: Float64Array; readonly told: string }> {
  const { rows, categories, prompts, fold } = table
  const parts: { name: string; gain: Float64Array }[] = [
    { name: options.router, gain: rows.winRate.map((p) => 2 * p - 1) },
  ]
  try {
    const gain = await neighbourGains(prompts, rows.gain, fold, terminal.onProgress)
    parts.push({ name: 'nearest neighbours', gain })
  } catch (error) {
    if (!(error instanceof WeirError)) throw error
    terminal.note(`without neighbours: ${error.message}`)
  }
  if (categories.some((category) => category !== undefined)) {
    parts.push({ name: 'category prior', gain: categoryGains(rows.gain, categories, fold) })
  }
  const winRate = rows.winRate.map(
    (_, i) => (1 + parts.reduce((sum, { gain }) => sum + gain[i]!, 0) / parts.length) / 2,
  )
  return { winRate, told: parts.map(({ name }) => name).join(' + ') }
}

function promises(
  name: string,
  rows: ScoredTable['rows'],
  told: string,
  prefix: string,
  methods: typeof METHODS,
): void {
  const validationRows = Math.min(1000, Math.floor(rows.winRate.length / 4))
  const calibrationRows = validationRows
  const lines: string[][] = [['method', 'violated 2%', 'weak', 'violated 5%', 'weak']]
  // duplicates of a prompt are averaged: the few graded rows are rounded for the exact tests
  const whole = { winRate: rows.winRate, gain: rows.gain.map(Math.round) }
  for (const [method, test, kind] of methods) {
    const at = (limit: number) => {
      const target =
        kind === 'max-loss'
          ? ({ kind, loss: limit, confidence: 0.9 } as const)
          : ({ kind, harm: limit, confidence: 0.9 } as const)
      const split: SplitOptions = { target, runs, calibrationRows, validationRows, seed }
      terminal.onProgress({ stage: `${name}: ${method}`, done: 0 })
      return promiseOnSplits(whole, test, split)
    }
    const [two, five] = [at(0.02), at(0.05)]
    lines.push([
      method,
      percent(two.violations),
      percent(two.weakShare),
      percent(five.violations),
      percent(five.weakShare),
    ])
    // the exact test is the default on 0/1 outcomes
    const key = `${prefix}${test === pairedExact ? '' : `${method}_`}`
    figures[`${key}violation_rate`] = Math.max(two.violations, five.violations)
    figures[`${key}weak_share_2`] = two.weakShare
    figures[`${key}weak_share_5`] = five.weakShare
  }
  section(
    `${name}, scores of ${told}: net loss promised at 90% on ${calibrationRows} rows, ${runs} random splits`,
    lines,
  )
}

const WORLDS: readonly KnownWorld[] = [
  [0.8, 0.68],
  [0.95, 0.55],
  [0.6, 0.55],
].flatMap(([strong, weak]) =>
  [0.2, 0.6, 1].map((skill) => ({ strong: strong!, weak: weak!, skill })),
)

function worlds(): void {
  const worldRuns = Number(options['world-runs'])
  const lines: string[][] = [
    ['strong', 'weak', 'skill', 'n', 'exact: violated', 'weak', 'betting: violated', 'weak'],
  ]
  let worst = 0
  let sum = 0
  let cells = 0
  for (const world of WORLDS) {
    for (const rows of [300, 1000, 3000]) {
      terminal.onProgress({ stage: 'simulated worlds', done: cells, total: 2 * 27 })
      const results = [pairedExact, betting].map((test) =>
        promiseInWorld(world, test, { rows, runs: worldRuns, loss: 0.05, confidence: 0.9, seed }),
      )
      for (const { violations } of results) {
        worst = Math.max(worst, violations)
        sum += violations
        cells++
      }
      const cell = results.flatMap((r) => [percent(r.violations), percent(r.weakShare)])
      lines.push([
        String(world.strong),
        String(world.weak),
        String(world.skill),
        String(rows),
        ...cell,
      ])
    }
  }
  figures.simulated_violation_rate_worst = worst
  figures.simulated_violation_rate_mean = sum / cells
  section(
    `Simulated: net loss of 5% promised at 90%, true loss known, ${worldRuns} runs a cell`,
    lines,
  )
}

function shares({ name, rows, categories }: ScoredTable): void {
  const of = { runs: Math.min(runs, 400), seed }
  const error = shareError(rows.winRate, { ...of, rows: 5000 })
  const shifted = shiftedShareErrors(rows.winRate, categories, { ...of, unlabelled: 200 })
  figures.share_error_pp = 100 * error
  figures.share_error_shifted_pp = 100 * shifted.recalibrated
  figures.share_error_shifted_without_pp = 100 * shifted.kept
  section(`${name}: strong share, mean absolute error in points`, [
    ['', 'error'],
    ['5,000 rows of the same mix', (100 * error).toFixed(2)],
    [
      'new mix of categories, 200 unlabelled prompts of it',
      (100 * shifted.recalibrated).toFixed(2),
    ],
    ['new mix of categories, threshold kept', (100 * shifted.kept).toFixed(2)],
  ])
}

function probabilities(tables: readonly ScoredTable[]): void {
  const lines: string[][] = [['', 'method', 'ECE before', 'ECE after', 'perfect', 'Brier']]
  for (const { name, rows } of tables) {
    const { report } = calibrateProbabilities(rows.winRate, rows.gain, seed)
    figures[`ece_${name}`] = report.ece_after.value
    figures[`ece_before_${name}`] = report.ece_before.value
    figures[`ece_perfect_${name}`] = report.ece_perfect
    const of = ({ value, low, high }: typeof report.ece_after): string =>
      `${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]`
    lines.push([
      name,
      report.method,
      of(report.ece_before),
      of(report.ece_after),
      report.ece_perfect.toFixed(4),
      report.brier_after!.toFixed(4),
    ])
  }
  section('Probability calibration, out of fold', lines)
}

function budget({ name, rows }: ScoredTable): void {
  const calibrationRows = Math.min(1000, Math.floor(rows.winRate.length / 4))
  const lines: string[][] = [['method', 'over budget', 'of the budget spent']]
  const of = { runs, calibrationRows, confidence: 0.9, seed }
  for (const method of ['betting', 'empirical-bernstein']) {
    const result = budgetOnSplits(rows, { ...of, method })
    lines.push([method, percent(result.violations), percent(result.spent)])
    // betting is the default
    const suffix = method === 'betting' ? '' : '_bernstein'
    figures[`budget_violation_rate${suffix}`] = result.violations
    figures[`budget_spent${suffix}`] = result.spent
  }
  section(
    `${name}: budget promised at 90% on ${calibrationRows} rows, ${runs} random splits`,
    lines,
  )
}

const tables = await scoredTables({
  router: options.router,
  folds: Number(options.folds),
  seed,
  note: terminal.note,
  onFold: (name, done) =>
    terminal.onProgress({
      stage: `${name}: fitting out of fold`,
      done,
      total: Number(options.folds),
    }),
})
const first = tables[0]!
const router = `the ${options.router}`
const informed = await informedScores(first)
promises(first.name, { ...first.rows, winRate: informed.winRate }, informed.told, '', METHODS)
promises(first.name, first.rows, `${router} alone`, 'router_alone_', METHODS.slice(0, 2))
worlds()
shares(first)
probabilities(tables)
budget(first)
terminal.endProgress()
if (options.json) {
  terminal.json({ data: tables.map(({ name }) => name), router: options.router, runs, figures })
}

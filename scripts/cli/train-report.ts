import { sideOf } from '../../core/stats/intervals.ts'
import type { DatasetManifest } from '../../data/dataset/manifest.ts'
import type { LeakReport } from '../../data/inspect/leaks.ts'
import { type SplitFractions, shortParts } from '../../data/splits/assign-splits.ts'
import { describeRecipe } from '../../models/reading/recipe.ts'
import type { AutoChoice } from '../../training/auto.ts'
import type { ChosenModels } from '../../training/choose-models.ts'
import type { RecipeChoice } from '../../training/choose-recipe.ts'
import type { SharedEfforts } from '../../training/efforts.ts'
import type { EvaluationReport } from '../../training/evaluate/report/report.ts'
import { evidenceInWords, sensitivityInWords } from '../../training/evaluate/report/verdict.ts'
import type { Settings } from '../../training/trainers/settings.ts'
import type { Tuning } from '../../training/tune/tune.ts'
import { roundDollars } from '../report/number-format.ts'
import { percent, score, type Terminal, table } from '../terminal/terminal.ts'

/** Log-loss and APGR of each router on rows that were not used to fit or tune it, and how long it takes. */
export function printAuto(
  terminal: Terminal,
  { rows, skipped, folds, compared, minutes }: AutoChoice,
  { maxMs }: { readonly maxMs?: number | undefined } = {},
): void {
  const on =
    folds > 1
      ? `${compared} prompts of train and validation, out of ${folds} folds`
      : `${compared} prompts, half of validation`
  terminal.print(`\nRouters, simplest first, on ${on}`)
  terminal.print(
    table([
      ['', 'log-loss', 'above the best', 'APGR', '95% interval', 'ms', ''],
      ...rows.map(({ name, loss, above, error, apgr, ms, chosen }) => [
        name,
        loss.toFixed(4),
        above === 0 ? 'best' : `${above.toFixed(4)} ± ${error.toFixed(4)}`,
        apgr.value === null ? '' : score(apgr.value),
        apgr.low === null || apgr.high === null ? '' : `[${score(apgr.low)}, ${score(apgr.high)}]`,
        ms < 0.1 ? ms.toFixed(3) : ms.toFixed(1),
        chosen ? 'chosen' : '',
      ]),
    ]),
  )
  const best = rows.find(({ above }) => above === 0)
  const taken = rows.find(({ chosen }) => chosen)
  if (best && taken && best !== taken && best.apgr.value !== null && taken.apgr.value !== null) {
    const cost = best.apgr.value - taken.apgr.value
    const instead =
      maxMs !== undefined && best.ms > maxMs
        ? `${best.name} takes over ${maxMs} ms`
        : `--prefer quality takes ${best.name}`
    terminal.print(
      `${taken.name} instead of ${best.name} is expected to cost ${score(cost)} APGR (${instead})`,
    )
  }
  if (maxMs !== undefined && taken && taken.ms > maxMs) {
    terminal.print(`No router decides within ${maxMs} ms: the fastest was taken`)
  }
  for (const { name, reason } of skipped) terminal.print(`${name}: left out, ${reason}`)
  terminal.print(`Compared for ${minutes.taken.toFixed(1)} of ${minutes.of} minutes`)
}

/** Whether held-out prompts are copies of training prompts, and which parts fell short of their share. */
export function printSplits(
  terminal: Terminal,
  { counts, split, split_by: by }: DatasetManifest,
  leaks: LeakReport['splits'] | undefined,
): void {
  if (leaks) {
    const { prompts, exact, normalised, near } = leaks.test
    terminal.print(
      `Leakage: of ${prompts} test prompts, ${exact} stand in train with the same text, ${normalised} with the same stem, ${near} nearly`,
    )
  }
  if (by.copies)
    terminal.print(`${by.copies} prompts ask the same under different templates and stay together`)
  if (by.common)
    terminal.print(`${by.common} prompts that many groups share were kept for training`)
  for (const line of shortParts(counts, split.fractions as SplitFractions)) terminal.note(line)
}

/** What the router reads of a conversation, and how the recipes compared if there was a choice. */
export function printReading(terminal: Terminal, { recipe, rows }: RecipeChoice): void {
  if (rows) {
    terminal.print('\nRecipes, the shortest first: log-loss out of fold on train and validation')
    terminal.print(
      table([
        ['', 'log-loss', 'above the best', ''],
        ...rows.map(({ name, loss, above, error, chosen }) => [
          name,
          loss.toFixed(4),
          above === 0 ? 'best' : `${above.toFixed(4)} ± ${error.toFixed(4)}`,
          chosen ? 'chosen' : '',
        ]),
      ]),
    )
  }
  terminal.print(`Reads ${describeRecipe(recipe)}.`)
}

/** Every setting that was tried, with its log-loss at each fraction of the train rows. */
export function printTuning(terminal: Terminal, tuning: Tuning): void {
  const { family, trials, fractions, best, comparison, stopped } = tuning
  terminal.print(
    `\nTuning ${family}: log-loss on half of validation, by the part of the train rows that was learnt from`,
  )
  const order = [...trials.keys()].toSorted(
    (a, b) =>
      trials[b]!.losses.length - trials[a]!.losses.length || last(trials[a]!) - last(trials[b]!),
  )
  terminal.print(
    table([
      ['', ...fractions.map(percent), ''],
      ...order.map((at) => {
        const { settings, losses } = trials[at]!
        const cells = fractions.map((_, rung) => losses[rung]?.toFixed(4) ?? '')
        return [described(settings), ...cells, at === best ? 'chosen' : '']
      }),
    ]),
  )
  const [defaults, tuned] = comparison ?? []
  if (defaults && tuned) {
    const { above, error } = above0(defaults, tuned)
    terminal.print(
      `On the other half: defaults ${defaults.loss.toFixed(4)}, tuned ${tuned.loss.toFixed(4)} (a difference of ${above.toFixed(4)} ± ${error.toFixed(4)}); ${tuned.chosen ? 'the tuned settings are taken' : 'the defaults stay'}`,
    )
  }
  if (stopped) terminal.print('The search was stopped: this is the best so far.')
}

type Standing = NonNullable<Tuning['comparison']>[number]

/** The worse one's difference: the better one's own is 0. */
const above0 = (a: Standing, b: Standing): Standing => (a.above > 0 ? a : b)

const last = ({ losses }: Tuning['trials'][number]): number => losses.at(-1) ?? Number.NaN

function described(settings: Settings): string {
  const pairs = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  return pairs.length > 0 ? pairs.join(' ') : 'defaults'
}

/** The held-out split's APGR with its interval, next to the baselines'. */
export function printReport(terminal: Terminal, report: EvaluationReport): void {
  const line = (
    name: string,
    { apgr, cpt }: EvaluationReport['routers'][number] | EvaluationReport['baselines'][string],
  ): string[] => [
    name,
    apgr.value === null ? 'undefined' : score(apgr.value),
    apgr.low === null || apgr.high === null ? '' : `[${score(apgr.low)}, ${score(apgr.high)}]`,
    cpt['50'] === null ? '' : `${(100 * cpt['50']).toFixed(1)}%`,
    cpt['80'] === null ? '' : `${(100 * cpt['80']).toFixed(1)}%`,
  ]
  terminal.print(`\nHeld out: ${report.rows} prompts, never trained on`)
  terminal.print(
    table([
      ['', 'APGR', '95% interval', 'CPT(50%)', 'CPT(80%)'],
      ...report.routers.map((router) => line(router.name, router)),
      ...Object.entries(report.baselines)
        .filter(([name]) => !name.startsWith('always'))
        .map(([name, baseline]) => line(name.replace('_', ' '), baseline)),
    ]),
  )
  for (const { name, verdict, apgr } of report.routers) {
    terminal.print(`${name}: ${verdict}`)
    if (apgr.value !== null && sideOf(apgr, 0.5) === 'open') {
      terminal.print(
        'No signal found: on the held-out prompts this router cannot be told from a coin.',
      )
    }
  }
  for (const line of [...evidenceInWords(report), ...sensitivityInWords(report)]) {
    terminal.print(line)
  }
  for (const warning of report.warnings) terminal.print(`warning: ${warning}`)
}

/** The two models of the pair, and why they were chosen. */
export function printChosen(
  terminal: Terminal,
  { standings, strong, weak }: ChosenModels,
  named: { readonly strong?: string; readonly weak?: string },
): void {
  const of = (model: string) => standings.find((standing) => standing.model === model)!
  const best = named.strong ? 'as named' : `best on train (${score(of(strong).quality)})`
  const cheap = named.weak
    ? 'as named'
    : `cheapest on train (${roundDollars(1000 * of(weak).cost)} per 1,000)`
  terminal.print(
    `${standings.length} models; the pair among them: strong ${strong}, ${best}; weak ${weak}, ${cheap}`,
  )
}

/** How much the efforts of one model share, and each one's labels and mean predicted quality. */
export function printEfforts(
  terminal: Terminal,
  { model, tiers, correlation, labels, fitted, quality }: SharedEfforts,
): void {
  const shared =
    correlation === 0
      ? 'fitted apart: held-out prompts say that they share nothing'
      : `share strength (correlation ${correlation}, chosen on held-out prompts)`
  const rows = tiers.map((tier, t) => {
    const moved = Math.abs(quality[t]! - fitted[t]!) > 5e-4
    const before = moved ? `, ${score(fitted[t]!)} before it was made to rise with effort` : ''
    return `${tier} ${score(quality[t]!)} (${labels[t]} labels${before})`
  })
  terminal.print(`Efforts of ${model} ${shared}; mean predicted quality: ${rows.join(', ')}`)
}

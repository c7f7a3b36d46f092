import type { Dataset } from '../../../../data/dataset/dataset.ts'
import type { Inspection } from '../../../../data/inspect/inspect.ts'
import type { LeakReport } from '../../../../data/inspect/leaks.ts'
import type { PairGain } from '../../../../data/inspect/pair-gain.ts'
import type { LogEvidence } from '../../../../training/ope/log-evidence.ts'
import type { Watch } from '../../../../training/ope/log-features.ts'
import { count, openTerminal, score, type Terminal, table } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, PAIR_OPTIONS, READ_OPTIONS } from '../../log-options.ts'
import { type Flags, optionTable, pairOption, Switch, Text } from '../../options.ts'

const OPTIONS = optionTable({
  strong: {
    flag: '--strong <model>',
    schema: Text,
    help: 'with --weak: show the pair’s labels, and what can be trained, judged and promised from them',
  },
  weak: { flag: '--weak <model>', schema: Text, help: 'the weak model of the pair' },
  leaks: {
    flag: '--leaks',
    schema: Switch,
    help: 'look for held-out prompts that are in the training split too, or nearly',
  },
  ...PAIR_OPTIONS,
  ...READ_OPTIONS,
  json: jsonOption('the result'),
})

const ROWS_SHOWN = 12

/** `weir data inspect <dataset|logs...>` */
export const dataInspectCommand = defineCommand({
  name: 'inspect',
  description: 'show what a dataset or log holds, and what routing a pair could gain at most',
  arguments: [['<logs...>', 'one dataset folder, or logs as weir data ingest takes them']],
  options: OPTIONS,
  examples: [
    'weir data inspect datasets/logs',
    'weir data inspect outcomes.csv.gz --strong gpt-4-1106-preview --weak mixtral-8x7b --leaks',
  ],
  run,
})

async function run(logs: readonly string[], flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { pairOptions, readOptions } = await import('../../log-options.ts')
  const { openDatasetOrLogs } = await import('../../../../data/ingest.ts')
  const { inspect } = await import('../../../../data/inspect/inspect.ts')
  const { findLeaks } = await import('../../../../data/inspect/leaks.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const pair = pairOption(flags.strong, flags.weak)
  const dataset = await openDatasetOrLogs(logs, { ...(await readOptions(flags)), ...watch })
  const shown =
    pair &&
    (await evidenceFor({ ...dataset, labelled: pairOptions(flags) }, pair, flags.seed, watch))
  const judged = shown?.evidence.gap ? pair : undefined
  const found = inspect(shown?.dataset ?? dataset, judged && { ...judged, ...pairOptions(flags) })
  const leaks = flags.leaks ? findLeaks(dataset, watch) : undefined
  terminal.endProgress()
  if (flags.json) {
    terminal.json({
      ...found,
      ...(shown && { evidence: shown.evidence }),
      ...(leaks && { leaks }),
    })
  } else {
    print(terminal, found)
    if (found.pair) printPair(terminal, found.pair)
    if (shown && pair) printEvidence(terminal, shown.evidence, pair)
    if (leaks) printLeaks(terminal, leaks)
    printNext(terminal, logs, found)
  }
}

/** What the log can show of the pair. Throws `model_unknown`. */
async function evidenceFor(
  dataset: Dataset,
  pair: { readonly strong: string; readonly weak: string },
  seed: number,
  watch: Watch,
) {
  const { logEvidence } = await import('../../../../training/ope/log-evidence.ts')
  return logEvidence(dataset, pair, { seed, ...watch })
}

function printEvidence(
  terminal: Terminal,
  { counts, observational, refused, can, needed }: LogEvidence,
  { strong, weak }: { readonly strong: string; readonly weak: string },
): void {
  terminal.print('\nWhat this log can show of the two')
  terminal.print(
    `${count(counts.paired)} prompts with both scores, ${count(counts.strong_only)} with ${strong}’s only, ${count(counts.weak_only)} with ${weak}’s only, ${count(counts.votes_only)} with votes only`,
  )
  if (observational) {
    const { propensities, propensity_auc: auc, effective, regions } = observational
    terminal.print(
      `overlap: who was asked can be told from the prompt with AUC ${score(auc)} (.5 is chance; propensities ${propensities}); worth ${count(Math.floor(effective.strong))} answers of ${strong} and ${count(Math.floor(effective.weak))} of ${weak}`,
    )
    if (observational.response) {
      const { rated, unrated, auc, least } = observational.response
      terminal.print(
        `ratings: ${count(rated)} of ${count(rated + unrated)} prompts with one answer have one; which of them can be told with AUC ${score(auc)}, least probability ${least.toPrecision(2)}`,
      )
    }
    for (const region of regions) terminal.print(`no overlap: ${region}`)
  }
  const yes = (able: boolean): string => (able ? 'yes' : 'no')
  terminal.print(
    `can be trained on: ${yes(can.train)}; judged on: ${yes(can.judge)}; promised from: ${yes(can.promise)}`,
  )
  if (refused !== null) terminal.print(refused)
  for (const line of needed) terminal.print(`needed ${line}`)
}

function print(terminal: Terminal, found: Inspection): void {
  const { rows, counts, models, meetings, categories, judges, prompt_length: length } = found
  terminal.print(
    `${count(rows.read)} rows: ${count(rows.kept)} kept, ${count(rows.rejected)} refused, ${count(rows.duplicates)} met before`,
  )
  for (const [reason, left] of Object.entries(found.left_out)) {
    terminal.print(`${count(left)} answers left out: ${reason}`)
  }
  terminal.print(
    `${count(counts.prompts)} prompts: train ${count(counts.train)}, validation ${count(counts.validation)}, calibration ${count(counts.calibration)}, test ${count(counts.test)}`,
  )
  terminal.print(
    `prompt length in characters: 10% ${count(length.p10)}, median ${count(length.p50)}, 90% ${count(length.p90)}, longest ${count(length.max)}`,
  )
  const or = (value: number | null, show: (value: number) => string): string =>
    value === null ? '' : show(value)
  section(terminal, `${count(models.length)} models`, [
    ['model', 'scored', 'mean score', 'mean cost', 'tokens', 'votes', 'wins', 'losses', 'ties'],
    ...models.map((model) => [
      model.model,
      count(model.scored),
      or(model.score, score),
      or(model.cost, (cost) => cost.toPrecision(3)),
      or(model.tokens, (tokens) => count(Math.round(tokens))),
      ...[model.votes, model.wins, model.losses, model.ties].map(count),
    ]),
  ])
  section(terminal, `${count(meetings.length)} pairs compared on the same prompts`, [
    ['model', 'and', 'wins', 'losses', 'ties', 'both bad'],
    ...meetings.map(({ a, b, wins, losses, ties, both_bad }) => [
      a,
      b,
      ...[wins, losses, ties, both_bad].map(count),
    ]),
  ])
  section(terminal, `${count(categories.length)} categories`, [
    ['category', 'prompts'],
    ...categories.map(({ category, prompts }) => [category, count(prompts)]),
  ])
  section(terminal, `${count(judges.length)} judges`, [
    ['judge', 'votes'],
    ...judges.map(({ judge, votes }) => [judge, count(votes)]),
  ])
}

/** A table with its heading; if it is long, the rest is only counted. */
function section(terminal: Terminal, title: string, rows: readonly (readonly string[])[]): void {
  if (rows.length < 2) return
  terminal.print(`\n${title}`)
  terminal.print(table(rows.slice(0, ROWS_SHOWN + 1)))
  if (rows.length > ROWS_SHOWN + 1)
    terminal.print(`... and ${count(rows.length - ROWS_SHOWN - 1)} more (--json has all)`)
}

const share = (value: number): string => `${(100 * value).toFixed(1)}%`

function printPair(terminal: Terminal, pair: PairGain): void {
  const { gain, oracle, chance, by_split: by } = pair
  terminal.print(`\n${pair.strong} (strong) and ${pair.weak} (weak)`)
  terminal.print(
    `${count(pair.prompts)} prompts ${oracle ? 'with both' : 'that can be judged'}: train ${count(by.train)}, validation ${count(by.validation)}, calibration ${count(by.calibration)}, test ${count(by.test)}`,
  )
  const { strong_better, equal, weak_better } = pair
  if (strong_better !== null && equal !== null && weak_better !== null) {
    terminal.print(
      `strong better on ${share(strong_better)}, equal ${share(equal)}, weak better on ${share(weak_better)}`,
    )
  }
  const known = oracle
    ? `; a router that knew would gain ${score(oracle.gain)} with ${share(oracle.strong_share)} sent strong${oracle.apgr === null ? '' : ` (APGR ${score(oracle.apgr)})`}`
    : ''
  terminal.print(
    `all strong gains ${score(gain.value)} [${score(gain.low)}, ${score(gain.high)}] a prompt${known}`,
  )
  if (chance.test !== null)
    terminal.print(`guessing scores APGR .5 within ${score(chance.test)} on the test split`)
  terminal.print(pair.verdict)
}

function printLeaks(terminal: Terminal, { splits, examples }: LeakReport): void {
  section(terminal, 'held-out prompts that training has seen', [
    ['split', 'prompts', 'same text', 'same stem', 'near-duplicate'],
    ...Object.entries(splits).map(([split, { prompts, exact, normalised, near }]) => [
      split,
      ...[prompts, exact, normalised, near].map(count),
    ]),
  ])
  for (const { split, prompt, train, similarity } of examples) {
    terminal.print(
      `${split}, ${share(similarity)} alike:\n  ${oneLine(prompt)}\n  ${oneLine(train)}`,
    )
  }
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').slice(0, 110)

function printNext(terminal: Terminal, logs: readonly string[], found: Inspection): void {
  const [a, b] = found.models
  const strong = found.pair?.strong ?? a?.model
  const weak = found.pair?.weak ?? b?.model
  if (strong === undefined || weak === undefined) return
  const command = found.pair ? 'weir train' : 'weir data inspect'
  terminal.print(`\nNext: ${command} ${logs.join(' ')} --strong ${strong} --weak ${weak}`)
}

import type { Command } from 'commander'
import { definedOnly } from '../../../core/defined.ts'
import { WeirError } from '../../../core/errors.ts'
import { sideOf } from '../../../core/stats/intervals.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { PairGain } from '../../../data/inspect/pair-gain.ts'
import type { EvaluationReport } from '../../../training/evaluate/report/report.ts'
import { askPerson, keyboard, openTerminal, type Terminal } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { TRAIN_OPTIONS, type TrainFlags } from '../train-options.ts'

/** `weir train <logs...>`: from preference or outcome logs to a bundle. */
export const trainCommand = defineCommand({
  name: 'train',
  description: 'learn a router from preference or outcome logs and write it as a bundle',
  arguments: [['[logs...]', 'log files (.jsonl, .csv; .gz), or one dataset folder']],
  options: TRAIN_OPTIONS,
  examples: ['weir train data/sample/outcomes.jsonl.gz --strong big-1 --weak small-1 --name demo'],
  run,
})

async function run(named: readonly string[], given: TrainFlags, command: Command): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { assertPricedModels, contextOption, openFlaggedLogs, priceOption } = await import(
    '../log-options.ts'
  )
  const { openTrainEncoder, otherEncoders } = await import('../../../training/train-encoder.ts')
  const { AUTO, DEFAULT_MINUTES } = await import('../../../training/auto.ts')
  const { configured, judgeWeights, requiredPair, requireLogs, settingsOption } = await import(
    '../train-options.ts'
  )
  const { withJudgeWeights } = await import('../../../training/judge-weights.ts')
  const { logs, flags } = await configured(named, given, command)
  const terminal = openTerminal()
  const signal = interruptSignal()
  const { seed, threads, tune, keepText } = flags
  const hyperparameters = settingsOption(flags.set)
  const prices = await priceOption(flags.price)
  const judges = judgeWeights(flags.judgeWeight)
  const { samplePrompts } = await import('../../../data/dataset/take-prompts.ts')
  const open = async () => {
    const whole = await openFlaggedLogs(logs, flags, {
      seed,
      signal,
      onProgress: terminal.onProgress,
    })
    const part = samplePrompts(whole, flags.sample ?? Number.POSITIVE_INFINITY, seed)
    if (part === whole) return whole
    terminal.endProgress()
    const [used, all] = [part, whole].map(({ prompts }) => prompts.length.toLocaleString('en-US'))
    terminal.note(`Uses ${used} of the log's ${all} prompts, drawn at random (--sample)`)
    return part
  }
  if (flags.printConfig) {
    const { trainConfigText } = await import('../train-options.ts')
    const size = logs.length > 0 ? await open() : undefined
    const text = await trainConfigText(logs, flags, hyperparameters, size)
    terminal.endProgress()
    terminal.print(text)
    return
  }
  const { effortsOption, modelsOption, ruleOption } = await import('../rule-options.ts')
  const models = modelsOption(flags)
  const asked = models ? undefined : requiredPair(flags, logs)
  const choice = models && ruleOption(flags)
  requireLogs(logs)
  const all = withJudgeWeights(await open(), judges)
  const { modelRowsOf, modelsFound } = await import('../models-found.ts')
  const { modelSummaries } = await import('../../../data/inspect/inspect.ts')
  const found = modelsFound(modelRowsOf(modelSummaries(all)))
  terminal.endProgress()
  // before any work, so also before a refusal: it is no result
  terminal.note(`${found}\n`)
  assertPricedModels(flags.price, all.models)
  if (asked) await doubtOrder(all, asked, terminal)
  const { chooseModels } = await import('../../../training/choose-models.ts')
  const chosen = models && chooseModels(all, { ...flags, models, prices })
  const dataset = chosen?.dataset ?? all
  const pair = asked ?? { strong: chosen!.strong, weak: chosen!.weak }
  const { readRecipe } = await import('../recipe-file.ts')
  const recipe = await readRecipe(flags.recipe ?? 'auto')
  const { train } = await import('../../../training/train.ts')
  const watched = { onProgress: terminal.onProgress }
  const { encoder, besideLexical } = await openTrainEncoder(flags.encoder ?? 'lexical', watched)
  const compares = flags.router === AUTO
  const others = compares && flags.encoder === undefined ? otherEncoders(watched) : undefined
  if (compares) {
    const minutes = flags.minutes ?? DEFAULT_MINUTES
    terminal.note(
      `Compares routers for at most ${minutes} minutes, the last fit included (--minutes)`,
    )
  }
  const trained = await train(dataset, {
    ...(encoder && besideLexical !== undefined ? { encoder, besideLexical } : {}),
    ...pair,
    ...(choice ? { choice, efforts: effortsOption(flags.efforts) } : {}),
    router: flags.router,
    recipe,
    engine: flags.engine,
    out: flags.out,
    name: flags.name,
    seed,
    threads,
    hyperparameters,
    prices,
    ...definedOnly({
      ...{ tune, keepText, context: contextOption(flags.context) },
      weakSignals: flags.weakSignals,
      ...{ prefer: flags.prefer, minutes: flags.minutes, maxMs: flags.maxMs },
      ...{ encoders: others?.encoders, ood: flags.ood && { answer: flags.ood } },
      phrases: flags.phrases,
    }),
    signal,
    onProgress: terminal.onProgress,
  }).finally(async () => {
    await encoder?.encoder.close?.()
    await others?.close()
  })
  const { bundle, report, backend, auto, tuned, efforts, stopped, resumedAfter } = trained
  terminal.endProgress()
  const { counts } = dataset.manifest
  const { findLeaks } = await import('../../../data/inspect/leaks.ts')
  // a stopped run ends without looking for copies
  const leaks = counts.prompts <= MOST_SEARCHED && !stopped ? findLeaks(dataset).splits : undefined
  terminal.endProgress()
  if (flags.json) {
    terminal.json(
      definedOnly({
        ...report,
        leaks,
        choice: trained.choice,
        auto,
        tuned,
        reading: trained.reading,
        efforts,
        bundle: bundle.path,
        version: bundle.manifest.version,
      }),
    )
    return
  }
  terminal.print(
    `${counts.prompts} prompts: ${counts.train} train, ${counts.validation} validation, ${counts.calibration} calibration, ${counts.test} test`,
  )
  const {
    printAuto,
    printChosen,
    printEfforts,
    printReading,
    printReport,
    printSplits,
    printTuning,
  } = await import('../train-report.ts')
  printSplits(terminal, dataset.manifest, leaks)
  for (const search of tuned ?? []) printTuning(terminal, search)
  printReading(terminal, trained.reading)
  if (auto) printAuto(terminal, auto, flags)
  if (chosen) printChosen(terminal, chosen, definedOnly({ strong: flags.strong, weak: flags.weak }))
  for (const shared of efforts ?? []) printEfforts(terminal, shared)
  printReport(terminal, report)
  if (trained.choice) {
    const { renderFrontier } = await import('../../report/frontier-report.ts')
    terminal.print(renderFrontier(trained.choice))
  }
  terminal.print('')
  if (resumedAfter) {
    terminal.print(`Went on after epoch ${resumedAfter} of an earlier run that was ended.`)
  }
  if (stopped) terminal.print('Stopped early: this is the best so far.')
  terminal.print(`Bundle: ${bundle.path} (fitted by ${backend})`)
  const { describeRule } = await import('../../../models/bundle/choice-rule.ts')
  const next = `weir calibrate ${relative(bundle.path.replace(/\/[^/]+$/, ''))} ${logs.join(' ')}`
  terminal.print(
    chosen
      ? `Until it is calibrated: ${describeRule(bundle.manifest.choice!.rule)}. Next: ${next} --best-share 0.98`
      : `Until it is calibrated, ${sharesAsItIs(report)}. Next: ${next} --strong-share 0.3`,
  )
}

/** What goes strong at the threshold of a new router, as found on prompts it has not seen. */
function sharesAsItIs({ routers, rows }: EvaluationReport): string {
  const at = routers[0]?.operating
  if (!at || at.strong_share.value === null) return 'its threshold is the middle of its win rates'
  const [value, low, high] = [at.strong_share.value, at.strong_share.low, at.strong_share.high].map(
    (share) => `${(100 * (share ?? Number.NaN)).toFixed(1)}%`,
  )
  return `${value} [${low}, ${high}] of prompts go strong (on ${rows} held-out prompts)`
}

/**
 * Says before the fit that the log has the strong model clearly worse than the weak one, which is mostly a mix-up of
 * the two flags; where somebody is there to answer, asks whether it is meant.
 *
 * @throws option_invalid if it is not
 */
async function doubtOrder(
  dataset: Dataset,
  { strong, weak }: { readonly strong: string; readonly weak: string },
  terminal: Terminal,
): Promise<void> {
  const { pairGain } = await import('../../../data/inspect/pair-gain.ts')
  let found: PairGain
  try {
    found = pairGain(dataset, strong, weak)
  } catch (error) {
    // training says what is wrong with the labels
    if (error instanceof WeirError) return
    throw error
  }
  const { gain, oracle, prompts } = found
  // of estimated scores this interval knows only a part of the error
  if (oracle === null || sideOf(gain) !== 'below') return
  const by = `${gain.value.toFixed(3)} [${gain.low.toFixed(3)}, ${gain.high.toFixed(3)}]`
  terminal.note(
    `On ${prompts} prompts ${strong} is worse than ${weak}: ${by} (mean difference with its 95% interval). Are --strong and --weak mixed up?`,
  )
  if (!keyboard().present) return
  const said = await askPerson('Train with them as they are? [y/N] ')
  if (/^y(es)?$/i.test(said ?? '')) return
  throw new WeirError('option_invalid', {
    option: '--strong',
    expected: 'the better model',
    got: strong,
  })
}

/** In larger logs the search for copies takes longer than a fit; `weir data inspect --leaks` does it. */
const MOST_SEARCHED = 100_000

const relative = (path: string): string =>
  path.startsWith(`${process.cwd()}/`) ? path.slice(process.cwd().length + 1) : path

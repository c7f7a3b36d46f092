import { Command } from 'commander'
import type { OnProgress } from '../../../core/progress.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { BundleOptions } from '../../../training/calibrate/calibrate.ts'
import { openTerminal, type Terminal } from '../../terminal/terminal.ts'
import type { TargetFlags } from '../calibration-target.ts'
import { addLogFlags, addPairFlags, type LogFlags, type PairFlags } from '../data-flags.ts'

interface CalibrateFlags extends TargetFlags, LogFlags, PairFlags {
  readonly method?: string
  readonly price: readonly string[]
  readonly unlabelled: readonly string[]
  readonly targetPrompts: readonly string[]
  readonly targetTable?: boolean
  readonly report?: string
  readonly probabilities: boolean
  readonly seed: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

/** `weir calibrate <bundle> <logs...>`: a threshold that meets one stated target, in a new version. */
export function calibrateCommand(): Command {
  const command = new Command('calibrate')
    .description('choose the threshold that meets a target on rows the router has not seen')
    .argument('<bundle>', 'bundle folder, such as bundles/demo')
    .argument('[logs...]', 'log files (.jsonl, .csv; .gz), or one dataset folder')
    .option('--strong-share <share>', 'target: this share of prompts goes to the strong model')
    .option('--quality <pgr>', 'target: keep this share of the quality gap (PGR)')
    .option('--match <model>', 'target: match `strong`; needs --within')
    .option('--within <loss>', 'with --match: at most this far below always-strong')
    .option('--budget <usd>', 'target: at most this many US dollars per 1,000 requests')
    .option('--cost-per-1k <usd>', 'the same as --budget')
    .option(
      '--best-share <share>',
      'target of a router among many models: this share of the best one’s quality',
    )
    .option('--max-loss <loss>', 'target: a net quality loss against always-strong of at most this')
    .option(
      '--max-harm <share>',
      'target: this share of prompts that only strong gets right go weak',
    )
    .option('--target-table', 'the whole menu of shares, dollars and loss bounds; writes nothing')
    .option('--report <file>', 'with --target-table: write it as an HTML page too')
    .option('--confidence <level>', 'how sure the promise must be (0.9 for budgets and losses)')
    .option('--method <name>', 'a method by name, instead of the target’s default')
    .option(
      '--unlabelled <file>',
      'prompts of your own traffic to take shares on; repeatable',
      collect,
      [],
    )
    .option(
      '--target-prompts <file>',
      're-weight the rows towards these prompts; repeatable',
      collect,
      [],
    )
    .option(
      '--price <model=in/out>',
      'US dollars per million tokens, or prices.json; repeatable',
      collect,
      [],
    )
    .option('--no-probabilities', 'keep the probability calibration as it is')
    .option('--seed <number>', 'seed of the order in which rows are read', '1')
    .option('--dry-run', 'report only; write no new version')
  return addPairFlags(addLogFlags(command))
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  weir calibrate bundles/demo logs.jsonl --strong-share 0.3\n  weir calibrate bundles/demo logs.jsonl --max-loss 0.02 --confidence 0.9\n  weir calibrate bundles/many logs.jsonl --best-share 0.98',
    )
    .action(run)
}

async function run(bundle: string, logs: readonly string[], flags: CalibrateFlags): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { priceOption } = await import('../price-option.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const options = {
    prices: await priceOption(flags.price),
    seed,
    keepProbabilities: !flags.probabilities,
    ...watch,
  }
  const { hasRule } = await import('../../../models/bundle/read.ts')
  const decision = (await hasRule(bundle)) ? 'rule' : 'threshold'
  if (flags.targetTable && decision === 'threshold') {
    await showMenu(terminal, bundle, logs, flags, options)
    return
  }
  const { readTarget } = await import('../calibration-target.ts')
  const { calibrate } = await import('../../../training/calibrate/calibrate.ts')
  const { calibrationJson, printCalibration } = await import('../calibration-report.ts')
  const target = readTarget(flags, decision)
  if (logs.length === 0 && !(flags.unlabelled.length > 0 && target.kind === 'strong-share')) {
    await refuseNoLogs()
  }
  const { readPrompts } = await import('../../../data/prompt-log.ts')
  const prompts = (paths: readonly string[]) =>
    paths.length > 0 ? readPrompts(paths, options.signal) : undefined
  const dataset = logs.length > 0 ? await openLabelled(logs, flags, options) : undefined
  const unlabelled = await prompts(flags.unlabelled)
  const targetPrompts = (await prompts(flags.targetPrompts))?.prompts
  const result = await calibrate(
    bundle,
    { dataset, unlabelled, targetPrompts },
    {
      ...options,
      target,
      method: flags.method,
      dryRun: flags.dryRun,
      date: new Date().toISOString(),
    },
  )
  terminal.endProgress()
  if (flags.json) terminal.json(calibrationJson(result))
  else printCalibration(terminal, bundle, result)
}

type Options = Omit<BundleOptions, 'signal' | 'onProgress'> & {
  readonly signal: AbortSignal
  readonly onProgress: OnProgress
}

async function showMenu(
  terminal: Terminal,
  bundle: string,
  logs: readonly string[],
  flags: CalibrateFlags,
  options: Options,
): Promise<void> {
  const { confidenceOption } = await import('../calibration-target.ts')
  const { bundleMenu } = await import('../../../training/calibrate/calibrate.ts')
  const { printMenu } = await import('../calibration-report.ts')
  if (logs.length === 0) await refuseNoLogs()
  const confidence = confidenceOption(flags.confidence) ?? 0.9
  const dataset = await openLabelled(logs, flags, options)
  const { menu, rows } = await bundleMenu(bundle, dataset, { ...options, confidence })
  terminal.endProgress()
  if (flags.report) {
    const { writeMenuReport } = await import('../../report/menu-report.ts')
    await writeMenuReport(flags.report, bundle, menu, rows)
  }
  if (flags.json) terminal.json({ ...menu, n: rows.rows.winRate.length, data: rows.data })
  else printMenu(terminal, `weir calibrate ${[bundle, ...logs].join(' ')}`, menu, rows)
}

async function openLabelled(
  logs: readonly string[],
  flags: CalibrateFlags,
  { seed, signal, onProgress }: Options,
): Promise<Dataset> {
  const { openFlaggedLogs } = await import('../logs.ts')
  return openFlaggedLogs(logs, flags, { seed, signal, onProgress })
}

async function refuseNoLogs(): Promise<never> {
  const { WeirError } = await import('../../../core/errors.ts')
  throw new WeirError('option_invalid', {
    option: '<logs...>',
    expected:
      'a log with outcomes or preferences (only --strong-share with --unlabelled needs none)',
    got: 'none',
  })
}

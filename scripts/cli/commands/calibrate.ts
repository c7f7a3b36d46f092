import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import { assertWritable } from '../../../core/files.ts'
import type { OnProgress } from '../../../core/progress.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { CalibrationMap } from '../../../models/calibration-map.ts'
import type { BundleOptions } from '../../../training/calibrate/calibrate.ts'
import { openTerminal, type Terminal } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../bundle-access.ts'
import { TARGET_OPTIONS } from '../calibration-target.ts'
import { defineCommand } from '../command.ts'
import {
  jsonOption,
  LOG_OPTIONS,
  METHOD_OPTION,
  PAIR_OPTIONS,
  PRICE_OPTION,
  seedOption,
} from '../log-options.ts'
import { type Flags, optionTable, Switch, Text, TextByName, Texts } from '../options.ts'

const { escalateShare: _, confidence, ...TARGETS } = TARGET_OPTIONS
const OPTIONS = optionTable({
  ...TARGETS,
  targetTable: {
    flag: '--target-table',
    schema: Switch,
    help: 'print a table of thresholds with their shares, dollars and loss bounds; write no version',
    section: TARGETS.budget.section,
  },
  report: {
    flag: '--report <file>',
    schema: Text,
    writes: 'file',
    help: 'with --target-table: also write the table as an HTML page',
  },
  confidence,
  method: METHOD_OPTION,
  unlabelled: {
    flag: '--unlabelled <file>',
    schema: Texts,
    help: 'prompts of your own traffic, on which shares are measured',
  },
  targetPrompts: {
    flag: '--target-prompts <file>',
    schema: Texts,
    help: 'prompts towards which the rows are re-weighted',
  },
  price: PRICE_OPTION,
  secondUsd: {
    flag: '--second-usd <dollars>',
    schema: Type.Number({ minimum: 0 }),
    help: 'what a second of waiting counts as, beside dollars: in budgets, costs and the served rule',
  },
  seconds: {
    flag: '--seconds <model=seconds>',
    schema: TextByName,
    help: 'with --second-usd: how long an answer of a model takes; one for each model',
    check: (text) => void parseSeconds(text),
  },
  probabilities: {
    flag: '--no-probabilities',
    schema: Switch,
    help: 'keep the probability calibration as it is',
  },
  seed: seedOption('seed of the order in which rows are read'),
  dryRun: { flag: '--dry-run', schema: Switch, help: 'report only; write no new version' },
  ...LOG_OPTIONS,
  ...PAIR_OPTIONS,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the result'),
})
type CalibrateFlags = Flags<typeof OPTIONS>

/** `weir calibrate <bundle> <logs...>`: a threshold that meets one stated target, in a new version. */
export const calibrateCommand = defineCommand({
  name: 'calibrate',
  description: 'choose the threshold that meets a target on rows the router has not seen',
  arguments: [
    ['<bundle>', 'bundle folder, such as bundles/demo'],
    ['[logs...]', 'log files (.jsonl, .csv; .gz), or one dataset folder'],
  ],
  options: OPTIONS,
  examples: [
    'weir calibrate bundles/demo logs.jsonl --strong-share 0.3',
    'weir calibrate bundles/demo logs.jsonl --max-loss 0.02 --confidence 0.9',
    'weir calibrate bundles/many logs.jsonl --best-share 0.98',
  ],
  run,
})

async function run(bundle: string, logs: readonly string[], flags: CalibrateFlags): Promise<void> {
  const { priceOption } = await import('../log-options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const options = {
    openRouter: (path: string, calibration: CalibrationMap) =>
      openRouter(path, flags, { calibration }),
    prices: await priceOption(flags.price),
    waiting: waitingOf(flags),
    seed: flags.seed,
    keepProbabilities: !flags.probabilities,
    ...watch,
  }
  const { hasRule } = await import('../../../models/bundle/read.ts')
  // the new version is written beside the one that is calibrated
  if (!flags.dryRun && !flags.targetTable) await assertWritable(bundle, 'folder')
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
  const { contextOfBundles } = await import('../../../models/bundle/read.ts')
  const keys = await contextOfBundles([bundle])
  const prompts = (paths: readonly string[]) =>
    paths.length > 0 ? readPrompts(paths, options.signal, keys) : undefined
  const dataset = logs.length > 0 ? await openLabelled(bundle, logs, flags, options) : undefined
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

function parseSeconds(text: string): [model: string, seconds: number] {
  const at = text.lastIndexOf('=')
  const seconds = Number(text.slice(at + 1))
  if (at < 1 || text.length === at + 1 || !Number.isFinite(seconds) || seconds < 0) {
    throw new WeirError('option_invalid', {
      option: '--seconds',
      expected: 'model=seconds, such as gpt-4o=2.5',
      got: text,
    })
  }
  return [text.slice(0, at), seconds]
}

function waitingOf({ seconds, secondUsd }: CalibrateFlags): BundleOptions['waiting'] {
  if (secondUsd === undefined && seconds.length === 0) return undefined
  if (secondUsd === undefined || seconds.length === 0) {
    throw new WeirError('option_invalid', {
      option: secondUsd === undefined ? '--second-usd' : '--seconds',
      expected: '--second-usd and --seconds together',
      got: 'one of them',
    })
  }
  return { secondUsd, seconds: new Map(seconds.map(parseSeconds)) }
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
  const { bundleMenu } = await import('../../../training/calibrate/calibrate.ts')
  const { printMenu } = await import('../calibration-report.ts')
  if (logs.length === 0) await refuseNoLogs()
  const { confidence = 0.9 } = flags
  const dataset = await openLabelled(bundle, logs, flags, options)
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
  bundle: string,
  logs: readonly string[],
  flags: CalibrateFlags,
  { seed, signal, onProgress }: Options,
): Promise<Dataset> {
  const { assertPricedModels, openFlaggedLogs } = await import('../log-options.ts')
  const dataset = await openFlaggedLogs(logs, flags, { seed, signal, onProgress }, [bundle])
  assertPricedModels(flags.price, dataset.models)
  return dataset
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

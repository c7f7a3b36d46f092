import { definedOnly } from '../../../../core/defined.ts'
import type { LearnResult } from '../../../../training/loop/learn.ts'
import { openTerminal } from '../../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../../bundle-access.ts'
import { TARGET_OPTIONS } from '../../calibration-target.ts'
import { defineCommand } from '../../command.ts'
import {
  jsonOption,
  KEY_SHARE_OPTION,
  LOCK_OPTION,
  LOG_OPTIONS,
  STORE_OPTION,
  withRouterLock,
} from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'
import { TRAIN_OPTIONS } from '../../train-options.ts'

const { escalateShare: _, bestShare: __, costPer1k: ___, ...TARGETS } = TARGET_OPTIONS
const { router, encoder, engine, seed, threads, set, tune, weakSignals } = TRAIN_OPTIONS
const OPTIONS = optionTable({
  name: {
    flag: '--name <name>',
    schema: Text,
    required: true,
    help: 'name of the router that served and is learned again',
  },
  over: {
    flag: '--over <bundle>',
    schema: Text,
    unset: 'bundles/<name>',
    help: 'the NAME folder that serves',
  },
  out: {
    flag: '--out <dir>',
    schema: Text,
    writes: 'folder',
    default: 'next',
    help: 'folder for the new bundle; not the one that serves',
  },
  store: STORE_OPTION,
  lock: LOCK_OPTION,
  keyShare: KEY_SHARE_OPTION,
  ...TARGETS,
  ...{ router, encoder, engine, seed, threads, set, tune, weakSignals },
  maxRejects: LOG_OPTIONS.maxRejects,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the result'),
})

/** `weir learn <log> --name demo`: one turn of the learning loop on served traffic. */
export const learnCommand = defineCommand({
  name: 'learn',
  description:
    'learn a router again from the traffic it served: train, calibrate, value it, and say what to promote',
  arguments: [['<log>', 'decision log with feedback: a folder of segments, or one segment']],
  options: OPTIONS,
  notes: `The log must hold the prompts (weir serve --log-text full) and come from a server with exploration. The
new router is calibrated for the same target as the one that served unless a target is given, and valued
(weir ope) on the requests that it was not made from. Nothing is promoted.`,
  examples: ['weir learn logs --name demo', 'weir learn logs --name demo --strong-share 0.3'],
  run,
})

async function run(log: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { name, lock } = flags
  await withRouterLock(lock, name, interruptSignal(), (signal) => learned(log, flags, signal))
}

async function learned(
  log: string,
  flags: Flags<typeof OPTIONS>,
  signal: AbortSignal,
): Promise<void> {
  const { WeirError } = await import('../../../../core/errors.ts')
  const { join, resolve } = await import('node:path')
  const { openDatasetOrLogs } = await import('../../../../data/ingest.ts')
  const { openFeedbackStore } = await import('../../../../records/feedback/open-store.ts')
  const { openTrainEncoder } = await import('../../../../training/train-encoder.ts')
  const { learn } = await import('../../../../training/loop/learn.ts')
  const { settingsOption } = await import('../../train-options.ts')
  const { readTarget } = await import('../../calibration-target.ts')
  const terminal = openTerminal()
  const { onProgress } = terminal
  const { name, out, seed, threads, tune, keyShare, maxRejects } = flags
  const serving = flags.over ?? `bundles/${name}`
  if (resolve(out, name) === resolve(serving)) {
    throw new WeirError('option_invalid', {
      option: '--out',
      expected: `another folder than that of the router that serves (${serving})`,
      got: out,
    })
  }
  const asked = Object.keys(TARGETS).some(
    (key) => key !== 'confidence' && key !== 'within' && key in flags,
  )
  const target = asked ? readTarget(flags, 'threshold') : undefined
  const store = flags.store === undefined ? undefined : await openFeedbackStore(flags.store)
  const feedback = store && (() => store.read(signal))
  try {
    const dataset = await openDatasetOrLogs([log], {
      ...definedOnly({ feedback: feedback?.(), maxRejects, keyShare }),
      seed,
      signal,
      onProgress,
      onNote: terminal.note,
    })
    const made = await openTrainEncoder(flags.encoder ?? 'lexical', { onProgress })
    const { router, engine } = flags
    const result = await learn(dataset, {
      ...made,
      ...{ log, serving, name, out, router, engine, seed, threads, signal, onProgress },
      hyperparameters: settingsOption(flags.set),
      ...definedOnly({ feedback, target, tune, keyShare, weakSignals: flags.weakSignals }),
      load: (path) => openRouter(path, flags),
      date: new Date().toISOString(),
    }).finally(() => made.encoder?.encoder.close?.())
    terminal.endProgress()
    if (flags.json) terminal.json(resultJson(result))
    else await print(terminal, result, { log, serving, candidate: join(out, name) })
  } finally {
    await store?.close()
  }
}

function resultJson({ trained, calibrated, target, report, candidate }: LearnResult): object {
  return {
    candidate,
    version: calibrated.bundle?.manifest.version,
    trained: trained.report,
    target,
    threshold: calibrated.threshold,
    certificate: calibrated.certificate,
    over_served: report,
  }
}

async function print(
  terminal: ReturnType<typeof openTerminal>,
  { trained, calibrated, report }: LearnResult,
  { log, serving, candidate }: Readonly<Record<'log' | 'serving' | 'candidate', string>>,
): Promise<void> {
  const { printReport } = await import('../../train-report.ts')
  const { printCalibration } = await import('../../calibration-report.ts')
  const { renderOpe } = await import('./ope.ts')
  printReport(terminal, trained.report)
  terminal.print(`\nCalibrated: ${candidate}`)
  printCalibration(terminal, candidate, calibrated)
  terminal.print('\nAgainst what served, on requests that it was not made from')
  terminal.print(renderOpe(report, log, candidate, { serving }))
}

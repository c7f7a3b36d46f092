import type { DriftResult } from '../../../training/calibrate/drift-bundle.ts'
import { count, openTerminal, score, type Terminal, table } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, LOG_OPTIONS, seedOption } from '../log-options.ts'
import { type Flags, optionTable, Switch, Texts } from '../options.ts'

const OPTIONS = optionTable({
  reference: {
    flag: '--reference <log>',
    schema: Texts,
    help: 'log with the calibration prompts, for the test on embeddings',
  },
  recalibrate: {
    flag: '--recalibrate',
    schema: Switch,
    help: 'write a version whose threshold gives recent traffic the calibrated share again',
  },
  seed: seedOption('seed of the classifier’s folds'),
  ...LOG_OPTIONS,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the result'),
})

/** `weir drift <bundle> <prompts...>`: has traffic moved away from the bundle's calibration data? */
export const driftCommand = defineCommand({
  name: 'drift',
  description: 'compare recent traffic with what a bundle was calibrated on; needs no outcomes',
  arguments: [
    ['<bundle>', 'a calibrated bundle, such as bundles/demo'],
    ['<prompts...>', 'recent prompts: files with a column prompt or messages (.jsonl, .csv; .gz)'],
  ],
  options: OPTIONS,
  examples: ['weir drift bundles/demo last-week.jsonl --reference logs.jsonl'],
  run,
})

async function run(
  bundle: string,
  paths: readonly string[],
  flags: Flags<typeof OPTIONS>,
): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs } = await import('../log-options.ts')
  const { readPrompts } = await import('../../../data/prompt-log.ts')
  const { driftOfBundle } = await import('../../../training/calibrate/drift-bundle.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const { seed } = flags
  const { contextOfBundles } = await import('../../../models/bundle/read.ts')
  const keys = await contextOfBundles([bundle])
  const { prompts, sources } = await readPrompts(paths, watch.signal, keys)
  const result = await driftOfBundle(bundle, prompts, {
    openRouter: (path) => openRouter(path, flags),
    seed,
    ...(flags.reference.length > 0 && {
      reference: await openFlaggedLogs(flags.reference, flags, { seed, ...watch }, [bundle]),
    }),
    ...(flags.recalibrate && { recalibrate: { date: new Date().toISOString(), sources } }),
    ...watch,
  })
  terminal.endProgress()
  if (flags.json) {
    const { bundle: written, ...report } = result
    terminal.json({
      ...report,
      ...(written && { bundle: written.path, version: written.manifest.version }),
    })
  } else print(terminal, bundle, paths, result)
}

const share = (x: number): string => `${(100 * x).toFixed(1)}%`
const chance = (p: number): string => (p < 0.001 ? 'p < .001' : `p = ${score(p)}`)
const VERDICTS: Readonly<Record<DriftResult['verdict'], string>> = {
  stable: 'Stable: recent prompts look like the calibration prompts.',
  moderate: 'Some shift: keep an eye on it; shares below are of recent prompts.',
  shifted:
    'Shifted: the mix is not the one this was calibrated on; bounds on quality no longer hold.',
}

function print(
  terminal: Terminal,
  bundle: string,
  paths: readonly string[],
  { rows, psi, ks, classifier, share: shares, recalibrated, verdict, bundle: written }: DriftResult,
): void {
  terminal.print(`${count(rows)} recent prompts`)
  terminal.print(
    table([
      ['test', 'value', 'reading'],
      ['win rates, PSI', score(psi), 'under .1 stable, over .25 shifted'],
      ['win rates, KS distance', score(ks.statistic), chance(ks.p)],
      ...(classifier
        ? [
            [
              'embeddings, classifier AUC',
              score(classifier.statistic),
              `.5 is alike; ${chance(classifier.p)}`,
            ],
          ]
        : []),
    ]),
  )
  terminal.print(VERDICTS[verdict])
  const { now, calibrated } = shares
  terminal.print(
    `Strong calls: ${share(now.value)} [${share(now.low)}, ${share(now.high)}] of recent prompts, ${share(calibrated)} when calibrated`,
  )
  const again = `threshold ${recalibrated.threshold.toFixed(4)} gives ${share(recalibrated.share.value)}`
  const next = written
    ? `weir serve ${bundle}`
    : verdict === 'stable'
      ? 'nothing to do'
      : `weir drift ${bundle} ${paths.join(' ')} --recalibrate`
  terminal.print(`For the calibrated share again: ${again}. Next: ${next}`)
}

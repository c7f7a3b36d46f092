import { Command } from 'commander'
import type { DriftResult } from '../../../training/calibrate/drift-bundle.ts'
import { count, openTerminal, score, type Terminal, table } from '../../terminal/terminal.ts'
import { addLogFlags, type LogFlags } from '../data-flags.ts'

interface DriftFlags extends LogFlags {
  readonly reference: readonly string[]
  readonly recalibrate?: boolean
  readonly seed: string
  readonly json?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

/** `weir drift <bundle> <prompts...>`: has traffic moved away from what the bundle was calibrated on? */
export function driftCommand(): Command {
  const command = new Command('drift')
    .description('compare recent traffic with what a bundle was calibrated on; needs no outcomes')
    .argument('<bundle>', 'a calibrated bundle, such as bundles/demo')
    .argument(
      '<prompts...>',
      'recent prompts: files with a column prompt or messages (.jsonl, .csv; .gz)',
    )
    .option(
      '--reference <log>',
      'a log with the calibration prompts, for the test on embeddings; repeatable',
      collect,
      [],
    )
    .option('--recalibrate', 'write a version that gives recent traffic the calibrated share again')
    .option('--seed <number>', 'seed of the classifier’s folds', '1')
  return addLogFlags(command)
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  weir drift bundles/demo last-week.jsonl --reference logs.jsonl',
    )
    .action(run)
}

async function run(bundle: string, paths: readonly string[], flags: DriftFlags): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs } = await import('../logs.ts')
  const { readPrompts } = await import('../../../data/prompt-log.ts')
  const { driftOfBundle } = await import('../../../training/calibrate/drift-bundle.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const { prompts, sources } = await readPrompts(paths, watch.signal)
  const result = await driftOfBundle(bundle, prompts, {
    seed,
    ...(flags.reference.length > 0 && {
      reference: await openFlaggedLogs(flags.reference, flags, { seed, ...watch }),
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

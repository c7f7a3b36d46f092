import { Command } from 'commander'
import type { CascadeCalibration } from '../../../training/calibrate/calibrate-cascade.ts'
import type { CascadeLog } from '../../../training/calibrate/cascade-log.ts'
import { count, openTerminal, type Terminal } from '../../terminal/terminal.ts'
import { expectedTable, printPromise } from '../calibration-report.ts'
import type { TargetFlags } from '../calibration-target.ts'

interface CascadeFlags extends TargetFlags {
  readonly check?: string
  readonly model?: string
  readonly method?: string
  readonly seed: string
  readonly json?: boolean
}

/** `weir calibrate-cascade <log>`: the threshold of a cascade's check that meets one stated target. */
export function calibrateCascadeCommand(): Command {
  return new Command('calibrate-cascade')
    .description('choose the threshold of a cascade’s check, from its scores in a log')
    .argument('<log>', 'what weir serve --log wrote, or JSONL of {score, weak, strong}')
    .option('--escalate-share <share>', 'target: this share of answers is escalated')
    .option('--quality <pgr>', 'target: keep this share of the quality gap (PGR)')
    .option('--match <model>', 'target: match `strong`; needs --within')
    .option('--within <loss>', 'with --match: at most this far below always-strong')
    .option('--budget <usd>', 'target: at most this many US dollars per 1,000 requests')
    .option('--max-loss <loss>', 'target: a net quality loss against always-strong of at most this')
    .option(
      '--max-harm <share>',
      'target: this share of requests that only strong gets right is kept',
    )
    .option('--confidence <level>', 'how sure the promise must be (0.9 for budgets and losses)')
    .option('--method <name>', 'a method by name, instead of the target’s default')
    .option('--check <name>', 'the check, where the log has scores of several')
    .option('--model <name>', 'the model whose answers were checked, where there are several')
    .option('--seed <number>', 'seed of the order in which rows are read', '1')
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  weir calibrate-cascade logs --escalate-share 0.3\n  weir calibrate-cascade rows.jsonl --quality 0.95 --confidence 0.9',
    )
    .action(run)
}

async function run(path: string, flags: CascadeFlags): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { readTarget } = await import('../calibration-target.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { readCascadeLog } = await import('../../../training/calibrate/cascade-log.ts')
  const { calibrateCascade } = await import('../../../training/calibrate/calibrate-cascade.ts')
  const terminal = openTerminal()
  const { check, model, method } = flags
  const target = readTarget(flags, 'cascade')
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const log = await readCascadeLog(path, { check, model, signal: interruptSignal() })
  const result = calibrateCascade(log.rows, {
    target,
    seed,
    method,
  })
  if (flags.json) {
    const { threshold = null, ...rest } = result
    terminal.json({ check: log.check ?? null, threshold, unscored: log.unscored, ...rest })
  } else print(terminal, log, result)
}

function print(terminal: Terminal, log: CascadeLog, result: CascadeCalibration): void {
  const { threshold, expected, certificate, used, unlabelled, grid } = result
  const left = [
    ...(unlabelled > 0 ? [`${count(unlabelled)} without an outcome of both models`] : []),
    ...(grid > 0 ? [`${count(grid)} set aside for the grid`] : []),
    ...(log.unscored > 0 ? [`${count(log.unscored)} without a score`] : []),
  ]
  const which = log.check === undefined ? 'rows' : `scores of the check ${log.check}`
  terminal.print(
    `${count(used)} ${which}${left.length > 0 ? `; left out: ${left.join(', ')}` : ''}`,
  )
  terminal.print(expectedTable(expected, 'escalated'))
  printPromise(terminal, certificate)
  terminal.print(
    threshold === undefined
      ? 'Every answer must be escalated for that: leave the weak model out, or ask for less.'
      : `Next: threshold: ${threshold} in the policy's check${log.check === undefined ? '' : ` ${log.check}`}, then weir policy check`,
  )
}

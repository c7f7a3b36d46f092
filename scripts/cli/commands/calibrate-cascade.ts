import type { CascadeCalibration } from '../../../training/calibrate/calibrate-cascade.ts'
import type { CascadeLog } from '../../../training/calibrate/cascade-log.ts'
import { count, openTerminal, type Terminal } from '../../terminal/terminal.ts'
import { expectedTable, printPromise } from '../calibration-report.ts'
import { TARGET_OPTIONS } from '../calibration-target.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, METHOD_OPTION, seedOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const { strongShare: _1, costPer1k: _2, bestShare: _3, ...TARGETS } = TARGET_OPTIONS
const OPTIONS = optionTable({
  ...TARGETS,
  method: METHOD_OPTION,
  check: {
    flag: '--check <name>',
    schema: Text,
    help: 'the check, where the log has scores of several checks',
  },
  model: {
    flag: '--model <name>',
    schema: Text,
    help: 'the model whose answers were checked, where there are several',
  },
  seed: seedOption('seed of the order in which rows are read'),
  json: jsonOption('the result'),
})

/** `weir calibrate-cascade <log>`: the threshold of a cascade's check that meets one stated target. */
export const calibrateCascadeCommand = defineCommand({
  name: 'calibrate-cascade',
  description: 'choose the threshold of a cascade’s check, from its scores in a log',
  arguments: [['<log>', 'what weir serve --log wrote, or JSONL of {score, weak, strong}']],
  options: OPTIONS,
  examples: [
    'weir calibrate-cascade logs --escalate-share 0.3',
    'weir calibrate-cascade rows.jsonl --quality 0.95 --confidence 0.9',
  ],
  run,
})

async function run(path: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { readTarget } = await import('../calibration-target.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { readCascadeLog } = await import('../../../training/calibrate/cascade-log.ts')
  const { calibrateCascade } = await import('../../../training/calibrate/calibrate-cascade.ts')
  const terminal = openTerminal()
  const { check, model, method, seed } = flags
  const target = readTarget(flags, 'cascade')
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

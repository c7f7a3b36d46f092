import { describeRule } from '../../models/bundle/choice-rule.ts'
import type { CalibratedChoiceBundle } from '../../training/choice/calibrate-choice-bundle.ts'
import { type ChoiceTarget, describeChoiceTarget } from '../../training/choice/choice-target.ts'
import { roundDollars as dollars, percent as share, units } from '../report/number-format.ts'
import { count, percent, type Terminal } from '../terminal/terminal.ts'
import { expectedTable } from './calibration-report.ts'

/** What `weir calibrate --json` prints of a router among many models. */
export function choiceCalibrationJson({
  bundle,
  data: _,
  ...result
}: CalibratedChoiceBundle): object {
  return { ...result, ...(bundle && { bundle: bundle.path, version: bundle.manifest.version }) }
}

/** The rule, what it is expected to do, what is promised, and the next command. */
export function printChoiceCalibration(
  terminal: Terminal,
  path: string,
  target: ChoiceTarget,
  result: CalibratedChoiceBundle,
): void {
  const { expected, bound, method, assumptions, promise, data, models, bundle } = result
  const left = Object.entries(data.left_out).filter(([, rows]) => rows > 0)
  const leftOut = left.map(([part, rows]) => `${count(rows)} ${WHY[part] ?? part}`).join(', ')
  terminal.print(
    `${count(result.n)} prompts to calibrate on${leftOut ? `; left out: ${leftOut}` : ''}`,
  )
  terminal.print(
    expectedTable([
      ['quality', expected.quality, units],
      ['of the best model’s', expected.best_share, share],
      ['net loss', expected.loss, units],
      ['gap kept (PGR)', expected.pgr, share],
      ['per 1,000 calls', expected.usd_per_1k, dollars],
    ]),
  )
  const asked = models
    .map((model, k) => ({ model, part: expected.shares[k]! }))
    .filter(({ part }) => part > 0)
    .sort((a, b) => b.part - a.part)
  terminal.print(`Asked: ${asked.map(({ model, part }) => `${model} ${percent(part)}`).join(', ')}`)
  if (bound) {
    const lower = bound.quantity === 'PGR' || bound.quantity.startsWith('share')
    const sure = bound.confidence === undefined ? '' : ` at ${share(bound.confidence)} confidence`
    terminal.print(
      `Promised: ${bound.quantity} ${lower ? 'at least' : 'at most'} ${Number(bound.value.toPrecision(6))}${sure} (${method})`,
    )
  }
  for (const assumption of assumptions) {
    terminal.print(promise === 'estimate' ? `This is ${assumption}` : `  if ${assumption}`)
  }
  terminal.print(`Dollars: ${result.cost_basis}`)
  const next = bundle ? `weir serve ${path}` : 'the same without --dry-run'
  terminal.print(`For ${describeChoiceTarget(target)}: ${describeRule(result.rule)}. Next: ${next}`)
}

const WHY: Readonly<Record<string, string>> = {
  train: 'trained on',
  validation: 'validated on',
  copies: 'copies of those',
  test: 'kept for evaluate',
  grid: 'set aside for the grid',
  incomplete: 'without an outcome of every candidate',
}

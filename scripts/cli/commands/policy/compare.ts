import { sideOf } from '../../../../core/stats/intervals.ts'
import type { Mean } from '../../../replay/policy-compare.ts'
import { count, openTerminal, score, table } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption } from '../../log-options.ts'
import { type Flags, optionTable } from '../../options.ts'

const OPTIONS = optionTable({ json: jsonOption('the comparison') })

/** `weir policy compare <log>`: compares the policies that shared a gateway's requests. */
export const policyCompareCommand = defineCommand({
  name: 'compare',
  description: 'compare the policies that shared a gateway’s requests: cost, feedback, routes',
  arguments: [['<decision-log>', 'folder or file that weir serve --log wrote']],
  options: OPTIONS,
  examples: ['weir policy compare logs'],
  run,
})

async function run(path: string, options: Flags<typeof OPTIONS>): Promise<void> {
  const { comparePolicies } = await import('../../../replay/policy-compare.ts')
  const { readRequests } = await import('../../../replay/rows.ts')
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const terminal = openTerminal()
  const result = comparePolicies(await readRequests(path, interruptSignal()))
  if (options.json) {
    terminal.json(result)
    return
  }
  const { arms, agreed, differences } = result
  if (arms.length === 0) {
    terminal.print(
      `no request in ${path} was decided by a policy (gateway.policy or gateway.policies)`,
    )
    return
  }
  terminal.print(
    table([
      ['policy', 'requests', 'units', 'errors', 'US dollars', 'rated', 'score', 'weighted'],
      ...arms.map((arm) => [
        arm.policy,
        count(arm.requests),
        count(arm.units),
        count(arm.errors),
        dollars(arm.usd, arm.priced),
        count(arm.rated),
        shown(arm.score),
        shown(arm.weighted),
      ]),
    ]),
  )
  for (const { policy, routes } of arms) {
    terminal.print(`\n${policy}`)
    terminal.print(
      table([
        ['step', 'rule', 'first asked', 'requests', 'US dollars', 'score'],
        ...routes.map(({ step, rule, model, requests, usd, score: mean }) => [
          step,
          rule ?? '',
          model,
          count(requests),
          usd.toFixed(4),
          mean === undefined ? '' : score(mean),
        ]),
      ]),
    )
  }
  if (arms.length > 1) {
    terminal.print('')
    for (const { policy, against, ...mean } of differences) {
      const open = sideOf(mean) === 'open' ? ', not clear of 0' : ''
      terminal.print(`${policy} less ${against}: ${shown(mean)}${open}`)
    }
    terminal.note(
      `${count(agreed)} rated requests would have gone to the same model under every policy, and count for each`,
    )
  }
  const few = arms.filter(({ units }) => units < 30)
  if (few.length > 0) {
    const names = few.map(({ policy }) => policy).join(', ')
    terminal.note(`fewer than 30 sessions or keys for ${names}: their intervals are too narrow`)
  }
}

const dollars = (usd: number, priced: number): string => (priced === 0 ? '' : usd.toFixed(4))

const shown = (mean: Mean | undefined): string =>
  mean === undefined
    ? ''
    : Number.isFinite(mean.low)
      ? `${score(mean.value)} [${score(mean.low)}, ${score(mean.high)}]`
      : `${score(mean.value)} [one unit]`

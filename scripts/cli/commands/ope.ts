import { Command } from 'commander'
import type { PartialInterval } from '../../../core/stats/intervals.ts'
import type { LogPolicyReport } from '../../../training/ope/log-policy.ts'
import { count, openTerminal, percent, score, table } from '../../terminal/terminal.ts'

interface OpeFlags {
  readonly policy: string
  readonly store?: string
  readonly strongPrice?: string
  readonly json?: boolean
}

/** `weir ope <log> --policy bundle[@threshold]`: what another router would have earned on served traffic. */
export function opeCommand(): Command {
  return new Command('ope')
    .description('value a router on logged traffic that another one served')
    .argument('<log>', 'decision log with feedback: a folder of segments, or one')
    .requiredOption('--policy <bundle[@threshold]>', 'the router to value')
    .option('--store <where>', 'feedback kept elsewhere: postgres://... or a folder')
    .option('--strong-price <score>', 'score units that a strong call is charged (default 0)')
    .option('--json', 'print the report as one JSON object')
    .addHelpText(
      'after',
      `
Needs a log served with exploration or a split (propensities below 1). Another router than the one that
served needs the prompts (weir serve --log-text full); another threshold of the same one does not.

Example:
  weir ope logs --policy bundles/next@0.62`,
    )
    .action(run)
}

async function run(log: string, flags: OpeFlags): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { policyOption } = await import('../policy-option.ts')
  const { loadRouter } = await import('../../../models/router.ts')
  const { evaluateOnLog } = await import('../../../training/ope/log-policy.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const { path, threshold } = await policyOption(flags.policy)
  const { numberOption } = await import('../options.ts')
  const strongPrice = numberOption('--strong-price', flags.strongPrice, { min: 0, max: 1 })
  const { openFeedbackStore } = await import('../../../records/feedback/open-store.ts')
  const store = flags.store === undefined ? undefined : await openFeedbackStore(flags.store)
  const router = await loadRouter(path)
  try {
    const report = await evaluateOnLog(log, router, {
      threshold,
      strongPrice,
      ...(store ? { feedback: store.read(signal) } : {}),
      signal,
      onProgress: terminal.onProgress,
    })
    terminal.endProgress()
    if (flags.json) terminal.json(report)
    else terminal.print(render(report, log, path))
  } finally {
    await router.close()
    await store?.close()
  }
}

function render(report: LogPolicyReport, log: string, bundle: string): string {
  const { router, counts } = report
  const line = (name: string, { value, low, high }: PartialInterval): string[] => [
    name,
    score(value!),
    `${score(low!)} to ${score(high!)}`,
  ]
  const { low, high } = report.over_served
  const verdict =
    low! > 0
      ? `Better than what served. Next: weir promote ${bundle} --over SERVING --log ${log}`
      : high! < 0
        ? 'Worse than what served.'
        : 'Not told apart from what served: log more, or explore more.'
  return [
    `${router.name} ${router.version} at ${score(router.threshold)} on ${count(report.rows)} outcomes of ${count(counts.decisions)} decisions: ${percent(report.strong_share)} strong`,
    `worth ${count(Math.floor(report.effective))} outcomes; agrees with what was done on ${percent(report.agreement)}; weights cut on ${(100 * report.clipped).toFixed(1)}%`,
    ...(counts.left_out + counts.orphaned + counts.torn + counts.invalid > 0
      ? [
          `left out: ${counts.left_out} of other models, ${counts.orphaned} feedback without a decision, ${counts.torn} cut-off and ${counts.invalid} unreadable lines`,
        ]
      : []),
    '',
    table([
      ['estimate', 'value', '95% interval'],
      line('doubly robust', report.doubly_robust),
      line('SNIPS', report.snips),
      line('direct method', report.direct),
      line('as served', report.served),
      line('over what served', report.over_served),
    ]),
    '',
    verdict,
  ].join('\n')
}

import { definedOnly } from '../../../core/defined.ts'
import type { PartialInterval } from '../../../core/stats/intervals.ts'
import type { LogPolicyReport } from '../../../training/ope/log-policy.ts'
import { count, openTerminal, percent, score, table } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, KEY_SHARE_OPTION, STORE_OPTION } from '../log-options.ts'
import { type Flags, optionTable, Share, Text } from '../options.ts'

const OPTIONS = optionTable({
  policy: {
    flag: '--policy <bundle[@threshold]>',
    schema: Text,
    required: true,
    help: 'the router to value, at its own threshold or the given one',
  },
  store: STORE_OPTION,
  strongPrice: {
    flag: '--strong-price <score>',
    schema: Share,
    unset: '0',
    help: 'score units that each strong call is charged',
  },
  keyShare: KEY_SHARE_OPTION,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the report'),
})

/** `weir ope <log> --policy bundle[@threshold]`: what another router would have earned on served traffic. */
export const opeCommand = defineCommand({
  name: 'ope',
  description: 'estimate what a router would have earned on logged traffic that another one served',
  arguments: [['<log>', 'decision log with feedback: a folder of segments, or one segment']],
  options: OPTIONS,
  notes: `The log must come from a server with exploration or a split (propensities below 1). To value
a router other than the one that served, the log must also hold the prompts (weir serve --log-text full).
Another threshold of the same router needs no prompts.`,
  examples: ['weir ope logs --policy bundles/next@0.62'],
  run,
})

async function run(log: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { evaluateOnLog } = await import('../../../training/ope/log-policy.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const { path, threshold } = await policyOption(flags.policy)
  const { openFeedbackStore } = await import('../../../records/feedback/open-store.ts')
  const store = flags.store === undefined ? undefined : await openFeedbackStore(flags.store)
  const router = await openRouter(path, flags)
  try {
    const report = await evaluateOnLog(log, router, {
      threshold,
      strongPrice: flags.strongPrice,
      keyShare: flags.keyShare,
      ...definedOnly({ feedback: store?.read(signal) }),
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
    ...report.limited_keys.map(
      ({ key, rated, counted }) =>
        `key ${key}: ${count(counted)} of the ${count(rated)} decisions that it rated count (--key-share)`,
    ),
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

/** `bundle` or `bundle@threshold`; if a folder of the whole name exists, it is that folder. */
async function policyOption(
  text: string,
): Promise<{ path: string; threshold: number | undefined }> {
  const { stat } = await import('node:fs/promises')
  const { numberOption } = await import('../options.ts')
  const at = text.lastIndexOf('@')
  const whole = await stat(text).then(
    () => true,
    () => false,
  )
  if (at <= 0 || whole) return { path: text, threshold: undefined }
  const range = { min: 0, max: 1 }
  return {
    path: text.slice(0, at),
    threshold: numberOption('the threshold of --policy', text.slice(at + 1), range),
  }
}

import { definedOnly } from '../../../../core/defined.ts'
import { type PartialInterval, sideOf } from '../../../../core/stats/intervals.ts'
import type { LogPolicyReport } from '../../../../training/ope/log-policy.ts'
import type { ResponseReport } from '../../../../training/ope/response-weights.ts'
import { count, openTerminal, percent, score, table } from '../../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../../bundle-access.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, KEY_SHARE_OPTION, STORE_OPTION } from '../../log-options.ts'
import { type Flags, optionTable, Share, Text } from '../../options.ts'

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
    unset: 'what the log’s threshold implies',
    help: 'score units that each strong call is charged; 0 values quality alone',
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
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { evaluateOnLog } = await import('../../../../training/ope/log-policy.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const { path, threshold } = await policyOption(flags.policy)
  const { openFeedbackStore } = await import('../../../../records/feedback/open-store.ts')
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
    else terminal.print(renderOpe(report, log, path, { otherThreshold: threshold !== undefined }))
  } finally {
    await router.close()
    await store?.close()
  }
}

interface Naming {
  /** the folder that serves, if it is known */
  readonly serving?: string
  /** whether the threshold that was valued is not the bundle's own */
  readonly otherThreshold?: boolean
}

/** The estimates of `weir ope`, with the verdict and the commands that come next. */
export function renderOpe(
  report: LogPolicyReport,
  log: string,
  bundle: string,
  naming: Naming,
): string {
  const { router, counts, strong_price: price } = report
  const line = (name: string, { value, low, high }: PartialInterval): string[] => [
    name,
    score(value!),
    `${score(low!)} to ${score(high!)}`,
  ]
  return [
    `${router.name} ${router.version} at ${score(router.threshold)} on ${count(report.rows)} outcomes of ${count(counts.decisions)} decisions: ${percent(report.strong_share)} strong, where ${percent(report.served_strong_share)} were`,
    price > 0
      ? `each strong call is charged ${score(price)} score units in all values (--strong-price; 0 values quality alone)`
      : 'strong calls are not charged: these are values of quality alone (--strong-price)',
    `worth ${count(Math.floor(report.effective))} outcomes; agrees with what was done on ${percent(report.agreement)}; weights cut on ${(100 * report.clipped).toFixed(1)}%`,
    ...(counts.seen + counts.left_out + counts.orphaned + counts.torn + counts.invalid > 0
      ? [
          `left out: ${counts.seen} that the router was made from, ${counts.left_out} of other models, ${counts.orphaned} feedback without a decision, ${counts.torn} cut-off and ${counts.invalid} unreadable lines`,
        ]
      : []),
    ...(report.response ? [responseLine(report.response)] : []),
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
      ...(price > 0 ? [line('the same, quality alone', report.quality_over_served)] : []),
    ]),
    '',
    ...verdictOf(report, log, bundle, naming),
  ].join('\n')
}

/** What is assumed where only some decisions are rated. */
const responseLine = ({ rated, unrated, auc, least, rare, assumption }: ResponseReport): string =>
  [
    `rated: ${count(rated)} of ${count(rated + unrated)} (${percent(rated / (rated + unrated))}); each rating stands for the decisions like it (who rates is estimated: AUC ${auc.toFixed(2)}, least probability ${least.toPrecision(2)}), which assumes that ${assumption}`,
    ...(rare > 0
      ? [`${count(rare)} ratings are left out: decisions like theirs are hardly ever rated`]
      : []),
  ].join('\n')

/** What the estimate says, and the commands that come next. */
function verdictOf(
  { over_served: over, strong_price: price, strong_share: share, router }: LogPolicyReport,
  log: string,
  bundle: string,
  { serving = 'SERVING', otherThreshold }: Naming,
): string[] {
  const side = sideOf(over)
  if (side === 'below') return ['Worse than what served.']
  if (side === 'open') return ['Not told apart from what served: log more, or explore more.']
  const promote = `weir promote ${bundle} --over ${serving} --log ${log} --strong-price ${score(price)}`
  if (!otherThreshold) {
    return [
      `Better than what served. Next, at its threshold of ${score(router.threshold)}:`,
      `  ${promote}`,
    ]
  }
  // promotion takes a bundle as it is, so the threshold has to be in it
  return [
    `Better than what served. Next, to put a threshold of about ${score(router.threshold)} into the bundle and promote it:`,
    `  weir calibrate ${bundle} ${log} --strong-share ${score(share)}`,
    `  ${promote}`,
  ]
}

/** `bundle` or `bundle@threshold`; if a folder of the whole name exists, it is that folder. */
async function policyOption(
  text: string,
): Promise<{ path: string; threshold: number | undefined }> {
  const { stat } = await import('node:fs/promises')
  const { numberOption } = await import('../../options.ts')
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

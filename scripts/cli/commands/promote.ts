import { Command } from 'commander'
import type { Promotion } from '../../../training/loop/promote.ts'
import { openTerminal, table } from '../../terminal/terminal.ts'
import { addLogFlags, type LogFlags } from '../data-flags.ts'

interface PromoteFlags extends LogFlags {
  readonly over: string
  readonly data: readonly string[]
  readonly log?: string
  readonly store?: string
  readonly golden?: string
  readonly to?: string
  readonly share?: string
  readonly atOnce?: boolean
  readonly strongPrice?: string
  readonly json?: boolean
}

const often = (value: string, before: readonly string[]): string[] => [...before, value]

/** `weir promote <candidate> --over <serving>`: one stage further, once every gate lets it through. */
export function promoteCommand(): Command {
  const command = new Command('promote')
    .description('take a new bundle to shadow, canary and all, each behind the same gates')
    .argument('<candidate>', 'the new bundle, trained under the same --name into another --out')
    .requiredOption('--over <bundle>', 'the NAME folder that serves, such as bundles/demo')
    .option('--data <log>', 'held-out outcomes; repeatable', often, [])
    .option('--log <log>', 'decision log with feedback, served with exploration')
    .option('--store <where>', 'feedback on --log kept elsewhere: postgres://... or a folder')
    .option('--golden <file>', 'prompts with the model they must go to')
    .option('--to <stage>', 'shadow, canary or all; else the next one')
    .option('--share <share>', 'share of the sessions of a canary (default 0.05)')
    .option('--at-once', 'skip the stages in between')
    .option('--strong-price <score>', 'what a strong call must gain; else as the serving threshold')
  return addLogFlags(command)
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      `
Gates: the same name and pair, the same certified promise, graph and folded head alike, golden prompts,
and a net value over the serving router whose 95% interval is above 0. A server with --watch follows.

Example:
  weir promote next/demo --over bundles/demo --log logs --golden golden.jsonl`,
    )
    .action(run)
}

async function run(candidate: string, flags: PromoteFlags): Promise<void> {
  const { choiceOption, numberOption } = await import('../options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs } = await import('../logs.ts')
  const { promote, STAGES } = await import('../../../training/loop/promote.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const to = flags.to === undefined ? undefined : choiceOption('--to', flags.to, STAGES)
  const share = numberOption('--share', flags.share, { min: 0.001, max: 0.5 })
  const strongPrice = numberOption('--strong-price', flags.strongPrice, { min: 0, max: 1 })
  const outcomes =
    flags.data.length > 0
      ? await openFlaggedLogs(flags.data, flags, {
          seed: 1,
          signal,
          onProgress: terminal.onProgress,
        })
      : undefined
  terminal.endProgress()
  if (flags.store !== undefined && flags.log === undefined) {
    const { WeirError } = await import('../../../core/errors.ts')
    const expected = '--log, whose decisions it is about, beside it'
    throw new WeirError('option_invalid', { option: '--store', expected, got: 'none' })
  }
  const { openFeedbackStore } = await import('../../../records/feedback/open-store.ts')
  const store = flags.store === undefined ? undefined : await openFeedbackStore(flags.store)
  const result = await promote(candidate, flags.over, {
    ...(store ? { feedback: () => store.read(signal) } : {}),
    ...(outcomes ? { outcomes } : {}),
    ...(flags.log === undefined ? {} : { log: flags.log }),
    ...(flags.golden === undefined ? {} : { golden: flags.golden }),
    ...(to === undefined ? {} : { to }),
    ...(share === undefined ? {} : { share }),
    ...(strongPrice === undefined ? {} : { strongPrice }),
    atOnce: flags.atOnce ?? false,
    signal,
  }).finally(() => store?.close())
  if (flags.json) terminal.json(result)
  else terminal.print(render(result, candidate, flags.over))
}

function render({ stage, version, serving, gates }: Promotion, path: string, over: string): string {
  const next =
    stage === 'all'
      ? `${version} serves now, in place of ${serving}. Back: weir rollback ${over}`
      : `${version} is at ${stage}; ${serving} serves. Next: weir promote ${path} --over ${over} --log LOG, or weir rollback ${over}`
  return [
    table([['gate', 'found'], ...gates.map(({ gate, found }) => [gate, found])]),
    '',
    next,
  ].join('\n')
}

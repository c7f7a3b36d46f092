import Type from 'typebox'
import { definedOnly } from '../../../../core/defined.ts'
import type { Promotion, Stage } from '../../../../training/loop/promote.ts'
import { openTerminal, table } from '../../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter, signersOf } from '../../bundle-access.ts'
import { defineCommand } from '../../command.ts'
import {
  jsonOption,
  LOCK_OPTION,
  LOG_OPTIONS,
  STORE_OPTION,
  withRouterLock,
} from '../../log-options.ts'
import { type Flags, oneOf, optionTable, Share, Switch, Text, Texts } from '../../options.ts'

const OPTIONS = optionTable({
  over: {
    flag: '--over <bundle>',
    schema: Text,
    required: true,
    help: 'the NAME folder that serves, such as bundles/demo',
  },
  data: { flag: '--data <log>', schema: Texts, help: 'log of held-out outcomes' },
  log: {
    flag: '--log <log>',
    schema: Text,
    help: 'decision log with feedback, served with exploration',
  },
  store: STORE_OPTION,
  golden: {
    flag: '--golden <file>',
    schema: Text,
    help: 'prompts with the model they must go to',
  },
  to: {
    flag: '--to <stage>',
    schema: oneOf(['shadow', 'canary', 'all'] satisfies readonly Stage[]),
    help: 'shadow, canary or all',
    unset: 'the next stage',
  },
  share: {
    flag: '--share <share>',
    schema: Type.Number({ minimum: 0.001, maximum: 0.5 }),
    unset: '0.05',
    help: 'share of the sessions that a canary serves',
  },
  atOnce: { flag: '--at-once', schema: Switch, help: 'skip the stages in between' },
  strongPrice: {
    flag: '--strong-price <score>',
    schema: Share,
    unset: 'what the serving threshold implies',
    help: 'score units that each strong call must gain',
  },
  lock: LOCK_OPTION,
  ...LOG_OPTIONS,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the result'),
})

/** `weir promote <candidate> --over <serving>`: promotes by one stage, if every gate passes. */
export const promoteCommand = defineCommand({
  name: 'promote',
  description: 'move a new bundle to the next stage (shadow, canary, all) if it passes the gates',
  arguments: [
    ['<candidate>', 'the new bundle, trained under the same --name into another --out folder'],
  ],
  options: OPTIONS,
  notes: `Gates: the same name and pair, the same certified promise, an ONNX graph that agrees with the folded
head, golden prompts, and a net value over the serving router whose 95% interval is above 0. A server
that runs with --watch loads the promoted bundle.`,
  examples: ['weir promote next/demo --over bundles/demo --log logs --golden golden.jsonl'],
  run,
})

async function run(candidate: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { over, lock } = flags
  await withRouterLock(lock, over, interruptSignal(), (signal) =>
    promoted(candidate, flags, signal),
  )
}

async function promoted(
  candidate: string,
  flags: Flags<typeof OPTIONS>,
  signal: AbortSignal,
): Promise<void> {
  const { openFlaggedLogs } = await import('../../log-options.ts')
  const { promote } = await import('../../../../training/loop/promote.ts')
  const terminal = openTerminal()
  const { log, golden, to, share, strongPrice, keyShare } = flags
  const outcomes =
    flags.data.length > 0
      ? await openFlaggedLogs(
          flags.data,
          flags,
          {
            seed: 1,
            signal,
            onProgress: terminal.onProgress,
          },
          [candidate, ...(flags.over === undefined ? [] : [flags.over])],
        )
      : undefined
  terminal.endProgress()
  if (flags.store !== undefined && flags.log === undefined) {
    const { WeirError } = await import('../../../../core/errors.ts')
    const expected = '--log, whose decisions it is about, beside it'
    throw new WeirError('option_invalid', { option: '--store', expected, got: 'none' })
  }
  const { openFeedbackStore } = await import('../../../../records/feedback/open-store.ts')
  const store = flags.store === undefined ? undefined : await openFeedbackStore(flags.store)
  const result = await promote(candidate, flags.over, {
    load: (path) => openRouter(path, flags),
    ...definedOnly({ feedback: store && (() => store.read(signal)), outcomes }),
    ...definedOnly({ log, golden, to, share, strongPrice, keyShare }),
    signers: signersOf(flags),
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

import Type from 'typebox'
import { definedOnly } from '../../../core/defined.ts'
import { openTerminal } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, encoderAccess, signersOf } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, LOG_OPTIONS, PRICE_OPTION, seedOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const OPTIONS = optionTable({
  strong: {
    flag: '--strong <model>',
    schema: Text,
    help: 'the log’s name for the strong model, where it differs from the bundle’s',
  },
  weak: { flag: '--weak <model>', schema: Text, help: 'the log’s name for the weak model' },
  replicates: {
    flag: '--replicates <number>',
    schema: Type.Integer({ minimum: 50, maximum: 100_000 }),
    default: 1000,
    help: 'bootstrap replicates for the difference of APGR',
  },
  price: PRICE_OPTION,
  seed: seedOption('seed of the bootstrap'),
  ...LOG_OPTIONS,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the difference'),
})

/** `weir diff <old> <new> <logs...>`: the prompts whose route changes, with the change in cost and quality. */
export const diffCommand = defineCommand({
  name: 'diff',
  description: 'compare two bundles on a log: which prompts change route, at what cost and gain',
  arguments: [
    ['<old>', 'bundle folder, such as bundles/demo/5f0c...'],
    ['<new>', 'bundle folder'],
    ['<logs...>', 'log files (.jsonl, .csv; .gz), or one dataset folder'],
  ],
  options: OPTIONS,
  examples: ['weir diff bundles/old bundles/new logs.jsonl > diff.md'],
  run,
})

async function run(
  before: string,
  after: string,
  logs: readonly string[],
  flags: Flags<typeof OPTIONS>,
): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs, priceOption } = await import('../log-options.ts')
  const { diffBundles } = await import('../../../training/evaluate/diff-bundles.ts')
  const terminal = openTerminal()
  const { strong, weak, seed, replicates } = flags
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const prices = await priceOption(flags.price)
  const dataset = await openFlaggedLogs(logs, flags, { seed, ...watch }, [before, after])
  const diff = await diffBundles(before, after, dataset, {
    ...definedOnly({ strong, weak }),
    seed,
    replicates,
    encoderAccess: encoderAccess(flags),
    signers: signersOf(flags),
    prices,
    ...watch,
  })
  terminal.endProgress()
  if (flags.json) terminal.json(diff)
  else {
    const { renderDiff } = await import('../../report/markdown-diff.ts')
    terminal.print(renderDiff(diff))
  }
}

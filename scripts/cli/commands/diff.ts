import { Command } from 'commander'
import { openTerminal } from '../../terminal/terminal.ts'
import { addLogFlags, type LogFlags } from '../data-flags.ts'

interface DiffFlags extends LogFlags {
  readonly strong?: string
  readonly weak?: string
  readonly replicates?: string
  readonly price: readonly string[]
  readonly seed: string
  readonly json?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

/** `weir diff <old> <new> <logs...>`: which prompts change route, what that costs and what it gains. */
export function diffCommand(): Command {
  const command = new Command('diff')
    .description('compare two bundles on a log: which prompts change route, at what cost and gain')
    .argument('<old>', 'bundle folder, such as bundles/demo/5f0c...')
    .argument('<new>', 'bundle folder')
    .argument('<logs...>', 'log files (.jsonl, .csv; .gz), or one dataset folder')
    .option('--strong <model>', 'the log’s name for the strong model, where the bundle’s differs')
    .option('--weak <model>', 'the log’s name for the weak model')
    .option('--replicates <number>', 'bootstrap replicates for the difference of APGR', '1000')
    .option(
      '--price <model=in/out>',
      'US dollars per million tokens, or prices.json; repeatable',
      collect,
      [],
    )
    .option('--seed <number>', 'seed of the bootstrap', '1')
  return addLogFlags(command)
    .option('--json', 'print the difference as one JSON object')
    .addHelpText('after', '\nExample:\n  weir diff bundles/old bundles/new logs.jsonl > diff.md')
    .action(run)
}

async function run(
  before: string,
  after: string,
  logs: readonly string[],
  flags: DiffFlags,
): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { priceOption } = await import('../price-option.ts')
  const { openFlaggedLogs } = await import('../logs.ts')
  const { diffBundles } = await import('../../../training/evaluate/diff-bundles.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const range = { min: 50, max: 100_000, integer: true }
  const replicates = numberOption('--replicates', flags.replicates, range)
  const prices = await priceOption(flags.price)
  const dataset = await openFlaggedLogs(logs, flags, { seed, ...watch })
  const diff = await diffBundles(before, after, dataset, {
    ...(flags.strong && { strong: flags.strong }),
    ...(flags.weak && { weak: flags.weak }),
    seed,
    replicates,
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

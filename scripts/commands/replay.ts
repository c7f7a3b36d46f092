import { Command } from 'commander'
import { count, openTerminal, table } from '../terminal.ts'

/** `weir replay <decision-log> --threshold 0.4`: what would have changed, in routes and dollars. */
export function replayCommand(): Command {
  return new Command('replay')
    .description('say what another threshold would have changed in a decision log')
    .argument('<decision-log>', 'folder or file that weir serve --log wrote')
    .requiredOption('--threshold <number>', 'the threshold to try')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExample:\n  weir replay logs --threshold 0.4')
    .action(run)
}

async function run(
  path: string,
  options: { readonly threshold: string; readonly json?: boolean },
): Promise<void> {
  const { readDecisionLog } = await import('../../models/decision-log/read.ts')
  const { numberOption } = await import('../options.ts')
  const { replay } = await import('../replay.ts')
  const threshold = numberOption('--threshold', options.threshold, { min: 0, max: 1 })!
  const terminal = openTerminal()
  const result = await replay(readDecisionLog(path), threshold)
  if (options.json) {
    terminal.json(result)
    return
  }
  const { before, after, usdBefore, usdAfter } = result
  const models = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  terminal.print(
    table([
      ['model', 'before', 'after'],
      ...models.map((model) => [model, count(before[model] ?? 0), count(after[model] ?? 0)]),
    ]),
  )
  terminal.print(`${count(result.changed)} of ${count(result.decisions)} decisions change`)
  if (result.untouched > 0) terminal.note(`${count(result.untouched)} have no win rate to replay`)
  if (usdBefore === undefined || usdAfter === undefined) {
    terminal.note('no dollars: the log’s feedback has no cost_usd for some of these models')
  } else terminal.print(`$${usdBefore.toFixed(4)} before, $${usdAfter.toFixed(4)} after`)
}

import { Command } from 'commander'
import type { CalibrateResult } from '../../training/calibrate/calibrate-bundle.ts'
import type { Interval } from '../../training/calibrate/interval.ts'
import type { Target } from '../../training/calibrate/target.ts'
import { count, openTerminal, type Terminal, table } from '../terminal.ts'

interface CalibrateFlags {
  readonly strongShare?: string
  readonly quality?: string
  readonly match?: string
  readonly within?: string
  readonly budget?: string
  readonly maxLoss?: string
  readonly maxHarm?: string
  readonly confidence?: string
  readonly method?: string
  readonly price: readonly string[]
  readonly seed: string
  readonly dryRun?: boolean
  readonly format?: string
  readonly maxRejects?: string
  readonly json?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

/** `weir calibrate <bundle> <logs...>`: a threshold that meets one stated target, in a new version. */
export function calibrateCommand(): Command {
  return new Command('calibrate')
    .description('choose the threshold that meets a target on rows the router has not seen')
    .argument('<bundle>', 'bundle folder, such as bundles/demo')
    .argument('<logs...>', 'log files (.jsonl, .csv; .gz), or one dataset folder')
    .option('--strong-share <share>', 'target: this share of prompts goes to the strong model')
    .option('--quality <pgr>', 'target: keep this share of the quality gap (PGR)')
    .option('--match <model>', 'target: match `strong`; needs --within')
    .option('--within <loss>', 'with --match: at most this far below always-strong')
    .option('--budget <usd>', 'target: at most this many US dollars per 1,000 requests')
    .option('--max-loss <loss>', 'target: a net quality loss against always-strong of at most this')
    .option(
      '--max-harm <share>',
      'target: this share of prompts that only strong gets right go weak',
    )
    .option('--confidence <level>', 'how sure the promise must be (0.9 for budgets and losses)')
    .option('--method <name>', 'a method by name, instead of the target’s default')
    .option('--price <model=in/out>', 'US dollars per million tokens; repeatable', collect, [])
    .option('--seed <number>', 'seed of the order in which rows are read', '1')
    .option('--dry-run', 'report only; write no new version')
    .option('--format <format>', 'the logs’ layout, instead of recognising it')
    .option('--max-rejects <share>', 'stop when more of the rows are bad', '0.01')
    .option('--json', 'print the result as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  weir calibrate bundles/demo logs.jsonl --strong-share 0.3\n  weir calibrate bundles/demo logs.jsonl --max-loss 0.02 --confidence 0.9',
    )
    .action(run)
}

async function run(bundle: string, logs: readonly string[], flags: CalibrateFlags): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { parsePrice } = await import('../key-value.ts')
  const { interruptSignal } = await import('../interrupt.ts')
  const { openLogs } = await import('../logs.ts')
  const { readTarget } = await import('../calibration-target.ts')
  const { calibrateBundle } = await import('../../training/calibrate/calibrate-bundle.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const target = readTarget(flags)
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const maxRejects = numberOption('--max-rejects', flags.maxRejects, { min: 0, max: 1 })
  const prices = new Map(flags.price.map((pair) => parsePrice('--price', pair)))
  const dataset = await openLogs(logs, { seed, maxRejects, format: flags.format, ...watch })
  const result = await calibrateBundle(bundle, dataset, {
    target,
    prices,
    seed,
    ...(flags.method && { method: flags.method }),
    ...(flags.dryRun && { dryRun: true }),
    date: new Date().toISOString(),
    ...watch,
  })
  terminal.endProgress()
  if (flags.json) terminal.json(asJson(result))
  else await printResult(terminal, bundle, target, result)
}

function asJson({ bundle, name, threshold, expected, certificate }: CalibrateResult): object {
  return {
    name,
    threshold,
    expected,
    certificate,
    ...(bundle && { bundle: bundle.path, version: bundle.manifest.version }),
  }
}

async function printResult(
  terminal: Terminal,
  path: string,
  target: Target,
  { threshold, expected, certificate, data, bundle }: CalibrateResult,
): Promise<void> {
  const { describeTarget } = await import('../../training/calibrate/target.ts')
  const left = Object.entries(data.left_out).filter(([, rows]) => rows > 0)
  const why: Record<string, string> = {
    train: 'trained on',
    validation: 'validated on',
    test: 'kept for evaluate',
    grid: 'set aside for the grid',
  }
  const leftOut = left.map(([part, rows]) => `${count(rows)} ${why[part] ?? part}`).join(', ')
  terminal.print(
    `${count(certificate.n)} prompts to calibrate on${leftOut ? `; left out: ${leftOut}` : ''}`,
  )
  const line = (name: string, interval: Interval | undefined, format: (x: number) => string) =>
    interval
      ? [[name, format(interval.value), `[${format(interval.low)}, ${format(interval.high)}]`]]
      : []
  const share = (x: number): string => `${(100 * x).toFixed(1)}%`
  const units = (x: number): string => x.toFixed(4)
  terminal.print(
    table([
      ['expected', '', '95% interval'],
      ...line('strong calls', expected.share, share),
      ...line('quality', expected.quality, units),
      ...line('net loss', expected.loss, units),
      ...line('gap kept (PGR)', expected.pgr, share),
      ...line('$ per 1,000', expected.dollars, units),
    ]),
  )
  const { bound, promise, method, assumptions } = certificate
  if (bound) {
    const sure =
      bound.confidence === undefined ? 'in expectation' : `at ${share(bound.confidence)} confidence`
    const side = bound.quantity === 'PGR' ? 'at least' : 'at most'
    terminal.print(
      `Promised: ${bound.quantity} ${side} ${Number(bound.value.toPrecision(6))} ${sure} (${method})`,
    )
  }
  if (promise !== 'estimate' || target.kind !== 'strong-share') {
    for (const assumption of assumptions) terminal.print(`  ${bound ? 'if ' : ''}${assumption}`)
  }
  if (certificate.cost_basis) terminal.print(`Dollars: ${certificate.cost_basis}`)
  const next = bundle ? `weir serve ${path}` : `the same without --dry-run`
  terminal.print(`For ${describeTarget(target)}: threshold ${threshold.toFixed(4)}. Next: ${next}`)
}

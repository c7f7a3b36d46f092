import { Command } from 'commander'
import { definedOnly } from '../../../core/defined.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { Grouping } from '../../../training/evaluate/log/prompt-origins.ts'
import type { EvaluationReport } from '../../../training/evaluate/report/report.ts'
import { openTerminal } from '../../terminal/terminal.ts'
import { addLogFlags, addPairFlags, type LogFlags, type PairFlags } from '../data-flags.ts'

interface EvaluateFlags extends LogFlags, PairFlags {
  readonly strong?: string
  readonly weak?: string
  readonly report?: string
  readonly replicates?: string
  readonly price: readonly string[]
  readonly seed: string
  readonly json?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

/** `weir evaluate <bundles...> <logs...>`: routers side by side on prompts that none of them has seen. */
export function evaluateCommand(): Command {
  const command = new Command('evaluate')
    .description('judge one or more routers on logs they have not seen, beside the free baselines')
    .argument('<bundles...> <logs...>', 'bundle folders, then log files (.jsonl, .csv; .gz)')
    .option(
      '--strong <model>',
      'another pair of the bundle’s models, or the log’s names for its pair',
    )
    .option('--weak <model>', 'with --strong')
    .option('--report <file>', 'also write the report as one HTML file')
    .option('--replicates <number>', 'bootstrap replicates (1000; 200 past 200,000 prompts)')
    .option(
      '--price <model=in/out>',
      'US dollars per million tokens, or prices.json; repeatable',
      collect,
      [],
    )
    .option('--seed <number>', 'seed of the bootstrap and the random baselines', '1')
  return addPairFlags(addLogFlags(command))
    .option('--json', 'print the report as one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  weir evaluate bundles/demo data/sample/outcomes.jsonl.gz --report report.html\n  weir evaluate bundles/mf bundles/classifier logs.jsonl --json',
    )
    .action(run)
}

async function run(inputs: readonly string[], flags: EvaluateFlags): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { priceOption } = await import('../price-option.ts')
  const { openFlaggedLogs } = await import('../logs.ts')
  const { splitInputs } = await import('../bundle-inputs.ts')
  const { evaluate } = await import('../../../training/evaluate/evaluate.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const replicates = numberOption('--replicates', flags.replicates, {
    min: 50,
    max: 100_000,
    integer: true,
  })
  const prices = await priceOption(flags.price)
  const { bundles, logs } = await splitInputs(inputs)
  const { hasRule } = await import('../../../models/bundle/read.ts')
  if (flags.report !== undefined && !(flags.strong || flags.weak) && (await hasRule(bundles[0]!))) {
    await refuseReport(flags.report)
  }
  const dataset = await openFlaggedLogs(logs, flags, { seed, ...watch })
  const groupings = await originsOf(logs, dataset, flags, watch.signal)
  const report = await evaluate(bundles, dataset, {
    ...definedOnly({ strong: flags.strong, weak: flags.weak }),
    seed,
    replicates,
    prices,
    groupings,
    sources: sourcesOf(groupings, dataset),
    details: true,
    latency: true,
    ...watch,
  })
  terminal.endProgress()
  if (!('pair' in report)) {
    const { renderFrontiers } = await import('../../report/frontier-report.ts')
    if (flags.json) terminal.json(report)
    else terminal.print(renderFrontiers(report, `weir calibrate ${bundles[0]} ${logs.join(' ')}`))
    return
  }
  if (flags.report) {
    const { writeHtmlReport } = await import('../../report/html-report.ts')
    await writeHtmlReport(flags.report, report)
  }
  if (flags.json) terminal.json(withoutCharts(report))
  else {
    const { renderReport } = await import('../../report/terminal-report.ts')
    terminal.print(renderReport(report))
    if (flags.report) terminal.print(`Report: ${flags.report}`)
    terminal.print(nextStep(bundles[0]!, logs, report))
  }
}

async function refuseReport(got: string): Promise<never> {
  const { WeirError } = await import('../../../core/errors.ts')
  const expected = 'it with --strong and --weak: routers among many models have no HTML report'
  throw new WeirError('option_invalid', { option: '--report', expected, got })
}

/** Slices by file and time, where the logs are files that can be read once more. */
async function originsOf(
  logs: readonly string[],
  dataset: Dataset,
  flags: EvaluateFlags,
  signal: AbortSignal,
): Promise<Grouping[]> {
  const files = dataset.manifest.sources.map(({ path }) => path)
  // a dataset folder stands for files that may be gone, and standard input can't be read again
  if (!logs.every((path) => files.includes(path)) || logs.includes('-')) return []
  const { readOptions } = await import('../data-flags.ts')
  const { promptOrigins } = await import('../../../training/evaluate/log/prompt-origins.ts')
  return promptOrigins(files, dataset, { ...readOptions(flags), signal })
}

/** The SHA-256 of each prompt's file, where there are several. */
function sourcesOf(groupings: readonly Grouping[], dataset: Dataset): (string | undefined)[] {
  const digests = new Map(dataset.manifest.sources.map(({ path, sha256 }) => [path, sha256]))
  const paths = groupings.find(({ by }) => by === 'source')?.names ?? []
  return paths.map((path) => (path === undefined ? undefined : digests.get(path)))
}

/** Charts are for drawing: a program asks for figures. */
function withoutCharts(report: EvaluationReport): object {
  const strip = <T extends { readonly chart?: unknown }>({ chart: _, ...rest }: T) => rest
  return {
    ...report,
    routers: report.routers.map(strip),
    baselines: Object.fromEntries(
      Object.entries(report.baselines).map(([name, baseline]) => [name, strip(baseline)]),
    ),
  }
}

function nextStep(bundle: string, logs: readonly string[], report: EvaluationReport): string {
  const [router] = report.routers
  const cpt = router?.cpt['80']
  if (router?.works && router.operating?.source === 'default' && cpt) {
    return `* not calibrated yet. Next: weir calibrate ${bundle} ${logs.join(' ')} --strong-share ${cpt.toFixed(2)}`
  }
  return router?.works
    ? `Next: weir serve ${bundle}`
    : 'Next: more rows, or another router or encoder (weir train --help)'
}

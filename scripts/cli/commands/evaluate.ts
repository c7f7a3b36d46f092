import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { definedOnly } from '../../../core/defined.ts'
import { WeirError } from '../../../core/errors.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { Grouping } from '../../../training/evaluate/log/prompt-origins.ts'
import type { EvaluationReport } from '../../../training/evaluate/report/report.ts'
import { openTerminal } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, encoderAccess, signersOf } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, LOG_OPTIONS, PAIR_OPTIONS, PRICE_OPTION, seedOption } from '../log-options.ts'
import { type Flags, optionTable, Switch, Text } from '../options.ts'

const OPTIONS = optionTable({
  strong: {
    flag: '--strong <model>',
    schema: Text,
    help: 'another pair of the bundle’s models, or the log’s names for its pair',
  },
  weak: { flag: '--weak <model>', schema: Text, help: 'the weak model of that pair' },
  report: {
    flag: '--report <file>',
    schema: Text,
    writes: 'file',
    help: 'also write the report as one HTML file',
  },
  replicates: {
    flag: '--replicates <number>',
    schema: Type.Integer({ minimum: 50, maximum: 100_000 }),
    unset: '1000; 200 past 200,000 prompts',
    help: 'bootstrap replicates',
  },
  robustness: {
    flag: '--robustness',
    schema: Switch,
    help: 'search texts that turn decisions when they are put after a prompt, and measure changes of prompts for slow encoders too; takes minutes',
  },
  price: PRICE_OPTION,
  seed: seedOption('seed of the bootstrap and the random baselines'),
  ...LOG_OPTIONS,
  ...PAIR_OPTIONS,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the report'),
})
type EvaluateFlags = Flags<typeof OPTIONS>

/** `weir evaluate <bundles...> <logs...>`: compares routers on prompts that none of them has seen. */
export const evaluateCommand = defineCommand({
  name: 'evaluate',
  description: 'judge routers on logs they have not seen, beside baselines that need no training',
  arguments: [['<bundles...> <logs...>', 'bundle folders, then log files (.jsonl, .csv; .gz)']],
  options: OPTIONS,
  examples: [
    'weir evaluate bundles/demo data/sample/outcomes.jsonl.gz --report report.html',
    'weir evaluate bundles/mf bundles/classifier logs.jsonl --json',
  ],
  run,
})

async function run(inputs: readonly string[], flags: EvaluateFlags): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { assertPricedModels, openFlaggedLogs, priceOption } = await import('../log-options.ts')
  const { evaluate } = await import('../../../training/evaluate/evaluate.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const { strong, weak, seed, replicates } = flags
  const prices = await priceOption(flags.price)
  const { bundles, logs } = await splitInputs(inputs)
  const dataset = await openFlaggedLogs(logs, flags, { seed, ...watch }, bundles)
  assertPricedModels(flags.price, dataset.models)
  const groupings = await originsOf(logs, dataset, flags, watch.signal)
  const report = await evaluate(bundles, dataset, {
    ...definedOnly({ strong, weak }),
    seed,
    replicates,
    encoderAccess: encoderAccess(flags),
    signers: signersOf(flags),
    prices,
    groupings,
    sources: sourcesOf(groupings, dataset),
    details: true,
    robustness: flags.robustness ? 'long' : 'short',
    latency: true,
    ...watch,
  })
  terminal.endProgress()
  if (!('pair' in report)) {
    const { renderFrontiers } = await import('../../report/frontier-report.ts')
    if (flags.json) terminal.json(report)
    else terminal.print(renderFrontiers(report, `weir calibrate ${bundles[0]} ${logs.join(' ')}`))
    if (flags.report) {
      const { writeFrontierHtml } = await import('../../report/frontier-html.ts')
      await writeFrontierHtml(flags.report, report)
      if (!flags.json) terminal.print(`Report: ${flags.report}`)
    }
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

/** Slices by file and time, if the logs are files that can be read again. */
async function originsOf(
  logs: readonly string[],
  dataset: Dataset,
  flags: EvaluateFlags,
  signal: AbortSignal,
): Promise<Grouping[]> {
  const files = dataset.manifest.sources.map(({ path }) => path)
  // a dataset folder may refer to files that are gone, and standard input can't be read again
  if (!logs.every((path) => files.includes(path)) || logs.includes('-')) return []
  const { readOptions } = await import('../log-options.ts')
  const { promptOrigins } = await import('../../../training/evaluate/log/prompt-origins.ts')
  return promptOrigins(logs, dataset, { ...(await readOptions(flags)), signal })
}

/** The SHA-256 of each prompt's file, if there are several. */
function sourcesOf(groupings: readonly Grouping[], dataset: Dataset): (string | undefined)[] {
  const digests = new Map(dataset.manifest.sources.map(({ path, sha256 }) => [path, sha256]))
  const paths = groupings.find(({ by }) => by === 'source')?.names ?? []
  return paths.map((path) => (path === undefined ? undefined : digests.get(path)))
}

/** Chart data is only needed for drawing; programs read the figures. */
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

interface BundleInputs {
  readonly bundles: readonly string[]
  readonly logs: readonly string[]
}

/**
 * Separates bundle folders from logs in one list of arguments. Throws `option_invalid` if either is missing.
 */
async function splitInputs(inputs: readonly string[]): Promise<BundleInputs> {
  const bundles: string[] = []
  const logs: string[] = []
  for (const input of inputs) {
    if ((await exists(join(input, 'manifest.json'))) || (await exists(join(input, 'current')))) {
      bundles.push(input)
    } else logs.push(input)
  }
  const missing = bundles.length === 0 ? 'bundle' : logs.length === 0 ? 'log' : undefined
  if (missing) {
    throw new WeirError('option_invalid', {
      option: 'the arguments',
      expected: 'at least one bundle folder and one log',
      got: `no ${missing} in ${inputs.join(' ')}`,
    })
  }
  return { bundles, logs }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

import { Command } from 'commander'
import type { EncoderArtifact } from '../../models/encoder.ts'
import type { Price } from '../../models/prices.ts'
import type { AutoChoice } from '../../training/auto.ts'
import type { EvaluationReport } from '../../training/evaluate/report.ts'
import { addLogFlags, addPairFlags, type LogFlags, type PairFlags } from '../data-flags.ts'
import { openTerminal, score, type Terminal, table } from '../terminal.ts'

interface TrainFlags extends LogFlags, PairFlags {
  readonly strong: string
  readonly weak: string
  readonly router: string
  readonly encoder: string
  readonly engine: string
  readonly out: string
  readonly name: string
  readonly seed: string
  readonly threads: string
  readonly set: readonly string[]
  readonly price: readonly string[]
  readonly keepText?: boolean
  readonly json?: boolean
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

/** `weir train <logs...>`: from preference or outcome logs to a bundle. */
export function trainCommand(): Command {
  const command = new Command('train')
    .description('learn a router from preference or outcome logs and write it as a bundle')
    .argument('<logs...>', 'log files (.jsonl, .csv; .gz), or one dataset folder')
    .requiredOption('--strong <model>', 'the model that costs more and is better on average')
    .requiredOption('--weak <model>', 'the model that would answer the rest')
    .option(
      '--router <family>',
      'classifier, mlp, knn, sw, mf, ensemble (with --encoder lexical+...), or auto',
      'classifier',
    )
    .option(
      '--encoder <encoder>',
      'lexical, use-lite, use-lite-static, hf:<dir>, openai:<model>, or lexical+ one of them',
      'lexical',
    )
    .option('--engine <engine>', 'onnx or tfjs, for families trained by gradient steps', 'onnx')
    .option('--out <dir>', 'folder for bundles', 'bundles')
    .option('--name <name>', 'the bundle’s name in it', 'router')
    .option('--seed <number>', 'seed of splits, initial weights and shuffles', '1')
    .option('--threads <number>', 'threads of the training engine', '2')
    .option('--set <key=value>', 'a hyperparameter of the family; repeatable', collect, [])
    .option(
      '--price <model=in/out>',
      'US dollars per million tokens, or prices.json; repeatable',
      collect,
      [],
    )
    .option(
      '--keep-text',
      'the bundle of knn, sw and ensemble keeps the start of each training prompt, for explain',
    )
  return addPairFlags(addLogFlags(command))
    .option('--json', 'print the report as one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  weir train data/sample/outcomes.jsonl.gz --strong big-1 --weak small-1 --name demo',
    )
    .action(run)
}

async function run(logs: readonly string[], flags: TrainFlags): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { interruptSignal } = await import('../interrupt.ts')
  const { openFlaggedLogs } = await import('../logs.ts')
  const { train } = await import('../../training/train.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const threads = numberOption('--threads', flags.threads, { min: 1, max: 256, integer: true })!
  const hyperparameters = await settings(flags.set)
  const prices = await priceTable(flags.price)
  const dataset = await openFlaggedLogs(logs, flags, {
    seed,
    signal,
    onProgress: terminal.onProgress,
  })
  const besideLexical = flags.encoder.startsWith(LEXICAL_AND)
  const encoder = await chosenEncoder(
    besideLexical ? flags.encoder.slice(LEXICAL_AND.length) : flags.encoder,
    terminal,
  )
  const { bundle, report, backend, auto, stopped, resumedAfter } = await train(dataset, {
    ...(encoder ? { encoder, besideLexical } : {}),
    strong: flags.strong,
    weak: flags.weak,
    router: flags.router,
    engine: flags.engine,
    out: flags.out,
    name: flags.name,
    seed,
    threads,
    hyperparameters,
    prices,
    ...(flags.keepText ? { keepText: true } : {}),
    signal,
    onProgress: terminal.onProgress,
  }).finally(() => encoder?.encoder.close?.())
  terminal.endProgress()
  if (flags.json) {
    terminal.json({
      ...report,
      ...(auto ? { auto } : {}),
      bundle: bundle.path,
      version: bundle.manifest.version,
    })
    return
  }
  const { counts } = dataset.manifest
  terminal.print(
    `${counts.prompts} prompts: ${counts.train} train, ${counts.validation} validation, ${counts.calibration} calibration, ${counts.test} test`,
  )
  if (auto) printAuto(terminal, auto)
  printReport(terminal, report)
  terminal.print('')
  if (resumedAfter) {
    terminal.print(`Went on after epoch ${resumedAfter} of an earlier run that was ended.`)
  }
  if (stopped) terminal.print('Stopped early: this is the best so far.')
  terminal.print(`Bundle: ${bundle.path} (fitted by ${backend})`)
  const folder = bundle.path.replace(/\/[^/]+$/, '')
  terminal.print(
    `Until it is calibrated, half of the prompts go strong. Next: weir calibrate ${relative(folder)} ${logs.join(' ')} --strong-share 0.3`,
  )
}

const LEXICAL_AND = 'lexical+'

/** Nothing for `lexical`, which training fits itself. */
async function chosenEncoder(
  name: string,
  terminal: Terminal,
): Promise<EncoderArtifact | undefined> {
  if (name === 'lexical') return undefined
  const { availableParallelism } = await import('node:os')
  const { join } = await import('node:path')
  const { cacheFolder } = await import('../cache-folder.ts')
  const { makeNamedEncoder } = await import('../../models/encoders/named.ts')
  const { withEmbeddingCache } = await import('../../data/embedding-cache.ts')
  const cache = cacheFolder(process.env)
  const { encoder, files } = await makeNamedEncoder(name, {
    cacheFolder: cache,
    workers: availableParallelism(),
    onProgress: terminal.onProgress,
  })
  // the table is as quick as reading what it gave before
  if (encoder.spec.kind === 'use-lite-static') return { encoder, files }
  const kept = withEmbeddingCache(encoder, join(cache, 'embeddings'), terminal.onProgress)
  return { encoder: kept, files }
}

const relative = (path: string): string =>
  path.startsWith(`${process.cwd()}/`) ? path.slice(process.cwd().length + 1) : path

/** Log-loss and APGR of each family on validation rows that tuned none of them. */
function printAuto(terminal: Terminal, { rows, skipped }: AutoChoice): void {
  terminal.print('\nFamilies, simplest first, on half of validation')
  terminal.print(
    table([
      ['', 'log-loss', 'above the best', 'APGR', '95% interval', ''],
      ...rows.map(({ name, loss, above, error, apgr, chosen }) => [
        name,
        loss.toFixed(4),
        above === 0 ? 'best' : `${above.toFixed(4)} ± ${error.toFixed(4)}`,
        apgr.value === null ? '' : score(apgr.value),
        apgr.low === null || apgr.high === null ? '' : `[${score(apgr.low)}, ${score(apgr.high)}]`,
        chosen ? 'chosen' : '',
      ]),
    ]),
  )
  for (const { name, reason } of skipped) terminal.print(`${name}: left out, ${reason}`)
}

/** The held-out split's APGR with its interval, beside the baselines'. */
function printReport(terminal: Terminal, report: EvaluationReport): void {
  const line = (
    name: string,
    { apgr, cpt }: EvaluationReport['routers'][number] | EvaluationReport['baselines'][string],
  ): string[] => [
    name,
    apgr.value === null ? 'undefined' : score(apgr.value),
    apgr.low === null || apgr.high === null ? '' : `[${score(apgr.low)}, ${score(apgr.high)}]`,
    cpt['50'] === null ? '' : `${(100 * cpt['50']).toFixed(1)}%`,
    cpt['80'] === null ? '' : `${(100 * cpt['80']).toFixed(1)}%`,
  ]
  terminal.print(`\nHeld out: ${report.rows} prompts, never trained on`)
  terminal.print(
    table([
      ['', 'APGR', '95% interval', 'CPT(50%)', 'CPT(80%)'],
      ...report.routers.map((router) => line(router.name, router)),
      ...Object.entries(report.baselines)
        .filter(([name]) => !name.startsWith('always'))
        .map(([name, baseline]) => line(name.replace('_', ' '), baseline)),
    ]),
  )
  for (const { name, verdict, apgr } of report.routers) {
    terminal.print(`${name}: ${verdict}`)
    if (apgr.low !== null && apgr.low <= 0.5) {
      terminal.print(
        'No signal found: on the held-out prompts this router cannot be told from a coin.',
      )
    }
  }
  for (const warning of report.warnings) terminal.print(`warning: ${warning}`)
}

/** A value that reads as a number is one; the family's schema says which it wants. */
async function settings(pairs: readonly string[]): Promise<Record<string, number | string>> {
  const { keyValue } = await import('../key-value.ts')
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, value] = keyValue('--set', pair)
      const number = value.trim() === '' ? Number.NaN : Number(value)
      return [key, Number.isNaN(number) ? value : number]
    }),
  )
}

async function priceTable(pairs: readonly string[]): Promise<Map<string, Price>> {
  const { priceOption } = await import('../price-option.ts')
  return priceOption(pairs)
}

import { Command } from 'commander'
import type { Price } from '../../../models/prices.ts'
import { openTerminal } from '../../terminal/terminal.ts'
import { addLogFlags, addPairFlags } from '../data-flags.ts'
import type { TrainFlags } from '../train-options.ts'

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value]

/** `weir train <logs...>`: from preference or outcome logs to a bundle. */
export function trainCommand(): Command {
  const command = new Command('train')
    .description('learn a router from preference or outcome logs and write it as a bundle')
    .argument('[logs...]', 'log files (.jsonl, .csv; .gz), or one dataset folder')
    .option(
      '--config <file>',
      'YAML or JSON with these options and the family’s settings; flags win',
    )
    .option('--print-config', 'print all of that as it would be used, with what it means, and stop')
    .option('--strong <model>', 'the model that costs more and is better on average')
    .option('--weak <model>', 'the model that would answer the rest')
    .option(
      '--models <names>',
      'choose among these (a,b,c) or all; strong and weak then are the best and the cheapest on train',
    )
    .option('--rule <rule>', 'with --models: best-value (default) or cheapest-within')
    .option(
      '--loss <quality>',
      'with --rule cheapest-within: at most this far below the best (0.02)',
    )
    .option(
      '--router <family>',
      'classifier, mlp, knn, sw, mf, ensemble and kernel (with --encoder lexical+...), or auto',
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
    .option(
      '--threads <number>',
      'threads of the training engine, where its steps are large enough',
      '2',
    )
    .option('--set <key=value>', 'a hyperparameter of the family; repeatable', collect, [])
    .option(
      '--tune <number>',
      'try so many settings (the defaults among them) on half of validation, by successive halving',
    )
    .option(
      '--judge-weight <name=number>',
      'what votes of judges with this in their name count in training; repeatable',
      collect,
      [],
    )
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

async function run(named: readonly string[], given: TrainFlags, command: Command): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs } = await import('../logs.ts')
  const { judgeWeightOption } = await import('../key-value.ts')
  const { openTrainEncoder } = await import('../../../training/train-encoder.ts')
  const { configured, requiredPair, requireLogs, settingsOption } = await import(
    '../train-options.ts'
  )
  const { withJudgeWeights } = await import('../../../training/judge-weights.ts')
  const { logs, flags } = await configured(named, given, command)
  const terminal = openTerminal()
  const signal = interruptSignal()
  const seed = numberOption('--seed', flags.seed, { min: 0, max: 2 ** 32 - 1, integer: true })!
  const threads = numberOption('--threads', flags.threads, { min: 1, max: 256, integer: true })!
  const tune = numberOption('--tune', flags.tune, { min: 2, max: 1000, integer: true })
  const hyperparameters = settingsOption(flags.set)
  const prices = await priceTable(flags.price)
  const judges = new Map(flags.judgeWeight.map(judgeWeightOption))
  const open = () => openFlaggedLogs(logs, flags, { seed, signal, onProgress: terminal.onProgress })
  if (flags.printConfig) {
    const { trainConfigText } = await import('../train-options.ts')
    const size = logs.length > 0 ? await open() : undefined
    const text = await trainConfigText(logs, flags, hyperparameters, size)
    terminal.endProgress()
    terminal.print(text)
    return
  }
  const { modelsOption, ruleOption } = await import('../rule-options.ts')
  const models = modelsOption(flags)
  const asked = models ? undefined : requiredPair(flags, logs)
  const choice = models && ruleOption(flags)
  requireLogs(logs)
  const all = withJudgeWeights(await open(), judges)
  const { chooseModels } = await import('../../../training/choose-models.ts')
  const chosen = models && chooseModels(all, { ...flags, models, prices })
  const dataset = chosen?.dataset ?? all
  const pair = asked ?? { strong: chosen!.strong, weak: chosen!.weak }
  const { train } = await import('../../../training/train.ts')
  const { encoder, besideLexical } = await openTrainEncoder(flags.encoder, {
    onProgress: terminal.onProgress,
  })
  const trained = await train(dataset, {
    ...(encoder && besideLexical !== undefined ? { encoder, besideLexical } : {}),
    ...pair,
    ...(choice ? { choice } : {}),
    router: flags.router,
    engine: flags.engine,
    out: flags.out,
    name: flags.name,
    seed,
    threads,
    hyperparameters,
    prices,
    ...(tune === undefined ? {} : { tune }),
    ...(flags.keepText ? { keepText: true } : {}),
    signal,
    onProgress: terminal.onProgress,
  }).finally(() => encoder?.encoder.close?.())
  const { bundle, report, backend, auto, tuned, stopped, resumedAfter } = trained
  terminal.endProgress()
  if (flags.json) {
    terminal.json({
      ...report,
      ...(trained.choice ? { choice: trained.choice } : {}),
      ...(auto ? { auto } : {}),
      ...(tuned ? { tuned } : {}),
      bundle: bundle.path,
      version: bundle.manifest.version,
    })
    return
  }
  const { counts } = dataset.manifest
  terminal.print(
    `${counts.prompts} prompts: ${counts.train} train, ${counts.validation} validation, ${counts.calibration} calibration, ${counts.test} test`,
  )
  const { printAuto, printChosen, printReport, printTuning } = await import('../train-report.ts')
  for (const search of tuned ?? []) printTuning(terminal, search)
  if (auto) printAuto(terminal, auto)
  if (chosen) printChosen(terminal, chosen, flags)
  printReport(terminal, report)
  if (trained.choice) {
    const { renderFrontier } = await import('../../report/frontier-report.ts')
    terminal.print(renderFrontier(trained.choice))
  }
  terminal.print('')
  if (resumedAfter) {
    terminal.print(`Went on after epoch ${resumedAfter} of an earlier run that was ended.`)
  }
  if (stopped) terminal.print('Stopped early: this is the best so far.')
  terminal.print(`Bundle: ${bundle.path} (fitted by ${backend})`)
  const { describeRule } = await import('../../../models/bundle/choice-rule.ts')
  const next = `weir calibrate ${relative(bundle.path.replace(/\/[^/]+$/, ''))} ${logs.join(' ')}`
  terminal.print(
    chosen
      ? `Until it is calibrated: ${describeRule(bundle.manifest.choice!.rule)}. Next: ${next} --best-share 0.98`
      : `Until it is calibrated, half of the prompts go strong. Next: ${next} --strong-share 0.3`,
  )
}

const relative = (path: string): string =>
  path.startsWith(`${process.cwd()}/`) ? path.slice(process.cwd().length + 1) : path

async function priceTable(pairs: readonly string[]): Promise<Map<string, Price>> {
  const { priceOption } = await import('../price-option.ts')
  return priceOption(pairs)
}

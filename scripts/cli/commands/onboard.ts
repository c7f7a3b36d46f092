import { Command } from 'commander'
import { openTerminal } from '../../terminal/terminal.ts'
import { addLogFlags, type LogFlags } from '../data-flags.ts'

interface OnboardFlags extends LogFlags {
  readonly model?: string
  readonly probes?: string
  readonly price?: string
  readonly json?: boolean
}

/** `weir onboard <bundle> <logs...>`: one more model, from its answers to a few prompts. */
export function onboardCommand(): Command {
  const command = new Command('onboard')
    .description('teach a router one more model from its outcomes on a few prompts')
    .argument('<bundle>', 'a bundle with a logit a model: a classifier trained on outcomes, or mf')
    .argument('<logs...>', 'logs of the new model; with --probes, any log of prompts')
    .option('--model <model>', 'the new model’s name in the log')
    .option('--probes <number>', 'instead: print so many prompts to ask a new model first')
    .option('--price <in/out>', 'US dollars per million tokens')
  return addLogFlags(command)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  weir onboard bundles/demo data/sample/outcomes.jsonl.gz --probes 50\n  weir onboard bundles/demo answers.jsonl --model new-1 --price 0.5/1.5',
    )
    .action(run)
}

async function run(path: string, logs: readonly string[], flags: OnboardFlags): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { parsePrice } = await import('../key-value.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs } = await import('../logs.ts')
  const { readBundle } = await import('../../../models/bundle/read.ts')
  const { loadEncoder } = await import('../../../models/encoders/registry.ts')
  const { onboard, suggestProbes } = await import('../../../training/onboard/onboard.ts')
  const { WeirError } = await import('../../../core/errors.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const count = numberOption('--probes', flags.probes, { min: 1, max: 10_000, integer: true })
  if ((flags.model === undefined) === (count === undefined)) {
    const expected = 'one of --model and --probes'
    const got = count === undefined ? 'neither' : 'both'
    throw new WeirError('option_invalid', { option: 'the options', expected, got })
  }
  const bundle = await readBundle(path)
  const dataset = await openFlaggedLogs(logs, flags, {
    seed: 1,
    signal,
    onProgress: terminal.onProgress,
  })
  const encoder = await loadEncoder(bundle.manifest.encoder, bundle.path)
  try {
    if (count !== undefined) {
      const prompts = await suggestProbes(bundle, encoder, dataset, count, signal)
      terminal.endProgress()
      if (flags.json) terminal.json({ prompts })
      else for (const prompt of prompts) terminal.print(JSON.stringify({ prompt }))
      return
    }
    const model = flags.model!
    const price = flags.price ? parsePrice('--price', `${model}=${flags.price}`)[1] : undefined
    const done = await onboard(bundle, encoder, dataset, {
      model,
      ...(price ? { price } : {}),
      signal,
    })
    terminal.endProgress()
    const { version } = done.bundle.manifest
    if (flags.json) terminal.json({ ...done, bundle: done.bundle.path, version })
    else {
      const { probes, measure, observed, predicted } = done
      terminal.print(
        `${model}: ${probes} prompts, mean ${measure} ${observed.toFixed(3)}, predicted ${predicted.toFixed(3)}`,
      )
      terminal.print(`Bundle: ${done.bundle.path}`)
      const weak = bundle.manifest.candidates.find(({ role }) => role === 'weak')!
      terminal.print(
        `Next: weir evaluate ${path} <log> --strong ${model} --weak ${weak.model}, or allow it a request: "models": ["${model}"]`,
      )
    }
  } finally {
    await encoder.close?.()
  }
}

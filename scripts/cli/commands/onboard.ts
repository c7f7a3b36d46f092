import Type from 'typebox'
import { definedOnly } from '../../../core/defined.ts'
import { openTerminal } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, encoderAccess, signersOf } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, LOG_OPTIONS } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const OPTIONS = optionTable({
  model: { flag: '--model <model>', schema: Text, help: 'the new model’s name in the log' },
  probes: {
    flag: '--probes <number>',
    schema: Type.Integer({ minimum: 1, maximum: 10_000 }),
    help: 'instead: print this many prompts to ask a new model first',
  },
  price: {
    flag: '--price <in/out>',
    schema: Text,
    help: 'price of the new model in US dollars per million tokens',
  },
  ...LOG_OPTIONS,
  ...BUNDLE_OPTIONS,
  json: jsonOption('the result'),
})

/** `weir onboard <bundle> <logs...>`: adds a model, from its answers to a few prompts. */
export const onboardCommand = defineCommand({
  name: 'onboard',
  description: 'teach a router one more model from its outcomes on a few prompts',
  arguments: [
    ['<bundle>', 'a bundle with a logit for each model: a classifier trained on outcomes, or mf'],
    ['<logs...>', 'logs of the new model; with --probes, any log of prompts'],
  ],
  options: OPTIONS,
  examples: [
    'weir onboard bundles/demo data/sample/outcomes.jsonl.gz --probes 50',
    'weir onboard bundles/demo answers.jsonl --model new-1 --price 0.5/1.5',
  ],
  run,
})

async function run(
  path: string,
  logs: readonly string[],
  flags: Flags<typeof OPTIONS>,
): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs, parsePrice } = await import('../log-options.ts')
  const { readBundle } = await import('../../../models/bundle/read.ts')
  const { loadEncoder } = await import('../../../models/encoders/registry.ts')
  const { onboard, suggestProbes } = await import('../../../training/onboard/onboard.ts')
  const { promptFields } = await import('../../../models/reading/transcript.ts')
  const { WeirError } = await import('../../../core/errors.ts')
  const terminal = openTerminal()
  const signal = interruptSignal()
  const { probes: count } = flags
  if ((flags.model === undefined) === (count === undefined)) {
    const expected = 'one of --model and --probes'
    const got = count === undefined ? 'neither' : 'both'
    throw new WeirError('option_invalid', { option: 'the options', expected, got })
  }
  const bundle = await readBundle(path, { signers: signersOf(flags) })
  const watch = { signal, onProgress: terminal.onProgress }
  const dataset = await openFlaggedLogs(logs, flags, { seed: 1, ...watch }, [path])
  const encoder = await loadEncoder(bundle.manifest.encoder, bundle.path, {
    access: encoderAccess(flags),
  })
  try {
    if (count !== undefined) {
      const prompts = await suggestProbes(bundle, encoder, dataset, count, signal)
      terminal.endProgress()
      const rows = prompts.map((prompt) => {
        const { context, ...fields } = promptFields(prompt)
        return { ...fields, ...(context && { metadata: context }) }
      })
      if (flags.json) terminal.json({ prompts: rows.map(({ prompt }) => prompt) })
      else for (const row of rows) terminal.print(JSON.stringify(row))
      return
    }
    const model = flags.model!
    const price = flags.price ? parsePrice('--price', `${model}=${flags.price}`)[1] : undefined
    const done = await onboard(bundle, encoder, dataset, {
      model,
      ...definedOnly({ price }),
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

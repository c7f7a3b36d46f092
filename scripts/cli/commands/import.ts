import Type from 'typebox'
import { definedOnly } from '../../../core/defined.ts'
import { count, openTerminal } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption, LOG_OPTIONS, PAIR_OPTIONS, PRICE_OPTION, seedOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'
import { TRAIN_OPTIONS } from '../train-options.ts'

const MEANING = 'The classifier'

const OPTIONS = optionTable({
  strong: { ...TRAIN_OPTIONS.strong, help: 'the model that costs more and is better on average' },
  weak: TRAIN_OPTIONS.weak,
  out: TRAIN_OPTIONS.out,
  name: TRAIN_OPTIONS.name,
  labels: {
    flag: '--labels <meaning>',
    schema: Text,
    unset: 'the names in config.json; three unnamed classes are strong,tie,weak',
    help: 'what the outputs say: strong, tie, weak or a number from 0 to 1 for each (a,b or NAME=a,NAME=b), routellm, range:LOW..HIGH of a regression, or models (one output per model)',
    section: MEANING,
  },
  file: {
    flag: '--file <path>',
    schema: Text,
    unset: 'onnx/model.onnx, model.onnx, then quantised ones',
    help: 'the graph in the folder, such as onnx/model_int8.onnx',
    section: MEANING,
  },
  golden: {
    flag: '--golden <file>',
    schema: Text,
    help: 'outputs of the model in Python, JSON lines of {"text", "logits"}, which must be met',
    section: MEANING,
  },
  tolerance: {
    flag: '--tolerance <number>',
    schema: Type.Number({ exclusiveMinimum: 0 }),
    default: 0.001,
    help: 'largest accepted difference from a golden output',
    section: MEANING,
  },
  recipe: {
    flag: '--recipe <recipe>',
    schema: Text,
    default: 'last',
    help: 'what of a conversation is read (as in weir train)',
    section: MEANING,
  },
  trainedOn: {
    flag: '--trained-on <folder>',
    schema: Text,
    unset: 'weir-export.json in the classifier’s folder, if it is there',
    help: 'folder of weir data export --for classification that it was trained on, so that no figure uses those prompts',
    section: MEANING,
  },
  price: PRICE_OPTION,
  json: jsonOption('the result'),
  seed: seedOption('seed of the splits'),
  ...LOG_OPTIONS,
  ...PAIR_OPTIONS,
})

/** `weir import <dir> [logs...]`: a sequence classifier trained elsewhere becomes a bundle. */
export const importCommand = defineCommand({
  name: 'import',
  description: 'make a bundle of a sequence classifier that was trained elsewhere (ONNX)',
  arguments: [
    ['<dir>', 'folder with config.json, tokenizer.json and the graph (Hugging Face layout)'],
    [
      '[logs...]',
      'logs, for a threshold and for the head that decides when the classifier is late',
    ],
  ],
  options: OPTIONS,
  examples: [
    'weir import bert-router logs.jsonl --strong gpt-4o --weak llama-3-8b --labels routellm --golden golden.jsonl',
  ],
  run,
})

async function run(
  folder: string,
  logs: readonly string[],
  flags: Flags<typeof OPTIONS>,
): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { openFlaggedLogs, priceOption } = await import('../log-options.ts')
  const { readRecipe } = await import('../recipe-file.ts')
  const { importClassifier } = await import('../../../training/import/import-classifier.ts')
  const { strong, weak, seed, recipe: recipeName } = flags
  for (const [option, model] of [
    ['--strong', strong],
    ['--weak', weak],
  ] as const) {
    if (model !== undefined) continue
    const expected = 'a model that the classifier decides between'
    throw new WeirError('option_invalid', { option, expected, got: 'nothing' })
  }
  const recipe = await readRecipe(recipeName)
  if (recipe === 'auto') {
    const expected = 'a recipe by name or file, because nothing is learned here'
    throw new WeirError('option_invalid', { option: '--recipe', expected, got: recipe })
  }
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const log = logs.length > 0 ? await openFlaggedLogs(logs, flags, { seed, ...watch }) : undefined
  const result = await importClassifier(folder, {
    ...{ strong: strong!, weak: weak!, out: flags.out, name: flags.name, seed, recipe, log },
    ...{ tolerance: flags.tolerance, prices: await priceOption(flags.price) },
    ...definedOnly({ labels: flags.labels, file: flags.file, golden: flags.golden }),
    ...definedOnly({ trainedOn: flags.trainedOn }),
    ...watch,
  })
  terminal.endProgress()
  const { bundle, labels, problem, golden, fallback, seen } = result
  const { manifest, path } = bundle
  if (flags.json) {
    terminal.json({
      bundle: path,
      version: manifest.version,
      labels,
      problem,
      golden,
      fallback,
      seen,
    })
    return
  }
  terminal.print(`${labels.length} outputs (${problem}): ${labels.join(', ')}`)
  terminal.print(
    golden
      ? `Equal to ${count(golden.rows)} golden outputs to ${golden.difference.toExponential(1)}`
      : 'Not compared with the model in Python: --golden does that',
  )
  if (!fallback) {
    terminal.print(
      'No head decides when the classifier is late: give logs with both models’ outcomes for one',
    )
  }
  if (seen > 0) terminal.print(`${count(seen)} prompts count as seen: no figure will use them`)
  terminal.print(`Bundle: ${path}`)
  const named = path.replace(/\/[^/]+$/, '')
  terminal.print(`Next: weir calibrate ${named} ${logs.join(' ') || '<logs>'} --strong-share 0.3`)
}

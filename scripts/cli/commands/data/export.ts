import Type from 'typebox'
import type { ExportLayout } from '../../../../data/export.ts'
import { count, openTerminal } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption } from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'
import { TRAIN_OPTIONS } from '../../train-options.ts'

const TRAINING = 'Training elsewhere (--for)'

const OPTIONS = optionTable({
  out: {
    flag: '--out <file>',
    schema: Text,
    writes: 'file',
    help: 'the file, .parquet or .jsonl, or the new folder of --for (required); an older file is replaced',
  },
  for: {
    flag: '--for <form>',
    schema: Type.Union([Type.Literal('classification'), Type.Literal('sft')]),
    help: 'a folder of training files for a model that is trained elsewhere, and a script that trains it: classification (text and soft labels, Hugging Face Trainer) or sft (messages, TRL)',
    section: TRAINING,
  },
  strong: { ...TRAIN_OPTIONS.strong, section: TRAINING },
  weak: { ...TRAIN_OPTIONS.weak, section: TRAINING },
  recipe: {
    flag: '--recipe <recipe>',
    schema: Text,
    default: 'last',
    help: 'what of a conversation is read (as in weir train)',
    section: TRAINING,
  },
  template: {
    flag: '--template <name>',
    schema: Type.Union([Type.Literal('rating'), Type.Literal('choice')]),
    default: 'rating',
    help: 'how sft asks for the label: a rating from 1 to 5, or A or B',
    section: TRAINING,
  },
  layout: {
    flag: '--layout <name>',
    schema: Type.Union([Type.Literal('long'), Type.Literal('pairwise')]),
    help: 'long: one row per prompt and model with its score; pairwise: one row per vote',
    unset: 'what the dataset holds',
  },
  json: jsonOption('the result'),
})

/** `weir data export <dataset> --out <file>` */
export const dataExportCommand = defineCommand({
  name: 'export',
  description: 'write a dataset as Parquet or JSON lines, which weir data ingest reads again',
  arguments: [['<dataset>', 'a dataset folder']],
  options: OPTIONS,
  examples: [
    'weir data export datasets/logs --out scores.parquet',
    'weir data export datasets/votes --layout pairwise --out votes.jsonl',
    'weir data export datasets/logs --for classification --strong gpt-4o --weak llama-3-8b --out training',
  ],
  run,
})

async function run(dataset: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { exportDataset } = await import('../../../../data/export.ts')
  const { WeirError } = await import('../../../../core/errors.ts')
  const { out } = flags
  if (flags.for !== undefined) return exportTraining(dataset, flags)
  for (const option of ['strong', 'weak'] as const) {
    if (flags[option] === undefined) continue
    const expected = 'to be given with --for'
    throw new WeirError('option_invalid', { option: `--${option}`, expected, got: flags[option] })
  }
  if (out === undefined) {
    const expected = 'a file that ends in .parquet or .jsonl'
    throw new WeirError('option_invalid', { option: '--out', expected, got: 'nothing' })
  }
  const terminal = openTerminal()
  const layout = flags.layout as ExportLayout | undefined
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const written = await exportDataset(dataset, out, { layout, ...watch })
  terminal.endProgress()
  if (flags.json) terminal.json({ file: out, ...written })
  else terminal.print(`${out}: ${count(written.rows)} rows (${written.layout})`)
}

/** The trainer's script for each form, as the package carries it. */
const SCRIPTS = { classification: 'classifier.py', sft: 'sft.py' } as const

async function exportTraining(folder: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { openDataset } = await import('../../../../data/dataset/dataset.ts')
  const { exportForTraining } = await import('../../../../data/training-export.ts')
  const { TEMPLATES } = await import('../../../../models/encoders/causal-lm/template.ts')
  const { packageFile } = await import('../../package-file.ts')
  const { readRecipe } = await import('../../recipe-file.ts')
  const { WeirError } = await import('../../../../core/errors.ts')
  const { out, strong, weak, layout } = flags
  const form = flags.for!
  const required = (option: string, value: string | undefined, expected: string): string => {
    if (value !== undefined) return value
    throw new WeirError('option_invalid', { option, expected, got: 'nothing' })
  }
  if (layout !== undefined) {
    const expected = 'no layout with --for'
    throw new WeirError('option_invalid', { option: '--layout', expected, got: layout })
  }
  const to = required('--out', out, 'a new folder')
  const pair = {
    strong: required('--strong', strong, 'a model of the dataset'),
    weak: required('--weak', weak, 'a model of the dataset'),
  }
  const recipe = await readRecipe(flags.recipe)
  if (recipe === 'auto') {
    const expected = 'a recipe by name or file, because nothing is learned here'
    throw new WeirError('option_invalid', { option: '--recipe', expected, got: recipe })
  }
  const script = SCRIPTS[form]
  const terminal = openTerminal()
  const rows = await exportForTraining(await openDataset(folder), to, {
    ...pair,
    form,
    recipe,
    template: TEMPLATES[flags.template],
    files: new Map([
      [script, await readFile(packageFile(`docs/examples/fine-tuning/${script}`), 'utf8')],
    ]),
    signal: interruptSignal(),
    onProgress: terminal.onProgress,
  })
  terminal.endProgress()
  if (flags.json) return terminal.json({ folder: to, form, rows, script })
  terminal.print(
    `${to}: ${count(rows.train)} train and ${count(rows.validation)} validation rows; calibration and test rows stay here`,
  )
  terminal.print(`Next, on a machine with a GPU: python ${script} . MODEL (in ${to})`)
}

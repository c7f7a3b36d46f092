import Type from 'typebox'
import type { ExportLayout } from '../../../../data/export.ts'
import { count, openTerminal } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption } from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'

const OPTIONS = optionTable({
  out: {
    flag: '--out <file>',
    schema: Text,
    writes: 'file',
    help: 'the file, .parquet or .jsonl (required); an older one is replaced',
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
  ],
  run,
})

async function run(dataset: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { exportDataset } = await import('../../../../data/export.ts')
  const { WeirError } = await import('../../../../core/errors.ts')
  const { out } = flags
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

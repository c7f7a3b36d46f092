import { definedOnly } from '../../../../core/defined.ts'
import type { Explanation } from '../../../../data/explain.ts'
import type { IngestSummary } from '../../../../data/ingest.ts'
import { type SplitFractions, shortParts } from '../../../../data/splits/assign-splits.ts'
import { count, openTerminal, type Terminal, table } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, READ_OPTIONS, STORE_OPTION } from '../../log-options.ts'
import { type Flags, optionTable, Switch, Text } from '../../options.ts'

const OPTIONS = optionTable({
  out: {
    flag: '--out <folder>',
    schema: Text,
    writes: 'folder',
    default: 'datasets/logs',
    help: 'the dataset folder; an older dataset there is replaced',
  },
  explain: {
    flag: '--explain',
    schema: Switch,
    help: 'show how the first three rows of each file are read, field by field, and what is not used; write nothing',
  },
  ...READ_OPTIONS,
  query: {
    flag: '--query <sql>',
    schema: Text,
    help: 'read the rows of a SELECT in DuckDB’s SQL, over Parquet, JSON and CSV files',
  },
  installExtensions: {
    flag: '--install-extensions',
    schema: Switch,
    help: 'let DuckDB download the extensions that --query needs (s3://, PostgreSQL)',
  },
  store: STORE_OPTION,
  json: jsonOption('the summary'),
})

/** `weir data ingest <logs...> --out <folder>` */
export const dataIngestCommand = defineCommand({
  name: 'ingest',
  description:
    'read logs into a dataset folder: check every row, report what is refused, split the prompts',
  arguments: [
    [
      '[logs...]',
      'files, folders, patterns, or - for stdin: JSONL, JSON, CSV, TSV, Parquet, Arrow; .gz, .zst',
    ],
  ],
  options: OPTIONS,
  examples: [
    'weir data ingest logs/*.jsonl.gz --out datasets/logs',
    `weir data ingest --query "select prompt, model, avg(score) as score from read_parquet('exports/*.parquet') group by all"`,
    'weir data ingest votes.parquet --map prompt=question,model_a=left,model_b=right --out datasets/votes',
  ],
  run,
})

async function run(logs: readonly string[], flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { readOptions } = await import('../../log-options.ts')
  const { ingest } = await import('../../../../data/ingest.ts')
  const terminal = openTerminal()
  const { query: sql, installExtensions } = flags
  if (logs.length === 0 && sql === undefined) {
    const { WeirError } = await import('../../../../core/errors.ts')
    const expected = 'logs to read, or --query'
    throw new WeirError('option_invalid', { option: 'weir data ingest', expected, got: 'neither' })
  }
  const { openFeedbackStore } = await import('../../../../records/feedback/open-store.ts')
  const options = await readOptions(flags)
  if (flags.explain) {
    const { explain } = await import('../../../../data/explain.ts')
    const files = await explain(logs, options)
    if (flags.json) terminal.json({ files })
    else for (const file of files) printExplained(terminal, file)
    return
  }
  const signal = interruptSignal()
  const store = flags.store === undefined ? undefined : await openFeedbackStore(flags.store)
  const summary = await ingest(logs, {
    ...options,
    ...definedOnly({
      feedback: store?.read(signal),
      query: sql === undefined ? undefined : { sql, installExtensions },
    }),
    out: flags.out,
    signal,
    onProgress: terminal.onProgress,
    onNote: terminal.note,
  }).finally(() => store?.close())
  terminal.endProgress()
  const { rejectsPath, manifest } = summary
  if (flags.json) terminal.json({ dataset: flags.out, ...manifest, rejects: rejectsPath ?? null })
  else {
    const { modelsFound } = await import('../../models-found.ts')
    print(terminal, flags.out, summary, modelsFound(summary.models))
  }
}

const UNUSED_SHOWN = 40

function printExplained(terminal: Terminal, file: Explanation): void {
  const { path, format, rows, mapping, unused, notes, advice } = file
  terminal.print(`${path}: ${format === undefined ? 'no known layout' : `layout ${format}`}`)
  for (const note of notes) terminal.print(note)
  if (mapping.length > 0) terminal.print(table([['field', 'from'], ...mapping]))
  for (const { line, item, fields } of rows) {
    terminal.print(`\nrecord ${line}${item === undefined ? '' : `, item ${item}`}`)
    terminal.print(table(fields.map(([field, value]) => [`  ${field}`, value])))
  }
  if (unused.length > 0) {
    const more = unused.length > UNUSED_SHOWN ? `, and ${unused.length - UNUSED_SHOWN} more` : ''
    terminal.print(`\nNot used: ${unused.slice(0, UNUSED_SHOWN).join(', ')}${more}`)
  }
  if (advice !== undefined) terminal.print(advice)
}

function print(
  terminal: Terminal,
  out: string,
  { manifest, rejectsPath }: IngestSummary,
  found: string,
): void {
  const { rows, counts, models, sources, split, split_by: by, left_out: leftOut } = manifest
  for (const { path, rows: read, format } of sources) {
    terminal.print(`${path}: ${count(read)} rows (${format})`)
  }
  terminal.print(
    `${count(rows.read)} rows read: ${count(rows.kept)} kept, ${count(rows.rejected)} refused, ${count(rows.duplicates)} met before`,
  )
  for (const [reason, rows] of Object.entries(leftOut ?? {})) {
    terminal.print(`${count(rows)} rows left out: ${reason}`)
  }
  if (rejectsPath !== undefined) terminal.print(`Refused rows and why: ${rejectsPath}`)
  terminal.print(
    `${count(counts.prompts)} prompts of ${count(models.length)} models, ${count(counts.preferences)} votes, ${count(counts.outcomes)} prompts with scores`,
  )
  terminal.print(`\n${found}\n`)
  terminal.print(
    `train ${count(counts.train)}, validation ${count(counts.validation)}, calibration ${count(counts.calibration)}, test ${count(counts.test)}`,
  )
  if (split.prefixes.length > 0) {
    terminal.print(
      `${split.prefixes.length} opening${split.prefixes.length > 1 ? 's' : ''} shared by over 5% of the prompts taken for templates`,
    )
  }
  if (by.copies) {
    terminal.print(
      `${count(by.copies)} prompts ask the same under different templates and stay together`,
    )
  }
  if (by.common) {
    terminal.print(`${count(by.common)} prompts that many groups share were kept for training`)
  }
  for (const line of shortParts(counts, split.fractions as SplitFractions)) terminal.note(line)
  terminal.print(`\nDataset: ${out}. Next: weir data inspect ${out}`)
}

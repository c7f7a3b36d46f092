import { fileWriter, parquetWriteRows } from 'hyparquet-writer'

const COLUMNS = ['prompt', 'response_a', 'response_b', 'model_a', 'model_b', 'winner']

/** Writes preference rows as Parquet (snappy), 50,000 in a row group, a group in memory at a time. */
export async function writePreferencesParquet<T extends object>(
  path: string,
  rows: Iterable<T>,
): Promise<void> {
  await parquetWriteRows({
    writer: fileWriter(path),
    rows: rows as Iterable<Record<string, unknown>>,
    rowGroupSize: 50_000,
    columns: COLUMNS.map((name) => ({ name, type: 'STRING' as const })),
  })
}

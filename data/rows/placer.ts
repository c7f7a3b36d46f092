import { labelCell } from './cell.ts'
import type {
  LogRow,
  RawRecord,
  Reader,
  ReaderSettings,
  ReadRecord,
  Reject,
  RowOrigin,
} from './reader.ts'

/** Settings for turning a file's records into rows; plain data, so that it can be sent to a thread. */
export interface PlacerSpec extends ReaderSettings {
  readonly path: string
  /** the reader's name */
  readonly format: string
  readonly columns: ReadonlySet<string>
  readonly sample: readonly RawRecord[]
  /** maps our column names to the file's */
  readonly map?: ReadonlyMap<string, string>
  /** the column whose value keeps rows in one split */
  readonly groupBy?: string
  /** refuse rows without a time, because the splits need it */
  readonly needsTime?: boolean
}

/** Turns a file's records into rows and rejects. */
export function createPlacer(
  reader: Reader,
  spec: PlacerSpec,
): (item: ReadRecord) => LogRow | Reject | undefined {
  const { path, groupBy, needsTime } = spec
  const rename = renamer(spec.map)
  const read = reader.open(spec.columns, spec.sample, spec)
  return (item) => {
    const origin: RowOrigin =
      item.rowGroup === undefined
        ? { path, line: item.line }
        : { path, line: item.line, rowGroup: item.rowGroup }
    if (!('record' in item)) {
      return { kind: 'reject', origin, field: item.field, reason: item.reason }
    }
    const record = rename ? rename(item.record) : item.record
    const row = read(record, origin)
    if (row === undefined || row.kind === 'reject') return row
    if (needsTime && row.timestamp === undefined) {
      const reason = 'expected a time, which --test-after compares; got nothing'
      return { kind: 'reject', origin, field: 'timestamp', reason }
    }
    if (groupBy === undefined) return row
    const group = labelCell(record[groupBy])
    if ('reason' in group) return { kind: 'reject', origin, field: groupBy, reason: group.reason }
    return group.value === undefined ? row : { ...row, group: group.value }
  }
}

/** Renames a record's columns to ours; undefined if there is nothing to rename. */
export function renamer(
  map: ReadonlyMap<string, string> | undefined,
): ((record: RawRecord) => RawRecord) | undefined {
  if (!map || map.size === 0) return undefined
  return (record) => {
    const copy: Record<string, unknown> = Object.assign(Object.create(null), record)
    for (const theirs of map.values()) delete copy[theirs]
    for (const [ours, theirs] of map) {
      if (Object.hasOwn(record, theirs)) copy[ours] = record[theirs]
    }
    return copy
  }
}

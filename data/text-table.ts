import { readCsv } from './csv.ts'
import { readJsonValues } from './json-values.ts'
import { readJsonLines } from './jsonl.ts'
import type { RawRecord, ReadRecord, RecordStream } from './reader.ts'
import type { Table } from './table.ts'

const HEAD_BYTES = 4096

/** JSONL, a JSON array or objects, CSV or TSV: told apart by the first characters that are not blank. */
export function openText(head: Buffer, chunks: AsyncIterable<Buffer>): Table {
  const text = head
    .toString('utf8', 0, HEAD_BYTES)
    .replace(/^\uFEFF/, '')
    .trimStart()
  const firstLine = text.split('\n', 1)[0]!.trimEnd()
  if (text.startsWith('[')) return streamed(readJsonValues(chunks))
  if (text.startsWith('{')) {
    // A line that breaks off after an opening or a comma is an object spread over lines.
    const spread = /[{[,]$/.test(firstLine) && text.includes('\n')
    return spread ? streamed(readJsonValues(chunks)) : streamed(readJsonLines(chunks), true)
  }
  const tabs = firstLine.split('\t').length > firstLine.split(',').length
  return streamed(readCsv(chunks, tabs ? '\t' : ','))
}

function streamed(stream: RecordStream, lines = false): Table {
  const iterator = stream[Symbol.asyncIterator]()
  const held: (readonly ReadRecord[])[] = []
  return {
    lines,
    async sample(limit) {
      const sample: RawRecord[] = []
      while (sample.length < limit) {
        const next = await iterator.next()
        if (next.done) break
        held.push(next.value)
        for (const item of next.value) {
          if ('record' in item && sample.length < limit) sample.push(item.record)
        }
      }
      return sample
    },
    async *records() {
      while (held.length > 0) yield held.shift()!
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        yield next.value
      }
    },
    async close() {
      await iterator.return?.()
    },
  }
}

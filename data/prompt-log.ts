import { WeirError } from '../core/errors.ts'
import { promptText } from '../models/decision/messages.ts'
import { promptCell } from './rows/cell.ts'
import { openText } from './source/jsonl.ts'
import { openSource } from './source/source.ts'

/** Prompts from files that need no other data: a column `prompt` (text or messages) or `messages`. */
export interface PromptLog {
  /** the texts used for routing, in file order, including repeats, because shares are of requests */
  readonly prompts: readonly string[]
  readonly sources: readonly { path: string; sha256: string; rows: number }[]
}

/**
 * Reads JSONL, JSON, CSV or TSV, plain or compressed.
 *
 * @throws row_invalid, naming file and line, at the first record without a prompt; rows_too_few if there are
 * no prompts
 */
export async function readPrompts(
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<PromptLog> {
  const prompts: string[] = []
  const sources: { path: string; sha256: string; rows: number }[] = []
  for (const path of paths) {
    const before = prompts.length
    const source = await openSource(path, signal)
    const chunks = source.chunks()[Symbol.asyncIterator]()
    const first = await chunks.next()
    if (!first.done) {
      const table = openText(first.value, again(first.value, chunks))
      for await (const batch of table.records()) {
        for (const item of batch) {
          if (!('record' in item)) throw invalid(path, item.line, item.field, item.reason)
          const cell = promptCell(item.record.prompt ?? item.record.messages)
          if ('reason' in cell) throw invalid(path, item.line, 'prompt', cell.reason)
          prompts.push(promptText(cell.value))
        }
      }
      sources.push({ path, sha256: await source.sha256(), rows: prompts.length - before })
    }
  }
  if (prompts.length === 0) {
    throw new WeirError('rows_too_few', { expected: 1, what: `in ${paths.join(', ')}`, got: 0 })
  }
  return { prompts, sources }
}

const invalid = (path: string, line: number, field: string, reason: string): WeirError =>
  new WeirError('row_invalid', { path, line, field, reason })

async function* again(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield first
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
}

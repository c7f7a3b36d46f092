import { WeirError } from '../core/errors.ts'
import { transcript } from '../models/reading/transcript.ts'
import { isDecisionLogLine } from './readers/weir-log.ts'
import { promptCell, systemCell, toolsCell } from './rows/cell.ts'
import type { RawRecord, ReadRecord } from './rows/reader.ts'
import { expandPaths } from './source/expand-paths.ts'
import { openText } from './source/jsonl.ts'
import { openSource, prepend } from './source/source.ts'

/** Prompts from files that need no other data: a column `prompt` (text or messages) or `messages`. */
export interface PromptLog {
  /** the texts used for routing, in file order, including repeats, because shares are of requests */
  readonly prompts: readonly string[]
  readonly sources: readonly { path: string; sha256: string; rows: number }[]
}

/**
 * Reads JSONL, JSON, CSV or TSV, plain or compressed, and Weir's own decision logs; paths may be folders or
 * patterns.
 *
 * @throws row_invalid, naming file and line, at the first record without a prompt; log_needs for a decision that
 * was logged without its text; rows_too_few if there are no prompts
 */
export async function readPrompts(
  paths: readonly string[],
  signal?: AbortSignal,
): Promise<PromptLog> {
  const prompts: string[] = []
  const sources: { path: string; sha256: string; rows: number }[] = []
  for (const path of await expandPaths(paths)) {
    const before = prompts.length
    const source = await openSource(path, signal)
    const chunks = source.chunks()[Symbol.asyncIterator]()
    const first = await chunks.next()
    if (!first.done) {
      const table = openText(first.value, prepend([first.value], chunks))
      try {
        for await (const batch of table.records()) {
          for (const item of batch) {
            const prompt = promptOf(item, path)
            if (prompt !== undefined) prompts.push(prompt)
          }
        }
      } finally {
        await table.close()
      }
      sources.push({ path, sha256: await source.sha256(), rows: prompts.length - before })
    }
  }
  if (prompts.length === 0) {
    throw new WeirError('rows_too_few', { expected: 1, what: `in ${paths.join(', ')}`, got: 0 })
  }
  return { prompts, sources }
}

/** A record's prompt as a transcript; undefined for lines that are no requests. */
function promptOf(item: ReadRecord, path: string): string | undefined {
  if (!('record' in item)) throw invalid(path, item.line, item.field, item.reason)
  const { record, line } = item
  const served = servedPrompt(record, path)
  if (served === null) return undefined
  const cell = promptCell(served ?? record.prompt ?? record.messages)
  if ('reason' in cell) throw invalid(path, line, 'prompt', cell.reason)
  // a logged text is a transcript already
  if (served !== undefined) return served
  const system = systemCell(record.system)
  if ('reason' in system) throw invalid(path, line, 'system', system.reason)
  const tools = toolsCell(record.tools)
  if ('reason' in tools) throw invalid(path, line, 'tools', tools.reason)
  return transcript(cell.value, system.value, tools.value)
}

/**
 * The text of a decision; null for other lines of a decision log, which are no requests of their own; undefined
 * for records of any other log.
 */
function servedPrompt(record: RawRecord, path: string): string | null | undefined {
  if (record.prompt !== undefined || record.messages !== undefined) return undefined
  if (!isDecisionLogLine(record)) return undefined
  const { object, text, shadow, decision_id: decision } = record
  const request = object === 'decision' ? shadow !== true : object === 'gateway' && !decision
  if (!request) return null
  if (typeof text === 'string') return text
  if (object === 'gateway') return null
  throw new WeirError('log_needs', {
    what: 'reading prompts from a decision log',
    option: '--log-text full',
    path,
    got: 'none',
  })
}

const invalid = (path: string, line: number, field: string, reason: string): WeirError =>
  new WeirError('row_invalid', { path, line, field, reason })

import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { parseSpendLine, type SpendLine } from './spend-line.ts'

/** What was left out; filled while reading. */
export interface SpendReadStats {
  /** lines that a crash or a full disk cut off, and others that are none */
  torn: number
}

/** `spend` in a log's folder, or the folder itself. @throws file_not_found */
export async function spendFolder(path: string): Promise<string> {
  for (const folder of [join(path, 'spend'), path]) {
    const names = await readdir(folder).catch(() => [])
    if (names.some((name) => FILE.test(name))) return folder
  }
  if (await stat(path).catch(() => undefined)) {
    throw new WeirError('file_not_found', { path: join(path, 'spend-*.jsonl') })
  }
  throw new WeirError('file_not_found', { path })
}

const FILE = /^spend-(\d{4}-\d\d-\d\d)-.*\.jsonl$/

/** Every whole line of a folder, day by day. @param days only those from `from` to `to`, `2026-11-21` */
export async function* readSpend(
  folder: string,
  stats: SpendReadStats,
  { from = '', to = '9' }: { from?: string; to?: string } = {},
  signal?: AbortSignal,
): AsyncGenerator<SpendLine> {
  const names = (await readdir(folder)).filter((name) => {
    const day = FILE.exec(name)?.[1]
    return day !== undefined && day >= from && day <= to
  })
  for (const name of names.sort()) {
    let rest = ''
    const stream = createReadStream(join(folder, name), {
      encoding: 'utf8',
      highWaterMark: 1 << 20,
      signal,
    })
    for await (const chunk of stream as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()!
      for (const text of lines) {
        const line = parseSpendLine(text)
        if (line) yield line
        else if (text !== '') stats.torn++
      }
    }
    // cut off, even where what is there happens to be JSON
    if (rest !== '') stats.torn++
  }
}

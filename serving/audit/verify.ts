import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { AUDIT_FILE } from '../../records/log-reader.ts'
import { isPostgresUrl, withoutPassword } from '../../records/postgres.ts'
import { AuditRecord, GENESIS, lineHash, sharedAuditLines } from './audit-log.ts'

/** A line of an audit log that breaks its hash chain. */
export interface AuditFault {
  /** from 1 */
  readonly line: number
  readonly fault: string
}

export interface AuditReport {
  readonly path: string
  readonly records: readonly AuditRecord[]
  /** empty if every line is unchanged and in its place */
  readonly faults: readonly AuditFault[]
  /** lines that a crash cut off; they are part of the chain */
  readonly torn: number
  /** SHA-256 of the last line: stored elsewhere, it shows whether lines at the end were removed */
  readonly head: string
}

const check = Compile(AuditRecord)

/**
 * Reads an audit log and checks its chain.
 *
 * @param path the log's folder, the file, or `postgres://...` @throws file_not_found, store_unavailable
 */
export async function verifyAudit(path: string): Promise<AuditReport> {
  if (isPostgresUrl(path)) return checked(withoutPassword(path), await sharedAuditLines(path))
  const entry = await stat(path).catch(() => undefined)
  const file = entry?.isDirectory() ? join(path, AUDIT_FILE) : path
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path: file }, { cause })
  })
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return checked(file, lines)
}

function checked(path: string, lines: readonly string[]): AuditReport {
  const records: AuditRecord[] = []
  const faults: AuditFault[] = []
  let torn = 0
  let prev = GENESIS
  for (const [i, line] of lines.entries()) {
    const own = recordOf(line)
    if (own === 'torn') torn++
    else if (own === 'invalid') faults.push({ line: i + 1, fault: 'is not an audit record' })
    else {
      records.push(own)
      if (own.prev !== prev) {
        const fault =
          i === 0
            ? 'is not the first line: lines before it were removed'
            : 'does not follow the line before it: that line was changed, or lines between them were removed'
        faults.push({ line: i + 1, fault })
      } else if (own.seq !== i + 1) {
        faults.push({ line: i + 1, fault: `has the number ${own.seq}, expected ${i + 1}` })
      }
    }
    prev = lineHash(line)
  }
  return { path, records, faults, torn, head: prev }
}

/** A line that is not JSON was cut off by a crash; JSON that is not a record was added by something else. */
function recordOf(line: string): AuditRecord | 'torn' | 'invalid' {
  try {
    const value: unknown = JSON.parse(line)
    return check.Check(value) ? value : 'invalid'
  } catch {
    return 'torn'
  }
}

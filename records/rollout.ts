import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../core/errors.ts'
import { writeWhole } from '../core/files.ts'
import { readRegularFile } from '../core/regular-file.ts'
import { appendLine } from '../core/segments.ts'

/** `NAME/rollout.json`: a version that is not yet serving, and its progress. */
export const Rollout = Type.Object(
  {
    version: Type.String({ pattern: '^[0-9a-f]{16}$' }),
    /** `shadow` decides in parallel to the serving version; `canary` answers a share of the sessions */
    stage: Type.Union([Type.Literal('shadow'), Type.Literal('canary')]),
    share: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 0.5 })),
  },
  { additionalProperties: false },
)
export type Rollout = Type.Static<typeof Rollout>

/** A line of `NAME/history.jsonl`. */
export const HistoryEvent = Type.Object({
  /** ISO 8601 */
  time: Type.String(),
  event: Type.Union([
    Type.Literal('refused'),
    Type.Literal('shadow'),
    Type.Literal('canary'),
    Type.Literal('all'),
    Type.Literal('rollback'),
    Type.Literal('alarm'),
  ]),
  version: Type.String(),
  /** the version that was serving before */
  serving: Type.String(),
  reason: Type.Optional(Type.String()),
  share: Type.Optional(Type.Number()),
  /** each gate and its result */
  gates: Type.Optional(
    Type.Array(Type.Object({ gate: Type.String(), passed: Type.Boolean(), found: Type.String() })),
  ),
})
export type HistoryEvent = Type.Static<typeof HistoryEvent>

const ROLLOUT = 'rollout.json'
const HISTORY = 'history.jsonl'
const isRollout = Compile(Rollout)
const isEvent = Compile(HistoryEvent)

/** Far more than thousands of promotions. */
const MAX_BYTES = 256 * 2 ** 20

/** undefined if there is none. @throws file_unreadable for a link, FIFO or device */
async function readText(path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await readRegularFile(path, { maxBytes: MAX_BYTES })).toString('utf8')
  } catch (error) {
    if (error instanceof WeirError && error.code === 'file_not_found') return undefined
    throw error
  }
}

/** undefined if no rollout is in progress. @throws state_invalid, file_unreadable */
export async function readRollout(home: string): Promise<Rollout | undefined> {
  const path = join(home, ROLLOUT)
  const text = await readText(path)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (isRollout.Check(value)) return value
    throw new TypeError(isRollout.Errors(value)[0]?.message ?? 'it does not fit')
  } catch (cause) {
    const reason = (cause as Error).message
    throw new WeirError('state_invalid', { path, what: 'a rollout', reason }, { cause })
  }
}

/** Replaces the rollout atomically for readers; undefined removes it. @throws file_unwritable */
export async function writeRollout(home: string, rollout: Rollout | undefined): Promise<void> {
  const path = join(home, ROLLOUT)
  if (!rollout) return rm(path, { force: true })
  await writeWhole(path, `${JSON.stringify(rollout)}\n`)
}

export async function recordEvent(home: string, event: HistoryEvent): Promise<void> {
  await appendLine(join(home, HISTORY), JSON.stringify(event))
}

/** Events, oldest first; a line cut off by a crash is left out. */
export async function readHistory(home: string): Promise<HistoryEvent[]> {
  const text = (await readText(join(home, HISTORY))) ?? ''
  const events: HistoryEvent[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    try {
      const value: unknown = JSON.parse(line)
      if (isEvent.Check(value)) events.push(value)
    } catch {}
  }
  return events
}

import { readFile, realpath, rm } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { removePartials, writeWhole } from '../../core/files.ts'
import {
  HistoryEvent,
  Rollout,
  readHistory,
  recordEvent,
  writeRollout,
} from '../../records/rollout.ts'
import { pointCurrent } from './write.ts'

/** A change of what a bundle's NAME folder serves, with its line in the history. */
export const ServingChange = Type.Object(
  {
    event: HistoryEvent,
    /** the version that `current` points at from now on; absent if it stays */
    current: Type.Optional(Type.String({ pattern: '^[0-9a-f]{16}$' })),
    /** the rollout from now on; absent if there is none */
    rollout: Type.Optional(Rollout),
  },
  { additionalProperties: false },
)
export type ServingChange = Type.Static<typeof ServingChange>

const PENDING = 'pending.json'
const isChange = Compile(ServingChange)

/**
 * Makes a change of three files (`current`, `rollout.json`, `history.jsonl`) that a crash cannot leave half done:
 * it is written down first, and `finishServingChange` completes it.
 *
 * @param home the bundle's NAME folder
 * @throws file_unwritable, and the file system's errors
 */
export async function changeServing(home: string, change: ServingChange): Promise<void> {
  await writeWhole(join(home, PENDING), `${JSON.stringify(change)}\n`)
  await apply(home, change)
}

/**
 * Completes the change in which a process was killed, and removes the partial files that it left. Whoever changes
 * what is served calls it first. A change after which `current` was pointed elsewhere is dropped.
 *
 * @throws state_invalid
 */
export async function finishServingChange(home: string): Promise<void> {
  await removePartials(home)
  const path = join(home, PENDING)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return
  const change = parsed(text, path)
  const current = basename(await realpath(join(home, 'current')))
  if (current === change.event.serving || current === change.current) await apply(home, change)
  else await rm(path, { force: true })
}

async function apply(home: string, { event, current, rollout }: ServingChange): Promise<void> {
  if (current !== undefined) await pointCurrent(resolve(home), current)
  await writeRollout(home, rollout)
  // a process that was killed may have written it
  const last = (await readHistory(home)).at(-1)
  if (JSON.stringify(last) !== JSON.stringify(event)) await recordEvent(home, event)
  await rm(join(home, PENDING), { force: true })
}

function parsed(text: string, path: string): ServingChange {
  try {
    const value: unknown = JSON.parse(text)
    if (isChange.Check(value)) return value
    throw new TypeError(isChange.Errors(value)[0]?.message ?? 'it does not fit')
  } catch (cause) {
    const reason = (cause as Error).message
    throw new WeirError('state_invalid', { path, what: 'a change', reason }, { cause })
  }
}

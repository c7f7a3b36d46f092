import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { removePartials, writeWhole } from '../../core/files.ts'
import { type Lock, lockFolder } from '../../core/lock.ts'
import type { OnProgress } from '../../core/progress.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { makeFolder } from '../../core/segments.ts'

/** The files of a collection's folder, beside the journal of calls (`calls-*.jsonl`). */
export const COLLECTION_FILES = {
  settings: 'collection.json',
  sample: 'sample.jsonl',
  /** judges and checks */
  graders: 'graders.json',
  /** labels of people, one per line */
  labels: 'labels.jsonl',
  /** what the journal and the labels come to, in the layout of a log */
  log: 'log.jsonl',
  dataset: 'dataset',
  /** the cap and what was spent of it */
  spend: 'spend',
} as const

const Name = Type.String({ minLength: 1 })

/** What a collection is, fixed when its sample is drawn. */
export const CollectionSettings = Type.Object(
  {
    object: Type.Literal('collection'),
    format: Type.Literal(1),
    created: Type.String(),
    /** what is compared: the first is the strong one, all others are compared with it */
    models: Type.Array(Name, { minItems: 1 }),
    sample: Type.Object({
      rule: Type.Union([
        Type.Literal('uniform'),
        Type.Literal('stratified'),
        Type.Literal('active'),
      ]),
      seed: Type.Integer(),
      size: Type.Integer({ minimum: 1 }),
      /** distinct prompts that it was drawn from */
      of: Type.Integer({ minimum: 1 }),
      /** for `stratified`: into how many clusters the prompts were grouped by their words, in place of categories */
      clusters: Type.Optional(Type.Integer({ minimum: 2 })),
      /** for `active`: the version of the router whose win rates it was drawn by */
      router: Type.Optional(Type.String()),
    }),
    sources: Type.Array(
      Type.Object({ path: Type.String(), sha256: Type.String(), rows: Type.Integer() }),
    ),
    /** of each answer */
    max_tokens: Type.Integer({ minimum: 1 }),
    /** merged over the body of each question to a candidate: temperature and so on */
    parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { additionalProperties: false },
)
export type CollectionSettings = Type.Static<typeof CollectionSettings>

/** One drawn prompt. */
export const SampleRow = Type.Object({
  /** the first 16 hex digits of the prompt's SHA-256 */
  id: Type.String({ pattern: '^[0-9a-f]{16}$' }),
  prompt: Type.String(),
  messages: Type.Array(Type.Record(Type.String(), Type.Unknown())),
  tools: Type.Optional(Type.Array(Type.Record(Type.String(), Type.Unknown()))),
  category: Type.Optional(Type.String()),
  reference: Type.Optional(Type.String()),
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  /** how often the prompt stands in the files */
  times: Type.Integer({ minimum: 1 }),
  /** probability with which it was drawn */
  propensity: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
  /** by the router of an active sample */
  win_rate: Type.Optional(Type.Number()),
})
export type SampleRow = Type.Static<typeof SampleRow>

const checkSettings = Compile(CollectionSettings)
const checkRow = Compile(SampleRow)

export interface Collection {
  readonly folder: string
  readonly settings: CollectionSettings
  readonly sample: readonly SampleRow[]
}

export const isCollection = (folder: string): boolean =>
  existsSync(join(folder, COLLECTION_FILES.settings))

/** @throws collection_invalid */
export async function readCollection(folder: string): Promise<Collection> {
  const invalid = (reason: string, cause?: unknown): WeirError =>
    new WeirError('collection_invalid', { path: folder, reason }, { cause })
  const read = async (name: string): Promise<string> =>
    readFile(join(folder, name), 'utf8').catch((cause: unknown) => {
      throw invalid(`there is no readable ${name}`, cause)
    })
  const json = (text: string, name: string): unknown => {
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw invalid(`${name} is not JSON: ${(cause as Error).message}`, cause)
    }
  }
  const settings = json(await read(COLLECTION_FILES.settings), COLLECTION_FILES.settings)
  if (!checkSettings.Check(settings)) {
    const { field, expected, got } = firstFault(checkSettings.Errors(settings), settings)
    throw invalid(`${COLLECTION_FILES.settings}: ${field}: expected ${expected}, got ${got}`)
  }
  const lines = (await read(COLLECTION_FILES.sample)).split('\n').filter((line) => line !== '')
  const sample = lines.map((line, i) => {
    const where = `${COLLECTION_FILES.sample}:${i + 1}`
    const row = json(line, where)
    if (checkRow.Check(row)) return row
    const { field, expected, got } = firstFault(checkRow.Errors(row), row)
    throw invalid(`${where}: ${field}: expected ${expected}, got ${got}`)
  })
  if (sample.length !== settings.sample.size) {
    throw invalid(`the sample has ${sample.length} prompts, not ${settings.sample.size}`)
  }
  return { folder, settings, sample }
}

/**
 * Writes a new collection. The settings are written last: a folder without them is no collection yet.
 *
 * @throws collection_invalid if the folder holds something else; file_unwritable
 */
export async function createCollection(
  folder: string,
  settings: CollectionSettings,
  sample: readonly SampleRow[],
): Promise<Collection> {
  makeFolder(folder)
  await removePartials(folder)
  const known: readonly string[] = [...Object.values(COLLECTION_FILES), 'lock']
  const other = (await readdir(folder)).find((name) => !known.includes(name))
  if (other !== undefined) {
    const reason = `the folder holds ${other}, which is not part of a collection; take another --out`
    throw new WeirError('collection_invalid', { path: folder, reason })
  }
  const rows = sample.map((row) => `${JSON.stringify(row)}\n`).join('')
  await writeWhole(join(folder, COLLECTION_FILES.sample), rows)
  await writeWhole(
    join(folder, COLLECTION_FILES.settings),
    `${JSON.stringify(settings, undefined, 2)}\n`,
  )
  return { folder, settings, sample }
}

const POLL_MS = 50

/**
 * Holds the folder for this process. Where an interrupted run is still finishing its calls, waits for it.
 *
 * @param waitMs longest wait
 * @throws collection_busy, file_unwritable, and the signal's reason once it is aborted
 */
export async function lockCollection(
  folder: string,
  { waitMs, signal, onProgress }: { waitMs: number; signal?: AbortSignal; onProgress?: OnProgress },
): Promise<Lock> {
  makeFolder(folder)
  const started = performance.now()
  for (;;) {
    signal?.throwIfAborted()
    const lock = lockFolder(folder, Date.now)
    if (!('holder' in lock)) return lock
    const waited = performance.now() - started
    if (waited > waitMs)
      throw new WeirError('collection_busy', { path: folder, holder: lock.holder })
    onProgress?.({ stage: `waiting for ${lock.holder}, which is finishing its calls`, done: 0 })
    await wait(POLL_MS)
  }
}

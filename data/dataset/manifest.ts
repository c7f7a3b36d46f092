import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import Value from 'typebox/value'
import { WeirError } from '../../core/errors.ts'
import { Interval } from '../../core/stats/intervals.ts'
import { SplitRule } from '../../models/bundle/manifest.ts'
import { UNRATED } from '../rows/reader.ts'
import type { Source } from '../source/source.ts'

export const DATASET_FORMAT = 1

/** Files of a dataset folder. */
export const DATASET_FILES = {
  manifest: 'dataset.json',
  /** hash and text */
  prompts: 'prompts.arrow',
  /** split and category of each prompt */
  splits: 'splits.arrow',
  preferences: 'preferences.arrow',
  outcomes: 'outcomes.arrow',
  /** what judges and people say of the same answers; only in datasets of `weir collect` with labels of people */
  judged: 'judged.json',
} as const

const Count = Type.Integer({ minimum: 0 })

/** What the weak signals of a decision log are worth, by the answers that people rated as well. */
export const WeakSignalReport = Type.Object({
  /** answers that a later request spoke of; those of them that were rated, and those that got a weak score */
  answers: Count,
  rated: Count,
  scored: Count,
  signs: Type.Array(
    Type.Object({
      sign: Type.String(),
      answers: Count,
      rated: Count,
      /** mean rating with the sign, and of answers without it; null without any */
      score: Type.Union([Type.Number(), Type.Null()]),
      without: Type.Union([Type.Number(), Type.Null()]),
      /** the first less the second, with its 95% interval; absent with too few ratings */
      difference: Type.Optional(Interval),
      /** whether the interval lies below 0, so that the sign counts */
      used: Type.Boolean(),
    }),
  ),
})
export type WeakSignalReport = Type.Static<typeof WeakSignalReport>

/** `dataset.json`: the contents of the folder and their sources. */
export const DatasetManifest = Type.Object({
  format: Type.Literal(DATASET_FORMAT),
  sources: Type.Array(
    Type.Object({
      path: Type.String(),
      sha256: Type.String(),
      rows: Count,
      format: Type.String(),
    }),
  ),
  /** sorted; the Arrow files store indices into this list */
  models: Type.Array(Type.String()),
  judges: Type.Array(Type.String()),
  split: SplitRule,
  /** other settings that kept prompts together or held them out */
  split_by: Type.Object({
    group_by: Type.Optional(Type.String()),
    test_by: Type.Optional(Type.Literal('category')),
    /** seconds since 1970 */
    test_after: Type.Optional(Type.Number()),
    /** prompts kept together because they ask the same under different templates */
    copies: Type.Optional(Count),
    /** prompts that many groups share, kept for training instead of joining the groups */
    common: Type.Optional(Count),
  }),
  counts: Type.Object({
    prompts: Count,
    preferences: Count,
    /** prompts with at least one score */
    outcomes: Count,
    train: Count,
    validation: Count,
    calibration: Count,
    test: Count,
  }),
  /** read = kept + rejected + duplicates + left_out; absent is 0 */
  rows: Type.Object({
    read: Count,
    kept: Count,
    rejected: Count,
    duplicates: Count,
    left_out: Type.Optional(Count),
  }),
  /** rows left out, by reason */
  left_out: Type.Optional(Type.Record(Type.String(), Count)),
  weak_signals: Type.Optional(WeakSignalReport),
})
export type DatasetManifest = Type.Static<typeof DatasetManifest>

/** Answers of the log that nobody has rated, or not yet. */
export const unratedAnswers = ({ left_out: by }: Pick<DatasetManifest, 'left_out'>): number =>
  Object.values(UNRATED).reduce((sum, reason) => sum + (by?.[reason] ?? 0), 0)

/** Whether there is a dataset folder at the path. */
export async function isDataset(path: string): Promise<boolean> {
  const info = await stat(join(path, DATASET_FILES.manifest)).catch(() => undefined)
  return info !== undefined
}

export async function readManifest(path: string): Promise<DatasetManifest> {
  const text = await readFile(join(path, DATASET_FILES.manifest), 'utf8').catch((cause) => {
    throw new WeirError('file_not_found', { path: join(path, DATASET_FILES.manifest) }, { cause })
  })
  let manifest: unknown
  try {
    manifest = JSON.parse(text)
  } catch (cause) {
    throw new WeirError('dataset_invalid', { path, reason: 'dataset.json is not JSON' }, { cause })
  }
  if (!Value.Check(DatasetManifest, manifest)) {
    const [first] = Value.Errors(DatasetManifest, manifest)
    const reason = `dataset.json${first ? `${first.instancePath} ${first.message}` : ' does not fit'}`
    throw new WeirError('dataset_invalid', { path, reason })
  }
  return manifest
}

type SourceRecord = DatasetManifest['sources'][number]

/** Detects files with identical bytes: their rows are the same events, to be counted once. */
export class SourceDigests {
  private readonly sizes = new Map<number, number>()
  private readonly known = new Map<string, SourceRecord>()

  constructor(sources: readonly Source[]) {
    for (const { size } of sources) this.sizes.set(size, (this.sizes.get(size) ?? 0) + 1)
  }

  /**
   * The earlier file with the same bytes, if any. Only files of equal size are hashed.
   *
   * @param placed what the file's place says of its rows, such as the model: other rows if it differs
   */
  async find(source: Source, placed: string): Promise<SourceRecord | undefined> {
    if (source.size === 0 || this.sizes.get(source.size) === 1) return undefined
    return this.known.get(`${await source.sha256()}\n${placed}`)
  }

  add(record: SourceRecord, placed: string): SourceRecord {
    this.known.set(`${record.sha256}\n${placed}`, record)
    return record
  }
}

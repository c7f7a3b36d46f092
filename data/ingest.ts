import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { throwIfAborted } from '../core/abort.ts'
import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import type { OnProgress, Progress } from '../core/progress.ts'
import type { FeedbackRecord, SignalRecord } from '../records/decision-record.ts'
import { DatasetBuilder, type ModelRows, type SplitOptions } from './dataset/builder.ts'
import { type Dataset, openDataset } from './dataset/dataset.ts'
import { replaceFolder } from './dataset/folder.ts'
import { type DatasetManifest, isDataset, SourceDigests } from './dataset/manifest.ts'
import {
  feedbackRow,
  ratingsWithinKeyShare,
  unratedDecision,
  unratedDecisions,
} from './readers/weir-log.ts'
import { isKnownToThreads } from './readers.ts'
import { type Decisions, type LoggedDecision, type Rating, UNRATED } from './rows/reader.ts'
import { RejectsFile } from './rows/rejects-file.ts'
import type { RowBlock } from './rows/row-block.ts'
import { RowPacker } from './rows/row-packer.ts'
import { expandPaths } from './source/expand-paths.ts'
import { readLinesInThreads } from './source/line-pool.ts'
import { type Log, type LogOptions, openLog, openLogTable } from './source/log.ts'
import { openQuery, QUERY_PATH, type QueryOption } from './source/query.ts'
import { gatherScores, type ScoresOptions } from './source/scores.ts'
import { openSource, type Source } from './source/source.ts'

import { DEFAULT_FRACTIONS, SPLITS, type SplitFractions } from './splits/assign-splits.ts'
import { weakOutcomes, weakSignalLines } from './weak-outcomes.ts'

export interface IngestOptions extends Omit<LogOptions, 'joined'>, ScoresOptions {
  /** the dataset folder; an existing dataset there is replaced */
  readonly out: string
  readonly seed: number
  readonly fractions?: SplitFractions
  /** whole categories become the test split, up to its fraction */
  readonly testBy?: 'category'
  /** prompts first asked at this time or later (seconds since 1970) become the test split */
  readonly testAfter?: number
  /** the maximum fraction of rows that may be refused; 0.01 by default */
  readonly maxRejects?: number
  /** feedback on the logs' decisions that is stored elsewhere, such as in a store shared by replicas */
  readonly feedback?: AsyncIterable<FeedbackRecord>
  /** most of the feedback of decision logs that one API key may have given; 0.5 by default */
  readonly keyShare?: number | undefined
  /** file for refused rows; `<out>.rejects.jsonl` by default */
  readonly rejectsPath?: string
  /** the most bytes that a log may have once decompressed; no limit by default */
  readonly maxBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
  /** rows that DuckDB selects, read after the logs; the dataset names the SHA-256 of its text */
  readonly query?: QueryOption | undefined
  /** gets what a user should know of how a file is read, such as which columns are not taken for models */
  readonly onNote?: ((note: string) => void) | undefined
}

export interface IngestSummary {
  readonly manifest: DatasetManifest
  /** every model, with what was read of it */
  readonly models: readonly ModelRows[]
  /** the file with the refused rows, if there are any */
  readonly rejectsPath?: string
}

export const DEFAULT_MAX_REJECTS = 0.01

/**
 * Reads logs into a dataset folder, atomically. Throws `too_many_rejects` above `maxRejects`, and any error
 * from opening and reading the files.
 */
export async function ingest(
  paths: readonly string[],
  options: IngestOptions,
): Promise<IngestSummary> {
  const { signal, onProgress, maxBytes } = options
  const split = splitOptions(options)
  const rejects = new RejectsFile(options.rejectsPath ?? `${options.out}.rejects.jsonl`)
  const files = await expandPaths(paths, [options.out, rejects.path])
  const sources = await Promise.all(files.map((path) => openSource(path, signal, maxBytes)))
  const total = sources.reduce((sum, source) => sum + source.size, 0)

  const { manifest, models } = await replaceFolder(options.out, async (folder) => {
    await rejects.start()
    const builder = await DatasetBuilder.create(folder)
    const seen = new SourceDigests(sources)
    const ratings: Rating[] = []
    const signals: SignalRecord[] = []
    const decisions: Decisions = Object.assign(new Map(), { ratings, signals })
    const ended: DatasetManifest['sources'][number][] = []
    let done = 0
    try {
      const {
        logs,
        joined,
        files: scoreFiles,
      } = await gatherScores(sources, options, (reject) => rejects.write(reject), signal)
      for (const { source, rows, format } of scoreFiles) {
        ended.push({ path: source.path, sha256: await source.sha256(), rows, format })
        done += source.size
      }
      const needsTime = split.testAfter !== undefined
      const settings = { ...options, needsTime, decisions, ...(joined && { joined }) }
      let passedOver: unknown
      for (const source of logs) {
        const before = builder.rows.read
        const log = await openLog(source, settings).catch((error: unknown) => {
          const why = passedOverBecause(error, source.path, paths)
          if (why === undefined) throw error
          passedOver ??= error
          options.onNote?.(`${source.path}: passed over, ${why}`)
        })
        if (!log) {
          done += source.size
          continue
        }
        const repeated = await seen.find(source, log.placed)
        if (repeated) {
          await log.close()
          builder.addRepeated(repeated.rows)
          ended.push({ ...repeated, path: source.path })
        } else {
          for (const note of log.notes) options.onNote?.(note)
          try {
            for await (const block of blocksOf(log, source, split.seed, signal)) {
              for (const reject of block.rejects) await rejects.write(reject)
              await builder.add(block)
              onProgress?.(readingProgress(builder.rows.read, done + source.bytesRead(), total))
            }
          } finally {
            await log.close()
          }
          const rows = builder.rows.read - before
          const { format } = log.spec
          const sha256 = await source.sha256()
          ended.push(seen.add({ path: source.path, sha256, rows, format }, log.placed))
        }
        done += source.size
      }
      if (passedOver && builder.rows.read === 0 && !options.query) throw passedOver
      if (options.query) {
        const log = await openQueryLog(options.query, options, settings)
        const before = builder.rows.read
        for (const note of log.notes) options.onNote?.(note)
        try {
          for await (const block of packedBlocks(log, split.seed, signal)) {
            for (const reject of block.rejects) await rejects.write(reject)
            await builder.add(block)
            onProgress?.({ stage: 'rows read', done: builder.rows.read })
          }
        } finally {
          await log.close()
        }
        const sha256 = createHash('sha256').update(options.query.sql).digest('hex')
        const rows = builder.rows.read - before
        ended.push({ path: QUERY_PATH, sha256, rows, format: log.spec.format })
      }
      if (options.feedback) ended.push(await readFeedback(options.feedback, ratings))
      const rated = await addDecisions(builder, decisions, ratings, rejects, options)
      for (const source of ended) {
        builder.endSource({ ...source, rows: source.rows + (rated.get(source.path) ?? 0) })
      }
      if (signals.length > 0) await addWeakOutcomes(builder, decisions, ratings, options)
      await rejects.close()
      checkRejects(rejects, builder.rows.read, options.maxRejects ?? DEFAULT_MAX_REJECTS)
      checkLeftOut(builder, options.query ? [...paths, QUERY_PATH] : paths)
      return { manifest: await builder.finish(split, options), models: builder.modelRows() }
    } finally {
      await rejects.close()
      await builder.close()
    }
  })
  return { manifest, models, ...(rejects.count > 0 && { rejectsPath: rejects.path }) }
}

/**
 * Why a file that could not be opened does not stop the run: it is empty, as an API's last page is; or JSON that
 * other programs leave beside logs in folders (settings, notebooks, summaries). Undefined if it does.
 */
function passedOverBecause(
  error: unknown,
  path: string,
  named: readonly string[],
): string | undefined {
  if (!(error instanceof WeirError)) return undefined
  if (error.code === 'rows_too_few') return 'it holds no rows'
  const isForeign = ['format_unknown', 'column_missing'].includes(error.code)
  return isForeign && !named.includes(path) && /\.json(\.(gz|gzip|zst|zstd))?$/i.test(path)
    ? 'it is JSON of no known layout'
    : undefined
}

/** Feedback of a store, added to that of the logs. */
async function readFeedback(
  feedback: AsyncIterable<FeedbackRecord>,
  ratings: Rating[],
): Promise<DatasetManifest['sources'][number]> {
  const path = '(feedback store)'
  const digest = createHash('sha256')
  let line = 0
  for await (const record of feedback) {
    digest.update(`${JSON.stringify(record)}\n`)
    ratings.push({ record, origin: { path, line: ++line } })
  }
  return { path, sha256: digest.digest('hex'), rows: 0, format: 'weir-log' }
}

const RATING_ROWS = 1024

/**
 * Adds the feedback on the logs' decisions, of which one key may not give too much, and the decisions without any,
 * in the order of the decisions: a prompt's place in the log stands for its time. @returns rows by the path of
 * their file
 */
async function addDecisions(
  builder: DatasetBuilder,
  decisions: Decisions,
  ratings: readonly Rating[],
  rejects: RejectsFile,
  { seed, keyShare, onNote, signal }: IngestOptions,
): Promise<Map<string, number>> {
  const rows = new Map<string, number>()
  const { kept, limited } = ratingsWithinKeyShare(ratings, keyShare)
  for (const { key, rated, counted } of limited) {
    onNote?.(`of the ${rated} decisions that the key ${key} rated, ${counted} count (--key-share)`)
  }
  const rated = ratings.map((rating): DecisionRow => {
    const decision = decisions.get(rating.record.decision_id)
    return { rating, row: feedbackRow(rating.record, rating.origin, decisions), decision }
  })
  const waiting = unratedDecisions(decisions).map((decision): DecisionRow => ({ decision }))
  const place = new Map(Array.from(decisions.values(), (decision, i) => [decision, i]))
  const order = (a: DecisionRow, b: DecisionRow): number =>
    !a.decision || !b.decision
      ? Number(!a.decision) - Number(!b.decision)
      : a.decision.time - b.decision.time || place.get(a.decision)! - place.get(b.decision)!
  const packer = new RowPacker(seed)
  const all = [...rated, ...waiting].sort(order)
  for (const [i, { rating, row, decision }] of all.entries()) {
    if (!rating) packer.add(unratedDecision(decision!, UNRATED.decision))
    else if (kept.has(rating)) packer.add(row!)
    else if (decision) packer.add(unratedDecision(decision, UNRATED.share))
    else packer.add({ kind: 'left_out', reason: UNRATED.share })
    if (rating) rows.set(rating.origin.path, (rows.get(rating.origin.path) ?? 0) + 1)
    if ((i + 1) % RATING_ROWS > 0 && i + 1 < all.length) continue
    throwIfAborted(signal)
    const block = packer.finish()
    for (const reject of block.rejects) await rejects.write(reject)
    await builder.add(block)
    packer.takeBack(block.text.buffer as ArrayBuffer)
  }
  return rows
}

/** Adds what weak signals say of answers that nobody rated, as far as ratings show that they say something. */
async function addWeakOutcomes(
  builder: DatasetBuilder,
  decisions: Decisions,
  ratings: readonly Rating[],
  { seed, keyShare, onNote }: IngestOptions,
): Promise<void> {
  const { kept } = ratingsWithinKeyShare(ratings, keyShare)
  const { rows, report } = weakOutcomes(decisions, [...kept])
  builder.weakSignals = report
  for (const line of weakSignalLines(report)) onNote?.(line)
  for (let from = 0; from < rows.length; from += RATING_ROWS) {
    const packer = new RowPacker(seed)
    for (const row of rows.slice(from, from + RATING_ROWS)) packer.add(row)
    await builder.add(packer.finish())
  }
}

/** A rating, or a decision without one. */
interface DecisionRow {
  readonly decision?: LoggedDecision | undefined
  readonly rating?: Rating
  readonly row?: ReturnType<typeof feedbackRow>
}

/** Progress in rows; the total is extrapolated from the fraction of bytes read. */
function readingProgress(rows: number, bytes: number, totalBytes: number): Progress {
  const share = Math.min(1, bytes / totalBytes)
  const known = totalBytes > 0 && share > 0
  return { stage: 'rows read', done: rows, ...(known && { total: Math.round(rows / share) }) }
}

/** Smaller files are read faster than a thread starts. */
const THREADS_FROM_BYTES = 16 * 1024 * 1024

async function* blocksOf(
  log: Log,
  source: Source,
  seed: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<RowBlock> {
  const threads = source.size >= THREADS_FROM_BYTES && isKnownToThreads(log.spec.format)
  if (log.lines && threads) {
    await log.close()
    yield* readLinesInThreads(source, log.spec, seed)
    return
  }
  yield* packedBlocks(log, seed, signal)
}

async function openQueryLog(
  query: QueryOption,
  watch: Pick<IngestOptions, 'signal' | 'onProgress'>,
  settings: LogOptions,
): Promise<Log> {
  return openLogTable(await openQuery(query, watch), QUERY_PATH, settings)
}

async function* packedBlocks(
  log: Log,
  seed: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<RowBlock> {
  const packer = new RowPacker(seed)
  for await (const batch of log.rows()) {
    throwIfAborted(signal)
    for (const row of batch) packer.add(row)
    const block = packer.finish()
    yield block
    packer.takeBack(block.text.buffer as ArrayBuffer)
  }
}

function splitOptions(options: IngestOptions): SplitOptions {
  const { seed, groupBy, testBy, testAfter, fractions = DEFAULT_FRACTIONS } = options
  const sum = SPLITS.reduce((total, split) => total + fractions[split], 0)
  if (!(Math.abs(sum - 1) < 1e-9 && SPLITS.every((split) => fractions[split] >= 0))) {
    const got = SPLITS.map((split) => fractions[split]).join(', ')
    throw new WeirError('option_invalid', {
      option: '--split',
      expected: 'fractions that add up to 1',
      got,
    })
  }
  return definedOnly({
    seed,
    fractions,
    groupBy,
    testBy,
    testAfter,
  })
}

/**
 * Reads the logs into a dataset in memory. Rejects go to `<first log>.rejects.jsonl` in the working folder.
 */
export async function readLogs(
  paths: readonly string[],
  options: Omit<IngestOptions, 'out'>,
): Promise<Dataset> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-'))
  try {
    const out = join(folder, 'dataset')
    const rejectsPath = options.rejectsPath ?? `${basename(paths[0] ?? 'log')}.rejects.jsonl`
    await ingest(paths, { ...options, out, rejectsPath })
    return await openDataset(out)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function checkRejects(rejects: RejectsFile, read: number, limit: number): void {
  if (rejects.count <= limit * read) return
  throw new WeirError('too_many_rejects', {
    rejected: rejects.count,
    read,
    limit,
    rejects: rejects.path,
    first: rejects.first,
  })
}

/** Throws `rows_too_few` if every row was left out. */
function checkLeftOut({ rows, leftOut }: DatasetBuilder, paths: readonly string[]): void {
  if (rows.kept > 0 || leftOut.size === 0) return
  const reasons = [...leftOut].map(([reason, count]) => `${count} ${reason}`).join(', ')
  const what = `to learn from in ${paths.join(', ')} (left out: ${reasons})`
  throw new WeirError('rows_too_few', { expected: 1, what, got: 0 })
}

/** If the only path is a dataset folder, opens it as it is; otherwise reads the logs. */
export async function openDatasetOrLogs(
  paths: readonly string[],
  options: Omit<IngestOptions, 'out'>,
): Promise<Dataset> {
  const [only] = paths
  if (paths.length === 1 && (await isDataset(only!))) return openDataset(only!)
  return readLogs(paths, options)
}

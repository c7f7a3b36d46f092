import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { writeWhole } from '../../core/files.ts'
import type { OnProgress } from '../../core/progress.ts'
import { readPromptRows } from '../../data/prompt-log.ts'
import type { QueryOption } from '../../data/source/query.ts'
import { loadRouter } from '../../models/router.ts'
import type { GatewayConfig } from '../../serving/gateway/config.ts'
import { type Asker, openAsker } from '../../serving/judging/asker.ts'
import { scoreAll } from '../../training/evaluate/log/router-scores.ts'
import { CallJournal } from './calls.ts'
import { openChecks } from './checks.ts'
import { clustersOf } from './clusters.ts'
import {
  COLLECTION_FILES,
  type Collection,
  type CollectionSettings,
  createCollection,
  isCollection,
  lockCollection,
  readCollection,
  type SampleRow,
} from './collection.ts'
import { addGraders, readGraders } from './graders.ts'
import { type GradedRow, gradedRows, readLabels } from './grades.ts'
import { writeDataset } from './log.ts'
import { type Plan, planLines, planOf } from './plan.ts'
import { enoughLines, pairReport } from './report.ts'
import { type Ending, type JudgeSpec, pairsOf, runCollection } from './run.ts'
import { drawSample, promptId, type SamplingRule } from './sampling.ts'

/** Everything that `weir collect` was asked for; plain data, so that another process can be told. */
export interface CollectRequest {
  readonly folder: string
  /** what is asked, with its limits and prices */
  readonly gateway: GatewayConfig
  readonly log?: { readonly folder: string } | undefined
  /** prompts to draw from; none to go on with a collection that is there */
  readonly prompts: readonly string[]
  readonly query?: QueryOption | undefined
  /** where rows have their group and their right answer */
  readonly category?: string | undefined
  readonly reference?: string | undefined
  /** the strong one first; as before if a collection is gone on with */
  readonly models: readonly string[]
  readonly rule: 'uniform' | 'stratified' | 'active'
  /** for `stratified`: groups prompts by their words into so many clusters, in place of categories */
  readonly clusters?: number | undefined
  /** all prompts if absent */
  readonly sampleSize?: number | undefined
  /** a bundle, for `active` */
  readonly router?: string | undefined
  readonly seed: number
  readonly maxTokens: number
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
  readonly judges: readonly JudgeSpec[]
  readonly judgeMayBeCandidate: boolean
  readonly checks: readonly string[]
  readonly command?: string | undefined
  readonly capUsd: number
  readonly concurrency: number
  /** rows between two looks at the results */
  readonly batch: number
  /** ends the run early, by an interval that holds at every look */
  readonly until?: StopRule | undefined
  readonly askAgain: boolean
  /** only say what it would take */
  readonly planOnly: boolean
}

/** When there is enough: which model is better is decided, or the win rate is known to so much. */
export type StopRule = { readonly decided: true } | { readonly halfWidth: number }

export interface CollectSummary {
  readonly folder: string
  readonly ending: Ending | 'planned'
  readonly plan: Plan
  /** rows of the sample, those that every candidate answered, and those that cannot be */
  readonly rows: { readonly sample: number; readonly answered: number; readonly failed: number }
  readonly spent_usd: number
  /** calls that were under way when a process was killed: perhaps paid, without an answer */
  readonly in_doubt: { readonly calls: number; readonly most_usd: number }
  /** absent if nothing was graded */
  readonly dataset?: string
}

export interface CollectWatch {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
  readonly onNote: (note: string) => void
  /** milliseconds since 1970 */
  readonly now?: () => number
}

/** How long a run waits for an interrupted one to finish its calls, in milliseconds. */
const WAIT_MS = 15 * 60_000

/**
 * Draws a sample, asks the candidates and the judges, and writes a dataset. What was asked before, in this folder, is not
 * asked again.
 *
 * @throws collection_other, collection_busy, judge_is_candidate, config_invalid, row_invalid and those of `runCollection`
 */
export async function collect(
  request: CollectRequest,
  watch: CollectWatch,
): Promise<CollectSummary> {
  const { folder } = request
  const { signal, onProgress, onNote, now = Date.now } = watch
  const lock = await lockCollection(folder, {
    waitMs: WAIT_MS,
    ...definedOnly({ signal, onProgress }),
  })
  let journal: CallJournal | undefined
  let asker: Asker | undefined
  try {
    const known = isCollection(folder) ? await readCollection(folder) : undefined
    const models = request.models.length > 0 ? request.models : (known?.settings.models ?? [])
    const before = known ? await readGraders(folder) : { judges: [], checks: [] }
    const { judges, checks: checkTexts } = addGraders(before, request)
    assertJudges(models, judges, request)
    const checks = await openChecks(checkTexts, undefined)
    const [command] = request.command === undefined ? [] : await openChecks([], request.command)
    asker = await openAsker({
      config: request.gateway,
      asked: [...new Set([...models, ...judges.map(({ model }) => model)])],
      log: request.log,
      ...(request.planOnly
        ? {}
        : { cap: { usd: request.capUsd, folder: join(folder, COLLECTION_FILES.spend) } }),
      name: 'collect',
      environment: watch.environment,
      now,
      onWarning: (message, error) =>
        onNote(error instanceof Error ? `${message}: ${error.message}` : message),
    })
    const drawn = await drawnSample(request, models, known, watch)
    const plan = planOf(drawn.settings, drawn.sample, judges, asker, request.capUsd)
    for (const line of planLines(plan, drawn.settings, judges)) onNote(line)
    const summary = { folder, plan }
    if (request.planOnly) {
      return {
        ...summary,
        ending: 'planned',
        rows: { sample: drawn.sample.length, answered: 0, failed: 0 },
        spent_usd: 0,
        in_doubt: { calls: 0, most_usd: 0 },
      }
    }
    const collection = known ?? (await createCollection(folder, drawn.settings, drawn.sample))
    await writeWhole(
      join(folder, COLLECTION_FILES.graders),
      `${JSON.stringify({ judges, checks: checkTexts }, undefined, 2)}\n`,
    )
    journal = new CallJournal(folder)
    const calls = journal
    const said = { judges, checks, labels: await readLabels(folder) }
    const rows: GradedRow[] = []
    let gradedTo = 0
    let grading = Promise.resolve()
    /** Grades the sample up to a row that is done with; rows are graded once, in order. */
    const gradeTo = (end: number): Promise<void> => {
      grading = grading.then(async () => {
        if (end <= gradedTo) return
        const sample = collection.sample.slice(gradedTo, end)
        rows.push(...(await gradedRows({ ...collection, sample }, calls, said)))
        gradedTo = end
      })
      return grading
    }
    const { ending } = await runCollection(collection, {
      asker,
      journal,
      enough: async (done) => {
        await gradeTo(done)
        return looked(rows, collection.settings.models, calls.spentUsd, request.until, onNote)
      },
      judges,
      command,
      concurrency: request.concurrency,
      batch: request.batch,
      askAgain: request.askAgain,
      signal,
      onProgress,
      now,
    })
    await gradeTo(collection.sample.length)
    const { seed } = collection.settings.sample
    const written = await writeDataset(folder, rows, collection.settings.models, seed)
    const inDoubt = journal.open
    return {
      ...summary,
      ending,
      rows: {
        sample: collection.sample.length,
        answered: rows.length,
        failed: failedRows(collection, journal),
      },
      spent_usd: journal.spentUsd,
      in_doubt: {
        calls: inDoubt.length,
        most_usd: inDoubt.reduce((sum, { most_usd: usd }) => sum + usd, 0),
      },
      ...(written && { dataset: join(folder, COLLECTION_FILES.dataset) }),
    }
  } finally {
    journal?.close()
    await asker?.close()
    lock.release()
    // planning leaves nothing behind
    if (request.planOnly && !isCollection(folder)) await removeEmpty(folder)
  }
}

/** Says what is known after a batch, and whether that is enough. */
function looked(
  rows: readonly GradedRow[],
  models: readonly string[],
  spentUsd: number,
  until: StopRule | undefined,
  onNote: (note: string) => void,
): boolean {
  const reports = pairsOf(models).flatMap(([a, b]) => pairReport(rows, a, b, spentUsd) ?? [])
  for (const { strong, weak, enough } of reports) {
    onNote(`after ${rows.length} prompts, ${strong} beside ${weak}:`)
    for (const line of enoughLines(enough, strong, weak)) onNote(line)
  }
  if (until === undefined || reports.length === 0) return false
  return reports.every(
    ({
      enough: {
        verdict,
        any_time: { low, high },
      },
    }) => ('decided' in until ? verdict !== 'open' : (high - low) / 2 <= until.halfWidth),
  )
}

const removeEmpty = async (folder: string): Promise<void> => {
  await rm(join(folder, 'lock'), { force: true })
  await rmdir(folder).catch(() => {})
}

const failedRows = ({ sample, settings }: Collection, journal: CallJournal): number =>
  sample.filter(({ id }) =>
    settings.models.some((model) => journal.result(`${id}/answer/${model}`)?.object === 'failed'),
  ).length

/** @throws judge_is_candidate, option_invalid */
function assertJudges(
  models: readonly string[],
  judges: readonly JudgeSpec[],
  { judgeMayBeCandidate, gateway }: CollectRequest,
): void {
  if (models.length === 0 || new Set(models).size < models.length) {
    const expected = 'the models to compare, the strong one first, each once'
    throw new WeirError('option_invalid', {
      option: '--models',
      expected,
      got: models.join(',') || 'none',
    })
  }
  if (judges.some(({ mode }) => mode === 'pairs') && models.length < 2) {
    const expected = 'two models or more, as the judge compares their answers'
    throw new WeirError('option_invalid', { option: '--models', expected, got: models.join(',') })
  }
  if (judgeMayBeCandidate) return
  /** a model under another name is the same model */
  const behind = (name: string): string[] =>
    (gateway.models[name]?.upstreams ?? []).map(
      ({ upstream, model = name }) => `${upstream} ${model}`,
    )
  for (const judge of judges) {
    const model = models.find(
      (name) =>
        name === judge.model || behind(name).some((one) => behind(judge.model).includes(one)),
    )
    if (model !== undefined)
      throw new WeirError('judge_is_candidate', { judge: judge.model, model })
  }
}

interface DrawnSample {
  readonly settings: CollectionSettings
  readonly sample: readonly SampleRow[]
}

/** The sample of the collection that is there, or a new one. @throws collection_other */
async function drawnSample(
  request: CollectRequest,
  models: readonly string[],
  known: Collection | undefined,
  watch: CollectWatch,
): Promise<DrawnSample> {
  const { prompts: paths, query, category, reference, rule, seed, clusters } = request
  const { signal, onProgress, now = Date.now } = watch
  if (paths.length === 0 && query === undefined) {
    if (known) return assertSame(known, { ...known.settings, models: [...models] })
    const expected = 'prompts to ask: files, or --query'
    throw new WeirError('option_invalid', { option: 'weir collect', expected, got: 'neither' })
  }
  if (clusters !== undefined && rule !== 'stratified') {
    const expected = '--sample stratified, whose groups it makes'
    throw new WeirError('option_invalid', { option: '--clusters', expected, got: rule })
  }
  const { rows, sources } = await readPromptRows(
    paths,
    definedOnly({ category, reference, query, signal, onProgress }),
  )
  const router = rule === 'active' && !known ? await winRates(request, rows, watch) : undefined
  const size = Math.min(request.sampleSize ?? rows.length, rows.length)
  const settings: CollectionSettings = {
    object: 'collection',
    format: 1,
    created: new Date(now()).toISOString(),
    models: [...models],
    sample: {
      rule,
      seed,
      size,
      of: rows.length,
      ...definedOnly({ router: router?.version, clusters }),
    },
    sources: sources.map((source) => ({ ...source })),
    max_tokens: request.maxTokens,
    ...definedOnly({ parameters: request.parameters }),
  }
  if (known) return assertSame(known, settings)
  const how: SamplingRule =
    rule === 'uniform'
      ? { kind: rule }
      : router
        ? { kind: 'active', winRates: router.winRates }
        : { kind: 'stratified', groups: await groupsOf(rows, request, watch) }
  const sample = drawSample(rows.length, size, how, seed).map(({ index, propensity }) => {
    const row = rows[index]!
    const { prompt, messages, tools, metadata, category: group, reference: right, times } = row
    return {
      id: promptId(prompt),
      prompt,
      messages: [...messages],
      ...definedOnly({ metadata, tools: tools && [...tools], category: group, reference: right }),
      times,
      propensity,
      ...(router && { win_rate: router.winRates[index]! }),
    }
  })
  return { settings, sample }
}

/** The category of each prompt, or its cluster. */
async function groupsOf(
  rows: readonly { readonly prompt: string; readonly category?: string }[],
  { clusters, seed }: CollectRequest,
  { signal, onProgress }: CollectWatch,
): Promise<(string | undefined)[]> {
  if (clusters === undefined) return rows.map(({ category }) => category)
  const texts = rows.map(({ prompt }) => prompt)
  const found = await clustersOf(texts, clusters, seed, { signal, onProgress })
  return Array.from(found, String)
}

async function winRates(
  { router: path }: CollectRequest,
  rows: readonly { readonly prompt: string }[],
  { signal, onProgress }: CollectWatch,
): Promise<{ readonly winRates: Float64Array; readonly version: string }> {
  if (path === undefined) {
    const expected = 'a bundle whose win rates say where it is unsure, for --sample active'
    throw new WeirError('option_invalid', { option: '--router', expected, got: 'none' })
  }
  const router = await loadRouter(path)
  try {
    const prompts = rows.map(({ prompt }) => prompt)
    const { winRate } = await scoreAll(router, prompts, { signal, onProgress })
    return { winRates: winRate, version: router.manifest.version }
  } finally {
    await router.close()
  }
}

/** @throws collection_other if the folder's collection is about something else */
function assertSame(known: Collection, asked: CollectionSettings): DrawnSample {
  const { settings, folder } = known
  const facts = ({ models, sample, sources, max_tokens, parameters }: CollectionSettings) => ({
    'the models': models.join(','),
    'the rule': sample.rule,
    'the seed': sample.seed,
    'a sample of': sample.size,
    'clusters of prompts': String(sample.clusters ?? 'none'),
    prompts: sources.map(({ sha256 }) => sha256.slice(0, 12)).join(','),
    'a limit of tokens of': max_tokens,
    parameters: JSON.stringify(parameters ?? {}),
  })
  const [before, now] = [facts(settings), facts(asked)]
  for (const [what, value] of Object.entries(before)) {
    const other = now[what as keyof typeof now]
    if (other === value) continue
    throw new WeirError('collection_other', { path: folder, what, before: value, now: other })
  }
  return known
}

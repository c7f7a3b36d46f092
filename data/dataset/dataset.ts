import { join } from 'node:path'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { promptHash } from '../../core/hash.ts'
import type { Observational } from '../../models/bundle/manifest.ts'
import { withoutContext } from '../../models/reading/transcript.ts'
import { readArrow } from '../source/arrow.ts'
import { type JudgedPair, readJudged } from './judged.ts'
import { DATASET_FILES, type DatasetManifest, readManifest } from './manifest.ts'

export { SPLITS, type Split } from '../splits/assign-splits.ts'

export interface DatasetPreferences {
  /** index into prompts */
  readonly prompt: Int32Array
  readonly modelA: Int32Array
  readonly modelB: Int32Array
  /** 1 if a is better, 0 if b is, 0.5 for a tie or both bad */
  readonly label: Float32Array
  readonly weight: Float32Array
  readonly bothBad: Uint8Array
  /** index into the manifest's judges, -1 if no judge is named */
  readonly judge: Int32Array
  /** probability with which a server chose model a for the prompt, NaN if unknown; from Weir's own logs */
  readonly propensity?: Float32Array
}

/** Matrices are prompts x models, row-major; NaN if not observed. */
export interface DatasetOutcomes {
  readonly scores: Float32Array
  readonly costs?: Float32Array
  readonly tokens?: Float32Array
  /**
   * probability with which a server chose that model for the prompt (mean over its decisions); from Weir's
   * own logs
   */
  readonly propensities?: Float32Array
  /** scores that weak signals let one expect, of answers that nobody rated; for training alone */
  readonly weak?: Float32Array
  /** 1 where the model answered the prompt and an answer has no rating; absent if there are none */
  readonly unrated?: Float32Array
}

/** Which votes and scores label a pair of models. */
export interface PairOptions {
  /** prompts with a smaller total vote weight are left out; prompts with scores have weight 1 */
  readonly minVotes?: number
  /** only use votes of judges whose name contains this text, such as `human`; scores are then ignored */
  readonly judge?: string
  /** scores closer than this are a tie, others a win: weak labels from a judge's margin */
  readonly margin?: number
}

/** How the prompts of a log speak about one pair of models. */
export interface EvidenceCounts {
  /** prompts with a score of both models */
  readonly paired: number
  /** prompts with a score of the strong model only, and of the weak model only */
  readonly strong_only: number
  readonly weak_only: number
  /** prompts that only have votes between the two */
  readonly votes_only: number
  /** prompts that one of the two answered, without a rating of it */
  readonly unrated: number
}

/**
 * The pair's scores, completed for prompts that only one of the two models answered: unbiased estimates in
 * place of scores, so they may lie outside [0, 1], and only their means say something.
 */
export interface PairEstimates {
  /** indices into the dataset's models */
  readonly strong: number
  readonly weak: number
  /** prompts x 2, strong then weak: estimates on prompts with one answer, NaN on all others */
  readonly scores: Float64Array
  /** like `scores`, in US dollars and in tokens; present if they are known for every single answer */
  readonly costs?: Float64Array
  readonly tokens?: Float64Array
  /** prompts: the probability that the strong model was the one asked; NaN without an estimate */
  readonly propensity: Float64Array
  /**
   * prompts x 2, strong then weak: the probability that the model's answer would have been rated; absent where
   * every answer that was kept has a rating
   */
  readonly response?: Float64Array
  /** prompts x 2, strong then weak: predicted scores, made without the prompt's own answer; NaN without one */
  readonly predicted: Float64Array
  readonly summary: Observational
}

export interface Dataset {
  /** which votes and scores label a pair, if given when the dataset was opened */
  readonly labelled?: PairOptions
  /** what stands in for the answers that were not observed, once it was estimated for a pair */
  readonly estimates?: PairEstimates
  readonly path: string
  readonly manifest: DatasetManifest
  /** sorted */
  readonly models: readonly string[]
  /** distinct exact texts, in order of first appearance */
  readonly prompts: readonly string[]
  /** SHA-256 of each prompt, in hex */
  readonly hashes: readonly string[]
  readonly categories: readonly (string | undefined)[]
  /** for each prompt, an index into SPLITS */
  readonly split: Uint8Array
  readonly preferences?: DatasetPreferences
  readonly outcomes?: DatasetOutcomes
  /** what judges and people say of the same answers */
  readonly judged?: readonly JudgedPair[]
}

/** Throws `file_not_found` if there is no folder, and `dataset_invalid` if it is not a complete dataset. */
export async function openDataset(path: string): Promise<Dataset> {
  const manifest = await readManifest(path)
  const { prompts: n } = manifest.counts
  const prompts: string[] = []
  const hashes: string[] = []
  const categories: (string | undefined)[] = []
  const split = new Uint8Array(n)
  for await (const batch of readArrow(join(path, DATASET_FILES.prompts))) {
    const text = batch.text('text')
    const bytes = Buffer.from(text.bytes.buffer, text.bytes.byteOffset, text.bytes.byteLength)
    const digests = Buffer.from(batch.bytes('hash').bytes)
    for (let i = 0; i < batch.rows; i++) {
      prompts.push(bytes.toString('utf8', text.offsets[i], text.offsets[i + 1]))
      hashes.push(digests.toString('hex', i * 32, (i + 1) * 32))
    }
  }
  expectRows(path, DATASET_FILES.prompts, n, prompts.length)
  for await (const batch of readArrow(join(path, DATASET_FILES.splits))) {
    if (categories.length + batch.rows > n) break
    split.set(batch.numbers('split', Uint8Array), categories.length)
    const { offsets, bytes } = batch.text('category')
    const names = Buffer.from(bytes)
    for (let i = 0; i < batch.rows; i++) {
      const name = names.toString('utf8', offsets[i], offsets[i + 1])
      categories.push(name === '' ? undefined : name)
    }
  }
  expectRows(path, DATASET_FILES.splits, n, categories.length)
  const { models, counts } = manifest
  const judged = await readJudged(path, n)
  return {
    path,
    manifest,
    models,
    prompts,
    hashes,
    categories,
    split,
    ...(counts.preferences > 0 && { preferences: await readPreferences(path, counts.preferences) }),
    ...(counts.outcomes > 0 && { outcomes: await readOutcomes(path, n, models) }),
    ...(judged && { judged }),
  }
}

function expectRows(path: string, file: string, expected: number, got: number): void {
  if (expected === got) return
  const reason = `its manifest says ${expected} rows of ${file}, which holds ${got}`
  throw new WeirError('dataset_invalid', { path, reason })
}

async function readPreferences(path: string, rows: number): Promise<DatasetPreferences> {
  const prompt = new Int32Array(rows)
  const modelA = new Int32Array(rows)
  const modelB = new Int32Array(rows)
  const label = new Float32Array(rows)
  const weight = new Float32Array(rows)
  const bothBad = new Uint8Array(rows)
  const judge = new Int32Array(rows)
  let propensity: Float32Array | undefined
  let at = 0
  for await (const batch of readArrow(join(path, DATASET_FILES.preferences))) {
    prompt.set(batch.numbers('prompt', Int32Array), at)
    modelA.set(batch.numbers('model_a', Int32Array), at)
    modelB.set(batch.numbers('model_b', Int32Array), at)
    weight.set(batch.numbers('weight', Float32Array), at)
    judge.set(batch.numbers('judge', Int32Array), at)
    if (batch.has('propensity')) {
      propensity ??= new Float32Array(rows).fill(Number.NaN)
      propensity.set(batch.numbers('propensity', Float32Array), at)
    }
    const winner = batch.numbers('winner', Uint8Array)
    for (let i = 0; i < batch.rows; i++) {
      const code = winner[i]!
      label[at + i] = code === 0 ? 1 : code === 1 ? 0 : 0.5
      bothBad[at + i] = code === 3 ? 1 : 0
    }
    at += batch.rows
  }
  expectRows(path, DATASET_FILES.preferences, rows, at)
  const table = { prompt, modelA, modelB, label, weight, bothBad, judge }
  return propensity ? { ...table, propensity } : table
}

const OUTCOME_COLUMNS = ['scores', 'costs', 'tokens', 'propensities', 'weak', 'unrated'] as const

async function readOutcomes(
  path: string,
  rows: number,
  models: readonly string[],
): Promise<DatasetOutcomes> {
  const found: Partial<Record<(typeof OUTCOME_COLUMNS)[number], Float32Array>> = {}
  let at = 0
  for await (const batch of readArrow(join(path, DATASET_FILES.outcomes))) {
    for (const name of OUTCOME_COLUMNS) {
      if (!batch.has(`${name}/${models[0]}`)) continue
      found[name] ??= new Float32Array(rows * models.length)
      for (let m = 0; m < models.length; m++) {
        const values = batch.numbers(`${name}/${models[m]}`, Float32Array)
        for (let i = 0; i < batch.rows; i++) found[name][(at + i) * models.length + m] = values[i]!
      }
    }
    at += batch.rows
  }
  if (at !== rows || !found.scores) {
    const reason = `outcomes.arrow holds ${at} rows of ${rows}`
    throw new WeirError('dataset_invalid', { path, reason })
  }
  return definedOnly({
    scores: found.scores,
    costs: found.costs,
    tokens: found.tokens,
    propensities: found.propensities,
    weak: found.weak,
    unrated: found.unrated,
  })
}

/**
 * The hash by which a bundle knows a prompt that it has seen: of the prompt without its declared context, so that
 * a router that reads other keys of the same log knows it too.
 */
export function seenHash(
  { prompts, hashes }: Pick<Dataset, 'prompts' | 'hashes'>,
  prompt: number,
): string {
  const text = prompts[prompt]!
  const bare = withoutContext(text)
  return bare === text ? hashes[prompt]! : promptHash(bare)
}

import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeWhole } from '../../core/files.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import type { Embeddings } from '../../models/encoders/embeddings.ts'
import type { EncoderArtifact } from '../../models/encoders/encoder.ts'
import { ensembleScores, MEMBERS } from '../../models/families/ensemble.ts'
import type { HeadWeights } from '../../models/families/family.ts'
import { type FittedRouter, fitRouter } from '../../training/fit-router.ts'
import { pairRows, winRateLosses } from '../../training/trainers/pair-rows.ts'
import { HELD_OUT, pairOnly, type RouterSet } from './router-sets.ts'

/** One contender's results on one fold. */
export interface FoldResult {
  /** of the held-out prompts, in order */
  readonly winRate: readonly number[]
  /** log-loss of each validation row, from a fit without them */
  readonly losses: readonly number[]
}

/**
 * Families that also learn from the other models' outcomes; the others would fit a head to each without using
 * it.
 */
const READ_ALL_MODELS = ['kernel', 'ensemble']

/** `family:encoder`, with `lexical` if no encoder is named. */
export function contenderOf(router: string): { family: string; encoder: string } {
  const [family = '', encoder = 'lexical'] = router.split(':')
  return { family, encoder }
}

/** The contenders of a router: an ensemble also gives those of its members, which it has fitted anyway. */
export function contendersOf(router: string): string[] {
  const { family, encoder } = contenderOf(router)
  return family === 'ensemble' ? [router, ...MEMBERS.map((name) => `${name}:${encoder}`)] : [router]
}

/**
 * Fits a router on the fold's training rows, and returns each of its contenders' results on the held-out
 * prompts.
 */
export async function fitFold(
  set: RouterSet,
  folded: Dataset,
  router: string,
  given: {
    readonly encoders: ReadonlyMap<string, EncoderArtifact>
    readonly seed: number
    readonly signal: AbortSignal
  },
): Promise<Record<string, FoldResult>> {
  const { family, encoder } = contenderOf(router)
  const dataset = READ_ALL_MODELS.includes(family) ? folded : pairOnly(folded, set)
  const artifact = given.encoders.get(encoder.replace('lexical+', ''))
  const fitted = await fitRouter(dataset, {
    strong: set.strong,
    weak: set.weak,
    router: family,
    engine: 'onnx',
    seed: given.seed,
    threads: 1,
    ...(artifact && { encoder: artifact, besideLexical: encoder.startsWith('lexical+') }),
    signal: given.signal,
  })
  const texts = dataset.prompts.filter((_, row) => dataset.split[row] === HELD_OUT)
  const { embeddings } = await fitted.encoder.encoder.encode(texts)
  const { pair, validation, weights, heldOut = weights } = fitted
  const observed = pairRows(validation, { models: dataset.models, ...pair })
  const asked = saidBy(router, fitted, weights, embeddings)
  const judged = saidBy(router, fitted, heldOut, validation.embeddings)
  return Object.fromEntries(
    Array.from(asked, ([name, winRate]) => [
      name,
      {
        winRate: Array.from(winRate),
        losses: Array.from(winRateLosses(judged.get(name)!, observed)),
      },
    ]),
  )
}

/** Win rates by each of the router's contenders. */
function saidBy(
  router: string,
  { family, pair }: FittedRouter,
  weights: HeadWeights,
  rows: Embeddings,
): Map<string, Float64Array> {
  if (family.name !== 'ensemble') {
    return new Map([[router, family.forward(weights, pair, rows).winRate]])
  }
  const { winRate, members } = ensembleScores(weights, pair, rows)
  const { encoder } = contenderOf(router)
  return new Map([
    [router, winRate],
    ...Array.from(members, ([name, said]) => [`${name}:${encoder}`, said] as const),
  ])
}

const FITTED_BY = [
  'training/trainers',
  'training/solver',
  'training/lexical',
  'models/families',
  'models/encoders',
  'models/reading',
]

/**
 * A cache of results, as JSON, keyed by the question and the code that answers it, so that a stopped run can
 * continue.
 */
export interface FoldStore {
  keep<T>(key: readonly unknown[], make: () => Promise<T>): Promise<T>
}

export async function openFoldStore(folder: string): Promise<FoldStore> {
  const code = createHash('sha256')
  for (const part of FITTED_BY) {
    const path = join(import.meta.dirname, '../..', part)
    const entries = await readdir(path, { recursive: true })
    for (const file of entries.filter((entry) => entry.endsWith('.ts')).sort()) {
      code.update(file).update(await readFile(join(path, file)))
    }
  }
  const version = code.digest('hex').slice(0, 12)
  return {
    async keep<T>(key: readonly unknown[], make: () => Promise<T>) {
      const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16)
      const path = join(folder, version, `${name}.json`)
      const known = await readFile(path, 'utf8').catch(() => undefined)
      if (known !== undefined) return JSON.parse(known) as T
      const made = await make()
      await mkdir(dirname(path), { recursive: true })
      await writeWhole(path, JSON.stringify(made), { flush: false })
      return made
    },
  }
}

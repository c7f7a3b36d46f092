import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeirError } from '../../../core/errors.ts'
import type { OnProgress } from '../../../core/progress.ts'
import { createRandom } from '../../../core/random.ts'
import { sampleMeanInterval } from '../../../core/stats/intervals.ts'
import { Z_95 } from '../../../core/stats/normal.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { readLogs } from '../../../data/ingest.ts'
import { pairLabels } from '../../../data/pair.ts'
import { errorFloor } from '../../../training/ope/error-floor.ts'
import { withPairEstimates } from '../../../training/ope/pair-estimates.ts'
import { effectiveAnswers, singleEvidence } from '../../../training/ope/sensitivity.ts'

export interface FewAnswers {
  /** logs that are worth too few answers to be judged at all */
  readonly refused: number
  /** parts of logs that were judged */
  readonly parts: number
  /** mean effective number of answers of the model that has fewer */
  readonly effective: number
  /** of the intervals from the rows alone, and of those of reports: the share that holds the truth */
  readonly plain: number
  readonly covered: number
  /** root mean square of the error over its standard error as stated */
  readonly plainRatio: number
  readonly ratio: number
}

const PAIR = { strong: 'big', weak: 'small' }
const PART = 450
const PARTS = 3
const TRUTH = 0.9 - (0.85 + 0.3) / 2

/**
 * Simulated logs of which parts are judged that are worth few answers: the strong model is asked for 90% of hard
 * prompts and 10% of easy ones, half of the answers are rated, and nothing of that is logged.
 */
export async function fewAnswers(logs: number, onProgress: OnProgress): Promise<FewAnswers> {
  let refused = 0
  let [parts, effective, plain, covered, plainSquares, squares] = [0, 0, 0, 0, 0, 0]
  for (let seed = 1; seed <= logs; seed++) {
    onProgress({ stage: 'few effective answers', done: seed - 1, total: logs })
    const simulated = await simulatedLog(seed)
    const log = await withPairEstimates(simulated, PAIR, { seed: 1 }).catch((error: unknown) => {
      if (error instanceof WeirError && error.code === 'overlap_missing') return undefined
      throw error
    })
    if (!log) {
      refused++
      continue
    }
    const labels = pairLabels(log, PAIR.strong, PAIR.weak)
    for (let part = 0; part < PARTS; part++) {
      const rows = Array.from(labels.prompt.keys()).filter(
        (row) => Math.floor(labels.prompt[row]! / PART) === part,
      )
      const prompts = Int32Array.from(rows, (row) => labels.prompt[row]!)
      const singles = singleEvidence(log, prompts, PAIR.strong)!.rows
      const own = sampleMeanInterval(
        Float64Array.from(rows, (row) => labels.strong![row]! - labels.weak![row]!),
      )
      const wide = errorFloor(singles).widen(own, () => 1)
      const error = own.value! - TRUTH
      const half = (interval: typeof own): number => (interval.high! - interval.low!) / 2
      parts++
      effective += Math.min(...Object.values(effectiveAnswers(singles)))
      if (Math.abs(error) <= half(own)) plain++
      if (Math.abs(error) <= half(wide)) covered++
      plainSquares += ((Z_95 * error) / half(own)) ** 2
      squares += ((Z_95 * error) / half(wide)) ** 2
    }
  }
  return {
    refused,
    parts,
    effective: effective / parts,
    plain: plain / parts,
    covered: covered / parts,
    plainRatio: Math.sqrt(plainSquares / parts),
    ratio: Math.sqrt(squares / parts),
  }
}

/** Six words of thirty, of which one says whether the prompt is hard; the weak model is right with .3 or .85. */
async function simulatedLog(seed: number): Promise<Dataset> {
  const random = createRandom(seed)
  const lines = Array.from({ length: PARTS * PART }, (_, i) => {
    const hard = random.next() < 0.5
    const words = Array.from({ length: 5 }, () => `word${random.int(28) + 2}`)
    words.push(hard ? 'word0' : 'word1')
    const strong = random.next() < (hard ? 0.9 : 0.1)
    const score = Number(random.next() < (strong ? 0.9 : hard ? 0.3 : 0.85))
    const rated = random.next() < 0.5
    const scores = { [strong ? 'big' : 'small']: rated ? score : null }
    return JSON.stringify({ prompt: `${words.join(' ')} ${i * 7}`, scores })
  })
  const folder = await mkdtemp(join(tmpdir(), 'weir-few-'))
  try {
    const path = join(folder, 'log.jsonl')
    await writeFile(path, lines.join('\n'))
    return await readLogs([path], { seed: 1, rejectsPath: join(folder, 'rejects.jsonl') })
  } finally {
    await rm(folder, { recursive: true })
  }
}

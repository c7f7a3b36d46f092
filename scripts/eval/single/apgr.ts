import type { OnProgress } from '../../../core/progress.ts'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { EncoderArtifact } from '../../../models/encoders/encoder.ts'
import { apgr, costQualityCurve } from '../../../training/evaluate/metrics/curve.ts'
import { sortScores } from '../../../training/evaluate/metrics/score-order.ts'
import { fitRouter } from '../../../training/fit-router.ts'
import type { Trainer } from '../../../training/trainers/trainer.ts'
import { foldOf, HELD_OUT, openSet, type RouterSet } from '../router-sets.ts'
import { hideOne } from './worlds.ts'

export interface ApgrLosses {
  /** one per draw: APGR on held-out pairs, trained on both answers or on one of each prompt */
  readonly paired: number[]
  readonly single: number[]
  readonly loss: number[]
}

const FOLDS = 5

/** The same training prompts with both answers and with one, chosen by a fair coin; the classifier's defaults. */
export async function apgrLosses(
  folder: string,
  set: RouterSet,
  draws: number,
  seed: number,
  onProgress: OnProgress,
): Promise<ApgrLosses> {
  const found: ApgrLosses = { paired: [], single: [], loss: [] }
  if (draws === 0) return found
  const dataset = await openSet(folder, set)
  const paired = new Map<number, number>()
  const encoders = new Map<number, Map<Trainer['input'], EncoderArtifact>>()
  for (let draw = 0; draw < draws; draw++) {
    onProgress({ stage: `${set.name}: training on single answers`, done: draw, total: draws })
    const fold = draw % FOLDS
    const folded = foldOf(dataset, { fold, folds: FOLDS, seed })
    const fitted = encoders.get(fold) ?? new Map()
    encoders.set(fold, fitted)
    if (!paired.has(fold)) paired.set(fold, await heldOutApgr(folded, set, seed, fitted))
    const random = createRandom(deriveSeed(seed, `draw ${draw}`))
    const hidden = hideOne(
      folded,
      () => 0.5,
      false,
      () => random.next(),
      set,
    )
    const outcomes = { scores: hidden.outcomes!.scores }
    const single = await heldOutApgr({ ...folded, outcomes }, set, seed, fitted, dataset)
    found.paired.push(paired.get(fold)!)
    found.single.push(single)
    found.loss.push(paired.get(fold)! - single)
  }
  return found
}

async function heldOutApgr(
  dataset: Dataset,
  set: RouterSet,
  seed: number,
  fitted: Map<Trainer['input'], EncoderArtifact>,
  truth: Dataset = dataset,
): Promise<number> {
  const { family, weights, pair, encoder } = await fitRouter(dataset, {
    strong: set.strong,
    weak: set.weak,
    router: 'classifier',
    engine: 'onnx',
    seed,
    threads: 1,
    fitted,
  })
  const held = Array.from(dataset.split.keys()).filter((i) => dataset.split[i] === HELD_OUT)
  const { embeddings } = await encoder.encoder.encode(held.map((i) => dataset.prompts[i]!))
  const { winRate } = family.forward(weights, pair, embeddings)
  const { scores } = truth.outcomes!
  const gain = held.map((i) => scores[2 * i + pair.strong]! - scores[2 * i + pair.weak]!)
  return apgr(costQualityCurve(sortScores(winRate), gain))
}

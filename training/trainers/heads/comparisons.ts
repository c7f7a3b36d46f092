import { createRandom, deriveSeed } from '../../../core/random.ts'
import type { PreferenceColumns, TrainerInput, TrainingRows } from '../trainer.ts'

export type Comparisons = PreferenceColumns

/**
 * The data of a family that learns from comparisons: the log's preferences, and outcomes as soft preferences
 * with label (1 + s_a - s_b) / 2. A prompt with m scored models has m (m - 1) / 2 pairs; above
 * `pairsPerPrompt` that many are drawn at random (seeded), always including the routed pair.
 */
export function comparisons(
  split: TrainingRows,
  input: Pick<TrainerInput, 'models' | 'strong' | 'weak' | 'seed'>,
  pairsPerPrompt: number,
): Comparisons {
  const rows = new Rows()
  const { preferences, outcomes } = split
  for (let i = 0; i < (preferences?.prompt.length ?? 0); i++) {
    const { prompt, modelA, modelB, label, weight } = preferences!
    rows.add(prompt[i]!, modelA[i]!, modelB[i]!, label[i]!, weight[i]!)
  }
  if (outcomes) addOutcomes(rows, outcomes.scores, split.embeddings.rows, input, pairsPerPrompt)
  return rows.finish()
}

function addOutcomes(
  rows: Rows,
  scores: Float32Array,
  prompts: number,
  input: Pick<TrainerInput, 'models' | 'strong' | 'weak' | 'seed'>,
  pairsPerPrompt: number,
): void {
  const m = input.models.length
  const random = createRandom(deriveSeed(input.seed, 'outcome-pairs'))
  const observed: number[] = []
  for (let prompt = 0; prompt < prompts; prompt++) {
    observed.length = 0
    for (let k = 0; k < m; k++) if (!Number.isNaN(scores[prompt * m + k]!)) observed.push(k)
    const add = (a: number, b: number): void => {
      const label = (1 + scores[prompt * m + a]! - scores[prompt * m + b]!) / 2
      rows.add(prompt, a, b, label, 1)
    }
    const all = (observed.length * (observed.length - 1)) / 2
    if (all <= pairsPerPrompt) {
      for (let i = 0; i < observed.length; i++) {
        for (let j = i + 1; j < observed.length; j++) add(observed[i]!, observed[j]!)
      }
      continue
    }
    let drawn = 0
    if (observed.includes(input.strong) && observed.includes(input.weak)) {
      add(input.strong, input.weak)
      drawn++
    }
    for (; drawn < pairsPerPrompt; drawn++) {
      const first = random.int(observed.length)
      const second = (first + 1 + random.int(observed.length - 1)) % observed.length
      add(observed[first]!, observed[second]!)
    }
  }
}

class Rows {
  private readonly prompt: number[] = []
  private readonly modelA: number[] = []
  private readonly modelB: number[] = []
  private readonly label: number[] = []
  private readonly weight: number[] = []

  add(prompt: number, a: number, b: number, label: number, weight: number): void {
    this.prompt.push(prompt)
    this.modelA.push(a)
    this.modelB.push(b)
    this.label.push(label)
    this.weight.push(weight)
  }

  finish(): Comparisons {
    return {
      prompt: Int32Array.from(this.prompt),
      modelA: Int32Array.from(this.modelA),
      modelB: Int32Array.from(this.modelB),
      label: Float32Array.from(this.label),
      weight: Float32Array.from(this.weight),
    }
  }
}

import { createRandom, deriveSeed } from '../../../core/random.ts'
import { takeRows } from '../../../models/encoders/embeddings.ts'
import { classifier } from '../../../models/families/classifier.ts'
import type { Engine } from '../../../training/engine/engine.ts'
import { createEngine } from '../../../training/engine/engines.ts'
import { fitLexical } from '../../../training/lexical/fit.ts'
import { classifierTrainer } from '../../../training/trainers/heads/classifier.ts'
import { type PairTable, pairTables } from '../encoders/fit.ts'

/** What one router says of every prompt, from folds that it was not trained on. */
export interface LoopRouter {
  /** n */
  readonly winRate: Float64Array
  /** n x 2: its guess of the strong model's score and the weak one's */
  readonly quality: Float64Array
}

/** One pair's outcomes with a router of few labels, which serves, and one of all labels, its candidate. */
export interface LoopTable {
  readonly source: string
  readonly prompts: readonly string[]
  /** n each, in [0, 1] */
  readonly strong: Float64Array
  readonly weak: Float64Array
  readonly serving: LoopRouter
  readonly candidate: LoopRouter
}

const FOLDS = 5
const SERVING_LABELS = 1500

/** MMLU where the real data are, else the sample; 5-fold by stem, lexical encoder, two success heads. */
export async function loopTable(
  seed: number,
  onStage: (stage: string) => void,
): Promise<LoopTable> {
  const tables = await pairTables([], { folds: FOLDS, seed })
  const table = tables.find(({ name }) => name === 'mmlu') ?? tables[0]!
  const all = leastTraining(table)
  const few = Math.min(SERVING_LABELS, Math.floor(all / 2))
  const engine = await createEngine('onnx')
  try {
    onStage(`${table.name}: the candidate, ${all} labels`)
    const candidate = await outOfFoldRouter(table, all, seed, engine)
    onStage(`${table.name}: the serving router, ${few} labels`)
    const serving = await outOfFoldRouter(table, few, seed, engine)
    return {
      source: table.source,
      prompts: table.prompts,
      strong: Float64Array.from(table.prompts, (_, i) => table.scores[2 * i]!),
      weak: Float64Array.from(table.prompts, (_, i) => table.scores[2 * i + 1]!),
      serving,
      candidate,
    }
  } finally {
    await engine.close()
  }
}

/** @param labels rows of the other folds that each fold's router is given, the first of one seeded order */
async function outOfFoldRouter(
  table: PairTable,
  labels: number,
  seed: number,
  engine: Engine,
): Promise<LoopRouter> {
  const n = table.prompts.length
  const winRate = new Float64Array(n)
  const quality = new Float64Array(2 * n)
  for (let fold = 0; fold < FOLDS; fold++) {
    const rows = Array.from(table.fold.keys())
    const given = createRandom(deriveSeed(seed, `fold ${fold}`))
      .shuffle(rows.filter((row) => table.fold[row] !== fold))
      .slice(0, labels)
    const cut = Math.round(given.length * 0.15)
    const { encoder } = await fitLexical({
      prompts: given.slice(cut).map((i) => table.prompts[i]!),
    })
    const { embeddings } = await encoder.encode(table.prompts)
    const training = (chosen: readonly number[]) => ({
      embeddings: takeRows(embeddings, chosen),
      outcomes: {
        scores: Float32Array.from(
          chosen.flatMap((row) => [table.scores[2 * row]!, table.scores[2 * row + 1]!]),
        ),
      },
    })
    const { weights } = await classifierTrainer.fit({
      models: ['strong', 'weak'],
      strong: 0,
      weak: 1,
      train: training(given.slice(cut)),
      validation: training(given.slice(0, cut)),
      hyperparameters: { ...classifierTrainer.defaults, l2_min: 0.3, l2_max: 30, l2_steps: 5 },
      seed,
      engine,
      threads: 1,
    })
    const held = rows.filter((row) => table.fold[row] === fold)
    const pair = { strong: 0, weak: 1 }
    const scores = classifier.forward(weights, pair, takeRows(embeddings, held))
    for (const [place, row] of held.entries()) {
      winRate[row] = scores.winRate[place]!
      quality.set(scores.quality!.subarray(2 * place, 2 * place + 2), 2 * row)
    }
  }
  return { winRate, quality }
}

function leastTraining({ fold }: PairTable): number {
  const counts = new Uint32Array(FOLDS)
  for (const at of fold) counts[at]!++
  return fold.length - Math.max(...counts)
}

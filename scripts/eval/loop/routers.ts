import { createEngine } from '../../../training/engine/engines.ts'
import { fitLexical } from '../../../training/lexical/fit.ts'
import {
  type EmbeddingSource,
  type OutOfFold,
  outOfFold,
  type PairTable,
  pairTables,
} from '../encoders/fit.ts'

/**
 * One pair's outcomes with a router trained on few labels, which serves, and one trained on all, its
 * candidate.
 */
export interface LoopTable {
  readonly source: string
  readonly prompts: readonly string[]
  /** n each, in [0, 1] */
  readonly strong: Float64Array
  readonly weak: Float64Array
  readonly serving: OutOfFold
  readonly candidate: OutOfFold
}

const FOLDS = 5
const SERVING_LABELS = 1500

/** MMLU if the real data are available, else the sample; 5-fold by stem, lexical encoder, two success heads. */
export async function loopTable(
  seed: number,
  onStage: (stage: string) => void,
): Promise<LoopTable> {
  const tables = await pairTables([], { folds: FOLDS, seed, note: onStage })
  const table = tables.find(({ name }) => name === 'mmlu') ?? tables[0]!
  const all = leastTraining(table)
  const few = Math.min(SERVING_LABELS, Math.floor(all / 2))
  const lexical: EmbeddingSource = async (training) => {
    const { encoder } = await fitLexical({ prompts: training.map((i) => table.prompts[i]!) })
    return (await encoder.encode(table.prompts)).embeddings
  }
  const engine = await createEngine('onnx')
  const fit = { seed, folds: FOLDS, engine }
  try {
    onStage(`${table.name}: the candidate, ${all} labels`)
    const candidate = await outOfFold(table, lexical, 'linear', all, fit)
    onStage(`${table.name}: the serving router, ${few} labels`)
    const serving = await outOfFold(table, lexical, 'linear', few, fit)
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

function leastTraining({ fold }: PairTable): number {
  const counts = new Uint32Array(FOLDS)
  for (const at of fold) counts[at]!++
  return fold.length - Math.max(...counts)
}

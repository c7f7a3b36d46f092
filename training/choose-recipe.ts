import { createRandom, deriveSeed } from '../core/random.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import { promptStem } from '../data/splits/stem.ts'
import { promptReader, RECIPES, type Recipe } from '../models/reading/recipe.ts'
import { isConversation } from '../models/reading/transcript.ts'
import { type FitRouterOptions, fitRouter } from './fit-router.ts'
import { pairRows, winRateLosses } from './trainers/pair-rows.ts'
import { encodeSplit } from './trainers/splits.ts'
import { type Contender, type Standing, standings } from './tune/tune.ts'

export interface RecipeChoice {
  readonly recipe: Recipe
  /** how the recipes compared; absent if the log left nothing to choose */
  readonly rows?: readonly Standing[]
}

/** Below this share or number of conversations, a log says too little about how to read one. */
const LEAST_SHARE = 0.05
const LEAST_CONVERSATIONS = 50
const FOLDS = 4
/** Most prompts that recipes are compared on; a seeded sample of a larger log. */
const MOST_PROMPTS = 6_000

const TRAIN = SPLITS.indexOf('train')
const VALIDATION = SPLITS.indexOf('validation')
const UNUSED = SPLITS.indexOf('calibration')
const HELD_OUT = SPLITS.indexOf('test')

/** The dataset as a recipe reads it. */
export function readDataset(dataset: Dataset, recipe: Recipe): Dataset {
  return { ...dataset, prompts: dataset.prompts.map(promptReader(recipe)) }
}

/**
 * The recipe for a log: `last` where almost all rows are single prompts, which say nothing about how to read
 * a conversation. Otherwise the one with the lowest out-of-fold log-loss on the train and validation rows. They are compared by the classifier on `lexical`, by the
 * last user turn's stem in four folds.
 */
export async function chooseRecipe(
  dataset: Dataset,
  options: FitRouterOptions,
): Promise<RecipeChoice> {
  const [plain] = RECIPES
  const rows = [...dataset.prompts.keys()].filter((row) => dataset.split[row]! <= VALIDATION)
  const spoken = rows.filter((row) => isConversation(dataset.prompts[row]!)).length
  if (spoken < LEAST_CONVERSATIONS || spoken < LEAST_SHARE * rows.length) return { recipe: plain! }
  const folds = foldsOf(dataset, rows, options.seed)
  const contenders: (Contender & { readonly recipe: Recipe })[] = []
  for (const [done, { recipe, read }] of readings(dataset).entries()) {
    options.onProgress?.({
      stage: 'comparing recipes',
      done,
      total: RECIPES.length,
      note: recipe.name,
    })
    const losses: number[] = []
    for (const split of folds) losses.push(...(await heldOutLosses({ ...read, split }, options)))
    contenders.push({ name: recipe.name, losses, recipe })
  }
  const [only] = contenders
  if (contenders.length === 1 || only!.losses.length === 0) return { recipe: only!.recipe }
  const best = standings(contenders).map((row) => ({ ...row, chosen: row.above === 0 }))
  const chosen = best.findIndex((row) => row.chosen)
  return { recipe: contenders[chosen]!.recipe, rows: best }
}

/** The dataset by each recipe, without those that read it like an earlier one. */
function readings(dataset: Dataset): { readonly recipe: Recipe; readonly read: Dataset }[] {
  const found: { recipe: Recipe; read: Dataset }[] = []
  for (const recipe of RECIPES) {
    const read = readDataset(dataset, recipe)
    const same = ({ read: other }: { read: Dataset }): boolean =>
      other.prompts.every((prompt, i) => prompt === read.prompts[i])
    if (!found.some(same)) found.push({ recipe, read })
  }
  return found
}

/** A split per fold: the other folds' rows train, an eighth of them stops; calibration and test rows stay out. */
function foldsOf(dataset: Dataset, rows: readonly number[], seed: number): Uint8Array[] {
  const kept = createRandom(deriveSeed(seed, 'recipes'))
    .shuffle([...rows])
    .slice(0, MOST_PROMPTS)
  const cell = new Map(
    kept.map((row) => [
      row,
      createRandom(deriveSeed(seed, promptStem(dataset.prompts[row]!, dataset.manifest.split))).int(
        8 * FOLDS,
      ),
    ]),
  )
  return Array.from({ length: FOLDS }, (_, fold) =>
    Uint8Array.from(dataset.prompts, (_prompt, row) => {
      const at = cell.get(row)
      if (at === undefined) return UNUSED
      if (at % FOLDS === fold) return HELD_OUT
      return Math.floor(at / FOLDS) === 0 ? VALIDATION : TRAIN
    }),
  )
}

async function heldOutLosses(
  folded: Dataset,
  { strong, weak, engine, seed, threads, signal }: FitRouterOptions,
): Promise<Float64Array> {
  const fitted = await fitRouter(folded, {
    ...{ strong, weak, engine, seed, threads, signal },
    router: 'classifier',
  })
  const { family, weights, pair, encoder } = fitted
  const held = await encodeSplit(folded, 'test', encoder.encoder, signal)
  const { winRate } = family.forward(weights, pair, held.embeddings)
  return winRateLosses(winRate, pairRows(held, { models: folded.models, ...pair }))
}

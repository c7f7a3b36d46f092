import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import { promptReader, RECIPES, type Recipe } from '../models/reading/recipe.ts'
import { isConversation, readTranscript } from '../models/reading/transcript.ts'
import { type FitRouterOptions, fitRouter, type ReadDataset } from './fit-router.ts'
import { foldSplits } from './fold-splits.ts'
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

const VALIDATION = SPLITS.indexOf('validation')

/** The dataset as a recipe reads it. */
export function readDataset(dataset: Dataset, recipe: Recipe): ReadDataset {
  return { ...dataset, prompts: dataset.prompts.map(promptReader(recipe)), recipe }
}

/**
 * The recipe for a log: `last` where almost all rows are single prompts, which say nothing about how to read
 * a conversation. Otherwise the one with the lowest out-of-fold log-loss on the train and validation rows, with
 * features of the conversation, and interactions of the declared context with the text, if these lower it further.
 * They are compared by the classifier on `lexical`, by the last user turn's stem in four folds.
 *
 * @param context keys of declared context that every recipe reads
 * @param weigh whether the recipe is also compared without the context, and read without it where that is better
 */
export async function chooseRecipe(
  dataset: Dataset,
  options: FitRouterOptions,
  context: readonly string[] = [],
  weigh = false,
): Promise<RecipeChoice> {
  const reading = RECIPES.map((recipe) => withContextKeys(recipe, context))
  const rows = [...dataset.prompts.keys()].filter((row) => dataset.split[row]! <= VALIDATION)
  const spoken = rows.filter((row) => isSpoken(dataset.prompts[row]!)).length
  const few = spoken < LEAST_CONVERSATIONS || spoken < LEAST_SHARE * rows.length
  const weighs = weigh && context.length > 0
  if (few && context.length === 0) return { recipe: reading[0]! }
  const { splits: folds } = foldSplits(dataset, { folds: FOLDS, seed: options.seed })
  const contenders: (Contender & { readonly recipe: Recipe })[] = []
  const compare = async (name: string, recipe: Recipe, read: ReadDataset): Promise<void> => {
    const done = contenders.length
    const total = (few ? 1 : RECIPES.length + 1) + Number(context.length > 0) + Number(weighs)
    options.onProgress?.({ stage: 'comparing recipes', done, total, note: name })
    const losses: number[] = []
    for (const split of folds) losses.push(...(await heldOutLosses({ ...read, split }, options)))
    contenders.push({ name, losses, recipe })
  }
  for (const { recipe, read } of readings(dataset, few ? reading.slice(0, 1) : reading)) {
    await compare(recipe.name, recipe, read)
  }
  if (contenders[0]!.losses.length === 0) return { recipe: reading[0]! }
  const compareWith = async (note: string, change: (recipe: Recipe) => Recipe): Promise<void> => {
    const { name, recipe } = contenders[lowest(contenders)]!
    const changed = change(recipe)
    await compare(`${name} ${note}`, changed, readDataset(dataset, changed))
  }
  if (!few) await compareWith(FEATURES, (recipe) => ({ ...recipe, features: 'conversation' }))
  if (context.length > 0) {
    await compareWith('and interactions', (recipe) => ({ ...recipe, interactions: 'plain' }))
  }
  if (weighs) {
    await compareWith('without context', ({ context: _, interactions: __, ...recipe }) => recipe)
  }
  const chosen = lowest(contenders)
  return {
    recipe: contenders[chosen]!.recipe,
    rows: standings(contenders).map((row, i) => ({ ...row, chosen: i === chosen })),
  }
}

const FEATURES = 'and features'

/** The contender with the lowest loss; the earlier one of equals. */
function lowest(contenders: readonly Contender[]): number {
  const totals = contenders.map(({ losses }) =>
    Array.from(losses).reduce((sum, loss) => sum + loss, 0),
  )
  return totals.indexOf(Math.min(...totals))
}

/** A recipe that also reads these keys of declared context. */
export const withContextKeys = (recipe: Recipe, keys: readonly string[] | undefined): Recipe =>
  keys && keys.length > 0 ? { ...recipe, context: [...keys] } : recipe

/** Whether a prompt has more to read than one user turn. */
function isSpoken(prompt: string): boolean {
  if (!isConversation(prompt)) return false
  const { turns, tools } = readTranscript(prompt)
  return turns.length > 1 || tools.length > 0
}

/** The dataset by each recipe, without those that read it like an earlier one. */
function readings(
  dataset: Dataset,
  recipes: readonly Recipe[],
): { readonly recipe: Recipe; readonly read: ReadDataset }[] {
  const found: { recipe: Recipe; read: ReadDataset }[] = []
  for (const recipe of recipes) {
    const read = readDataset(dataset, recipe)
    const same = ({ read: other }: { read: Dataset }): boolean =>
      other.prompts.every((prompt, i) => prompt === read.prompts[i])
    if (!found.some(same)) found.push({ recipe, read })
  }
  return found
}

async function heldOutLosses(
  folded: ReadDataset,
  { strong, weak, engine, seed, threads, signal }: FitRouterOptions,
): Promise<Float64Array> {
  const fitted = await fitRouter(folded, {
    ...{ strong, weak, engine, seed, threads, signal },
    router: 'classifier',
  })
  const { family, weights, pair, encoder } = fitted
  const held = await encodeSplit(folded, 'calibration', encoder.encoder, signal)
  const { winRate } = family.forward(weights, pair, held.embeddings)
  return winRateLosses(winRate, pairRows(held, { models: folded.models, ...pair }))
}

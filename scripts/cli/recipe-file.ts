import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { knownRecipe, RECIPES, Recipe } from '../../models/reading/recipe.ts'
import { assertFits, readSource } from './config-file.ts'

/** A recipe in a file: what differs from a known one, `last` unless `base` names another. */
const RecipeFile = Type.Object(
  {
    ...Type.Partial(Recipe).properties,
    name: Recipe.properties.name,
    base: Type.Optional(Type.Union(RECIPES.map(({ name }) => Type.Literal(name)))),
  },
  { additionalProperties: false },
)

/**
 * `--recipe`: `auto`, the name of a known recipe, or a YAML or JSON file.
 *
 * @throws option_invalid; config_invalid with file and line
 */
export async function readRecipe(given: string): Promise<Recipe | 'auto'> {
  if (!/[./\\]/.test(given)) return knownRecipe(given, '--recipe')
  const source = await readSource(given, 'a recipe').catch((cause: unknown) => {
    if (!(cause instanceof WeirError && cause.code === 'file_not_found')) throw cause
    const expected = `auto, one of ${RECIPES.map(({ name }) => name).join(', ')}, or a file`
    throw new WeirError('option_invalid', { option: '--recipe', expected, got: given }, { cause })
  })
  assertFits(RecipeFile, source.value, source)
  const { base = 'last', ...own } = source.value as Type.Static<typeof RecipeFile>
  return { ...RECIPES.find(({ name }) => name === base)!, ...own } as Recipe
}

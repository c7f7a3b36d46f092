import { WeirError } from '../core/errors.ts'
import type { Dataset } from '../data/dataset/dataset.ts'
import { modelIndex } from '../data/pair.ts'
import { AUTO } from './auto.ts'
import type { Efforts } from './fit-router.ts'
import { loadTrainer } from './trainers/registry.ts'
import type { SharedFit } from './trainers/trainer.ts'

/** How the efforts of one model were fitted, as the manifest holds it in `metrics.efforts`. */
export interface SharedEfforts extends Efforts, SharedFit {}

/**
 * Checks declared efforts before anything is fitted.
 *
 * @param dataset with the columns of only the models to choose among
 * @param of whether the router chooses by a rule among several models, and its family
 * @throws option_invalid, model_unknown
 */
export async function checkEfforts(
  dataset: Dataset,
  efforts: readonly Efforts[],
  of: { readonly several: boolean; readonly router: string },
): Promise<void> {
  if (efforts.length === 0) return
  const invalid = (expected: string, got: string): WeirError =>
    new WeirError('option_invalid', { option: '--efforts', expected, got })
  if (!of.several) throw invalid('--models with it', 'a router of two models')
  const shares = of.router !== AUTO && (await loadTrainer(of.router)).sharesEfforts
  if (!shares) {
    throw invalid('--router classifier, whose heads learn from each other', `--router ${of.router}`)
  }
  if (!dataset.outcomes) throw invalid('a log with scores', 'votes alone')
  const named = new Map<string, string>()
  const declared = new Set<string>()
  for (const { model, tiers } of efforts) {
    if (declared.has(model)) throw invalid('each model once', `${model} twice`)
    declared.add(model)
    if (tiers.length < 2) {
      throw invalid(
        `two or more efforts of ${model}, lowest first: a,b,c`,
        tiers.join(',') || 'none',
      )
    }
    for (const tier of tiers) {
      modelIndex(dataset, tier)
      const before = named.get(tier)
      if (before !== undefined) {
        const where = before === model ? `twice for ${model}` : `for ${before} and for ${model}`
        throw invalid('each effort once', `${tier} ${where}`)
      }
      named.set(tier, model)
    }
  }
}

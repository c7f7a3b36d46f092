import type { Dataset } from '../../data/dataset/dataset.ts'
import { evaluateRouters } from './evaluate-routers.ts'
import { closeBundles, type NamedRouter, openBundles } from './log/bundle-set.ts'
import type { Grouping } from './log/prompt-origins.ts'
import type { RequestCosts } from './log/request-costs.ts'
import { type ScoreLogOptions, scoreLog } from './log/scored-log.ts'
import type { LeftOut } from './log/unseen-rows.ts'
import type { EvaluationReport, Provenance } from './report/report.ts'

export interface BundleEvaluationOptions extends ScoreLogOptions {
  readonly seed: number
  readonly replicates?: number | undefined
  /** more ways to slice, such as source and time: a name for each of the dataset's prompts */
  readonly groupings?: readonly Grouping[] | undefined
  readonly details?: boolean | undefined
}

/** Bundles side by side on the prompts of a log that none of them has seen. */
export async function evaluateBundles(
  paths: readonly string[],
  dataset: Dataset,
  options: BundleEvaluationOptions,
): Promise<EvaluationReport> {
  const bundles = await openBundles(paths, options)
  try {
    const log = await scoreLog(bundles, dataset, options)
    const report = await evaluateRouters({
      ...options,
      ...log,
      groupings: options.groupings?.map(({ by, names }) => ({
        by,
        names: Array.from(log.rows, (prompt) => names[prompt]),
      })),
      spend: log.costs && {
        ...log.costs,
        origin: log.costs.basis === LOGGED ? 'logged' : 'estimated',
      },
    })
    return { ...report, provenance: provenanceOf(bundles, dataset, log.leftOut, log.costs) }
  } finally {
    await closeBundles(bundles)
  }
}

const LOGGED = 'dollars as logged'

function provenanceOf(
  bundles: readonly NamedRouter[],
  dataset: Dataset,
  leftOut: LeftOut,
  costs: RequestCosts | undefined,
): Provenance {
  return {
    bundles: bundles.map(({ name, path, router: { manifest } }) => ({
      name,
      path,
      version: manifest.version,
      created: manifest.created,
      family: manifest.family.name,
      encoder: manifest.encoder.id,
      trained_on: manifest.data.sources.map(({ path, sha256 }) => ({ path, sha256 })),
    })),
    logs: dataset.manifest.sources.map(({ path, sha256, rows }) => ({ path, sha256, rows })),
    left_out: leftOut,
    cost_basis: costs?.basis ?? null,
  }
}

import { WeirError } from '../../core/errors.ts'
import { HEAD_FILE } from './head-file.ts'
import type { Manifest } from './manifest.ts'
import type { Bundle } from './read.ts'

/** Two of a router's candidates, by name. */
export interface ModelPair {
  readonly strong: string
  readonly weak: string
}

/**
 * The same router for two other models of its candidates. Win rates are then those of the new pair. The
 * calibration of the trained pair does not carry over, so the threshold is set where neither model is
 * favoured.
 *
 * @throws model_unknown, models_equal, or pair_fixed if the head only supports its trained pair
 */
export function withPair(bundle: Bundle, pair: ModelPair): Bundle {
  const { manifest } = bundle
  const known = manifest.candidates.map(({ model }) => model)
  for (const model of [pair.strong, pair.weak]) {
    if (!known.includes(model)) throw new WeirError('model_unknown', { model, known })
  }
  if (pair.strong === pair.weak) throw new WeirError('models_equal', { model: pair.strong })
  const role = (model: string): Manifest['candidates'][number]['role'] =>
    model === pair.strong ? 'strong' : model === pair.weak ? 'weak' : 'other'
  const candidates = manifest.candidates.map((entry) => ({ ...entry, role: role(entry.model) }))
  const same = manifest.candidates.every((entry, i) => entry.role === candidates[i]!.role)
  if (same) return manifest.choice ? { ...bundle, manifest: withoutChoice(manifest) } : bundle
  if (!manifest.head || manifest.head.link === 'pair') {
    throw new WeirError('pair_fixed', { name: manifest.name })
  }
  const { fallback: _, ...rest } = withoutChoice(manifest)
  const other: Manifest = {
    ...rest,
    candidates,
    calibration: { method: 'identity' },
    threshold: { value: 0.5, source: 'default' },
  }
  return {
    ...bundle,
    manifest: other,
    head: async () => {
      const linear = await bundle.head()
      if (!linear) throw new WeirError('bundle_invalid', { path: bundle.path, reason: HEAD_FILE })
      return { ...linear, strong: known.indexOf(pair.strong), weak: known.indexOf(pair.weak) }
    },
  }
}

/** A caller that names a pair asks about that pair, whatever the rule among all candidates. */
function withoutChoice({ choice: _, ...rest }: Manifest): Manifest {
  return rest
}

import type { Manifest } from '../../models/bundle/manifest.ts'
import { promptHash } from '../../models/prompt-hash.ts'
import type { Arm, Target } from '../fleet/snapshot.ts'

/** The arm of a session: always the same one while the split stays as it is. */
export function chooseArm(target: Target, key: string): Arm {
  const { arms } = target
  if (arms.length === 1) return arms[0]!
  // 52 bits of the hash, uniform in [0, 1)
  let at = Number.parseInt(promptHash(`${target.name}\n${key}`).slice(0, 13), 16) / 2 ** 52
  for (const arm of arms) {
    if (at < arm.share) return arm
    at -= arm.share
  }
  return arms.at(-1)!
}

/**
 * Probability of each of the answering router's candidates over the arms of a split: the shares of the
 * arms that would have chosen it.
 */
export function splitPropensities(
  manifest: Manifest,
  choices: readonly { readonly model: string; readonly share: number }[],
): Float64Array {
  const out = new Float64Array(manifest.candidates.length)
  for (const { model, share } of choices) {
    const index = manifest.candidates.findIndex((candidate) => candidate.model === model)
    if (index >= 0) out[index]! += share
  }
  return out
}

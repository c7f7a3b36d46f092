import { basename, dirname } from 'node:path'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { DATA_HASHES_FILE, encodeDataHashes, seenPrompts } from '../../models/bundle/data-hashes.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import { type Bundle, ROUTER_FILE } from '../../models/bundle/read.ts'
import { type WrittenBundle, writeBundle } from '../../models/bundle/write.ts'
import type { CalibrationMap } from '../../models/calibration-map.ts'
import { calibratedGraph } from '../../models/onnx/splice.ts'
import type { ProbabilityReport } from './probability/report.ts'
import type { CalibratedRule } from './rule.ts'
import type { CalibratedThreshold } from './threshold.ts'

export type BundleChanges = (CalibratedThreshold | CalibratedRule) & {
  /** with the prices that the dollars were computed with */
  readonly candidates: Candidate[]
  /** hashes of the calibration prompts */
  readonly hashes: readonly string[]
  readonly map: CalibrationMap
  readonly probability?: ProbabilityReport | undefined
}

/**
 * Writes a new version of the bundle with the threshold or the rule, its certificate and the hashes of the
 * calibration prompts. The version that was read stays unchanged.
 */
export async function calibratedBundle(
  from: Bundle,
  changes: BundleChanges,
): Promise<WrittenBundle> {
  const { candidates, hashes, map, probability } = changes
  const decision =
    'rule' in changes
      ? { choice: { rule: changes.rule, ...calibratedBy({ ...changes.certificate }) } }
      : {
          threshold: {
            value: changes.threshold,
            ...calibratedBy(definedOnly({ ...changes.certificate, probability })),
          },
        }
  const { manifest } = from
  const home = dirname(from.path)
  if (basename(home) !== manifest.name) {
    throw new WeirError('bundle_invalid', {
      path: from.path,
      reason: `its folder lies in ${basename(home)}/, expected ${manifest.name}/, so that a new version can be written beside it`,
    })
  }
  const files = new Map<string, Uint8Array>()
  for (const name of Object.keys(manifest.files)) files.set(name, await from.file(name))
  const seen = seenPrompts(files.get(DATA_HASHES_FILE) ?? new Uint8Array(0))
  files.set(
    DATA_HASHES_FILE,
    encodeDataHashes({ ...seen, calibration: [...seen.calibration, ...hashes] }),
  )
  files.set(ROUTER_FILE, calibratedGraph(files.get(ROUTER_FILE)!, map))
  const { format: _, version: __, created: ___, files: ____, ...kept } = manifest
  return writeBundle(dirname(home), {
    manifest: { ...kept, candidates, calibration: map, ...decision },
    files,
  })
}

const calibratedBy = <T>(certificate: T) => ({ source: 'calibrated' as const, certificate })

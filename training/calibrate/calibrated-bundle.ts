import { basename, dirname } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { DATA_HASHES_FILE, encodeDataHashes, seenPrompts } from '../../models/bundle/data-hashes.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import { type Bundle, ROUTER_FILE } from '../../models/bundle/read.ts'
import { type BundleDraft, type WrittenBundle, writeBundle } from '../../models/bundle/write.ts'
import type { CalibrationMap } from '../../models/calibration-map.ts'
import { calibratedGraph } from '../../models/onnx/splice.ts'
import type { CalibratedThreshold } from './calibrate-threshold.ts'
import type { ProbabilityReport } from './probability/report.ts'

export interface BundleChanges extends CalibratedThreshold {
  /** with the prices that the dollars were reckoned with */
  readonly candidates: Candidate[]
  /** of the calibration prompts */
  readonly hashes: readonly string[]
  readonly map: CalibrationMap
  readonly probability?: ProbabilityReport
}

/** A new version beside the one that was read, with the threshold, its certificate and the prompts it used. */
export function calibratedBundle(
  from: Bundle,
  { threshold, certificate, candidates, hashes, map, probability }: BundleChanges,
): Promise<WrittenBundle> {
  return writeNextVersion(from, {
    hashes,
    map,
    manifest: {
      candidates,
      calibration: map,
      threshold: {
        value: threshold,
        source: 'calibrated',
        certificate: { ...certificate, ...(probability && { probability }) },
      },
    },
  })
}

export interface NextVersion {
  /** of the calibration prompts */
  readonly hashes: readonly string[]
  readonly map: CalibrationMap
  /** what differs from the version it came from */
  readonly manifest: Partial<BundleDraft['manifest']>
}

/** Writes it beside the version it came from, which stays as it is. */
export async function writeNextVersion(
  from: Bundle,
  { hashes, map, manifest: changes }: NextVersion,
): Promise<WrittenBundle> {
  const { manifest } = from
  const home = dirname(from.path)
  if (basename(home) !== manifest.name) {
    throw new WeirError('bundle_invalid', {
      path: from.path,
      reason: `its folder lies in ${basename(home)}/, expected ${manifest.name}/; a new version has no place beside it`,
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
  return writeBundle(dirname(home), { manifest: { ...kept, ...changes }, files })
}

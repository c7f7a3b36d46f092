import type { DatasetManifest } from './dataset-manifest.ts'
import type { Source } from './source.ts'

type SourceRecord = DatasetManifest['sources'][number]

/** Tells files that hold the same bytes: their rows are the same events, to be counted once. */
export class SourceDigests {
  private readonly sizes = new Map<number, number>()
  private readonly known = new Map<string, SourceRecord>()

  constructor(sources: readonly Source[]) {
    for (const { size } of sources) this.sizes.set(size, (this.sizes.get(size) ?? 0) + 1)
  }

  /** The file read before that has the same bytes. Only files of equal size are hashed for it. */
  async find(source: Source): Promise<SourceRecord | undefined> {
    if (source.size === 0 || this.sizes.get(source.size) === 1) return undefined
    return this.known.get(await source.sha256())
  }

  add(record: SourceRecord): SourceRecord {
    this.known.set(record.sha256, record)
    return record
  }
}

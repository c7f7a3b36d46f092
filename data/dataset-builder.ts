import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../models/errors.ts'
import { promptText } from '../models/messages.ts'
import { type Batch, type Column, type TextColumn, writeArrow } from './arrow.ts'
import { DATASET_FILES, DATASET_FORMAT, type DatasetManifest, WINNERS } from './dataset.ts'
import { EventIds } from './event-ids.ts'
import { Growable } from './growable.ts'
import { unitInterval } from './hash64.ts'
import { Names } from './names.ts'
import { OutcomeTable } from './outcome-table.ts'
import { PrefixSample } from './prefix-sample.ts'
import { PromptStore } from './prompt-store.ts'
import type { LogRow, OutcomeRow, PreferenceRow, Reject } from './reader.ts'
import type { Source } from './source.ts'
import { SPLITS, type SplitFractions, splitAt } from './split.ts'
import { stemHash } from './stem.ts'

const SPILL = 'prompts.spill'
const BATCH_ROWS = 65_536
const NO_CATEGORY = -1

/** Collects rows and writes a dataset's files. Texts go to disk as they come; numbers stay, in typed arrays. */
export class DatasetBuilder {
  readonly rows = { read: 0, kept: 0, rejected: 0, duplicates: 0 }
  private readonly folder: string
  private readonly prompts: PromptStore
  private readonly prefixes = new PrefixSample()
  private readonly models = new Names()
  private readonly judges = new Names()
  private readonly categories = new Names()
  private readonly ids = new EventIds()
  private readonly sources: DatasetManifest['sources'] = []
  private readonly category = new Growable(Int32Array)
  private readonly preferences = {
    prompt: new Growable(Int32Array),
    model_a: new Growable(Int32Array),
    model_b: new Growable(Int32Array),
    winner: new Growable(Uint8Array),
    weight: new Growable(Float32Array),
    judge: new Growable(Int32Array),
    timestamp: new Growable(Float64Array),
  }
  private readonly scores = new OutcomeTable()
  private readonly costs = new OutcomeTable()
  private readonly tokens = new OutcomeTable()

  private constructor(folder: string, prompts: PromptStore) {
    this.folder = folder
    this.prompts = prompts
  }

  static async create(folder: string): Promise<DatasetBuilder> {
    return new DatasetBuilder(folder, await PromptStore.create(join(folder, SPILL)))
  }

  add(row: LogRow | Reject): void {
    this.rows.read++
    if (row.kind === 'reject') {
      this.rows.rejected++
      return
    }
    if (row.id !== undefined && !this.ids.add(`${row.kind}:${row.id}`)) {
      this.rows.duplicates++
      return
    }
    this.rows.kept++
    const prompt = this.addPrompt(row)
    if (row.kind === 'preference') this.addPreference(prompt, row)
    else this.addOutcome(prompt, row)
  }

  /** To be awaited between batches of rows. */
  flush(): Promise<void> {
    return this.prompts.flush()
  }

  async endSource(source: Source, format: string): Promise<void> {
    const rows = this.rows.read - this.sources.reduce((sum, known) => sum + known.rows, 0)
    this.sources.push({ path: source.path, sha256: await source.sha256(), rows, format })
  }

  /** Splits the prompts and writes every file; `dataset.json` last. */
  async finish(
    seed: number,
    fractions: SplitFractions,
    signal?: AbortSignal,
  ): Promise<DatasetManifest> {
    const { names, place } = this.models.sorted()
    const prefixes = this.prefixes.prefixes()
    const bySplit = new Float64Array(SPLITS.length)
    const hash = new Uint32Array(2)
    const splitter = (text: string): number => {
      stemHash(text, prefixes, seed, hash)
      const split = splitAt(unitInterval(hash), fractions)
      bySplit[split]!++
      return split
    }
    await writeArrow(this.path('prompts'), this.promptBatches(splitter, signal))
    await this.prompts.close()
    await rm(join(this.folder, SPILL))
    if (this.preferences.prompt.length > 0) {
      await writeArrow(this.path('preferences'), this.preferenceBatches(place))
    }
    if (!this.scores.empty) await writeArrow(this.path('outcomes'), this.outcomeBatches(names))
    const manifest: DatasetManifest = {
      format: DATASET_FORMAT,
      sources: this.sources,
      models: names,
      judges: this.judges.list(),
      split: { seed, fractions: { ...fractions }, prefixes },
      counts: {
        prompts: this.prompts.size,
        preferences: this.preferences.prompt.length,
        outcomes: this.scores.observed(this.prompts.size),
        train: bySplit[0]!,
        validation: bySplit[1]!,
        calibration: bySplit[2]!,
        test: bySplit[3]!,
      },
      rows: this.rows,
    }
    await writeFile(this.path('manifest'), `${JSON.stringify(manifest, null, 2)}\n`)
    return manifest
  }

  async close(): Promise<void> {
    await this.prompts.close().catch(() => {})
  }

  private path(file: keyof typeof DATASET_FILES): string {
    return join(this.folder, DATASET_FILES[file])
  }

  private addPrompt(row: LogRow): number {
    const text = promptText(row.prompt)
    const { entry, key, added } = this.prompts.add(text)
    if (added) {
      this.category.push(NO_CATEGORY)
      if (this.prefixes.wants(key)) this.prefixes.add(key, text)
    }
    if (row.category !== undefined && this.category.at(entry) === NO_CATEGORY) {
      this.category.set(entry, this.categories.add(row.category))
    }
    return entry
  }

  private addPreference(prompt: number, row: PreferenceRow): void {
    const { preferences } = this
    preferences.prompt.push(prompt)
    preferences.model_a.push(this.models.add(row.modelA))
    preferences.model_b.push(this.models.add(row.modelB))
    preferences.winner.push(WINNERS.indexOf(row.winner))
    preferences.weight.push(row.weight ?? 1)
    preferences.judge.push(row.judge === undefined ? -1 : this.judges.add(row.judge))
    preferences.timestamp.push(row.timestamp ?? Number.NaN)
  }

  private addOutcome(prompt: number, row: OutcomeRow): void {
    for (const [name, score] of row.scores) {
      const model = this.models.add(name)
      this.scores.add(prompt, model, score)
      const cost = row.costs?.get(name)
      if (cost !== undefined) this.costs.add(prompt, model, cost)
      const length = row.tokens?.get(name)
      if (length !== undefined) this.tokens.add(prompt, model, length)
    }
  }

  private async *promptBatches(
    splitter: (text: string) => number,
    signal?: AbortSignal,
  ): AsyncGenerator<Batch> {
    const names = this.categories.list().map((name) => Buffer.from(name))
    const digests = this.prompts.digests()
    for await (const { start, offsets, bytes } of this.prompts.blocks()) {
      if (signal?.aborted) throw new WeirError('cancelled', { signal: String(signal.reason) })
      const rows = offsets.length - 1
      const split = new Uint8Array(rows)
      for (let i = 0; i < rows; i++) {
        split[i] = splitter(bytes.toString('utf8', offsets[i], offsets[i + 1]))
      }
      const categories = this.category.view().subarray(start, start + rows)
      yield {
        rows,
        columns: {
          hash: {
            kind: 'bytes',
            width: 32,
            bytes: digests.subarray(start * 32, (start + rows) * 32),
          },
          text: { kind: 'text', offsets, bytes },
          category: texts(categories, names),
          split,
        },
      }
    }
  }

  private *preferenceBatches(place: Int32Array): Generator<Batch> {
    const { preferences } = this
    for (let start = 0; start < preferences.prompt.length; start += BATCH_ROWS) {
      const end = Math.min(start + BATCH_ROWS, preferences.prompt.length)
      const columns: Record<string, Column> = {}
      for (const [name, values] of Object.entries(preferences)) {
        columns[name] = values.view().slice(start, end)
      }
      columns.model_a = (columns.model_a as Int32Array).map((model) => place[model]!)
      columns.model_b = (columns.model_b as Int32Array).map((model) => place[model]!)
      yield { rows: end - start, columns }
    }
  }

  private *outcomeBatches(names: readonly string[]): Generator<Batch> {
    const met = new Map(this.models.list().map((name, number) => [name, number]))
    for (let start = 0; start < this.prompts.size; start += BATCH_ROWS) {
      const end = Math.min(start + BATCH_ROWS, this.prompts.size)
      const columns: Record<string, Column> = {}
      for (const kind of ['scores', 'costs', 'tokens'] as const) {
        if (this[kind].empty) continue
        for (const name of names) {
          columns[`${kind}/${name}`] = this[kind].means(met.get(name)!, start, end)
        }
      }
      yield { rows: end - start, columns }
    }
  }
}

/** A text a row out of a few; none is the empty text. */
function texts(numbers: Int32Array, names: readonly Buffer[]): TextColumn {
  const offsets = new Int32Array(numbers.length + 1)
  numbers.forEach((number, i) => {
    offsets[i + 1] = offsets[i]! + (names[number]?.length ?? 0)
  })
  const bytes = new Uint8Array(offsets[numbers.length]!)
  numbers.forEach((number, i) => {
    const name = names[number]
    if (name) bytes.set(name, offsets[i])
  })
  return { kind: 'text', offsets, bytes }
}

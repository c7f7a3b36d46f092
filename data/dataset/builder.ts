import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../../core/abort.ts'
import { definedOnly } from '../../core/defined.ts'
import type { OnProgress } from '../../core/progress.ts'
import { askedText } from '../../models/reading/transcript.ts'
import { Names } from '../rows/names.ts'
import { KIND, type RowBlock } from '../rows/row-block.ts'
import { type Batch, type TextColumn, writeArrow } from '../source/arrow.ts'
import {
  type AssignedSplits,
  assignSplits,
  SPLITS,
  type SplitFractions,
  type SplitInput,
} from '../splits/assign-splits.ts'
import { PrefixSample, stemHash } from '../splits/stem.ts'
import { coreKeyReader, isEmpty, TemplateSample } from '../splits/templates.ts'
import { Growable } from './growable.ts'
import {
  DATASET_FILES,
  DATASET_FORMAT,
  type DatasetManifest,
  type WeakSignalReport,
} from './manifest.ts'
import { OutcomeTables } from './outcome-tables.ts'
import { PreferenceTable } from './preference-table.ts'
import { PromptColumns, PromptStore } from './prompt-store.ts'

export interface SplitOptions {
  readonly seed: number
  readonly fractions: SplitFractions
  /** the column whose values keep prompts together; recorded here, the values are in the blocks */
  readonly groupBy?: string
  readonly testBy?: 'category'
  /** seconds since 1970 */
  readonly testAfter?: number
}

/** What was read of one model. */
export interface ModelRows {
  readonly model: string
  /** rows with a score of it */
  readonly scored: number
  /** their mean; null if there are none */
  readonly score: number | null
  /** comparisons it took part in */
  readonly votes: number
  /** its share of wins in them, with a tie as half a win; null if there are none */
  readonly won: number | null
}

interface Watch {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/**
 * Collects rows and writes a dataset's files. Texts and votes are written to disk as they arrive; what is
 * kept of each prompt stays in memory in typed arrays.
 */
export class DatasetBuilder {
  readonly rows = { read: 0, kept: 0, rejected: 0, duplicates: 0 }
  /** rows left out, by reason */
  readonly leftOut = new Map<string, number>()
  /** set before `finish`, if the logs held weak signals */
  weakSignals: WeakSignalReport | undefined
  private readonly folder: string
  private readonly prompts: PromptStore
  private readonly prefixes = new PrefixSample()
  private readonly templates = new TemplateSample()
  private readonly ids = new EventIds()
  private readonly names = {
    models: new Names(),
    categories: new Names(),
    groups: new Names(),
    judges: new Names(),
  }
  private readonly sources: DatasetManifest['sources'] = []
  private readonly columns = new PromptColumns()
  private readonly groups = { prompt: new Growable(Int32Array), group: new Growable(Int32Array) }
  private readonly preferences: PreferenceTable
  private readonly outcomes = new OutcomeTables()

  private constructor(folder: string, prompts: PromptStore) {
    this.folder = folder
    this.prompts = prompts
    this.preferences = new PreferenceTable(join(folder, 'preferences.part'))
  }

  static async create(folder: string): Promise<DatasetBuilder> {
    return new DatasetBuilder(folder, await PromptStore.create(join(folder, DATASET_FILES.prompts)))
  }

  /** Await this before adding the next block. */
  async add(block: RowBlock): Promise<void> {
    const { rows } = this
    rows.read += block.rows
    rows.rejected += block.rejects.length
    for (const [reason, count] of block.leftOut) {
      this.leftOut.set(reason, (this.leftOut.get(reason) ?? 0) + count)
    }
    const numbers = {
      models: this.number('models', block),
      categories: this.number('categories', block),
      groups: this.number('groups', block),
      judges: this.number('judges', block),
    }
    for (let i = 0; i < block.kept; i++) {
      if (block.kind[i] === KIND.unrated) {
        const prompt = this.addPrompt(block, i, numbers)
        this.outcomes.addUnrated(prompt, block, i, numbers.models)
        continue
      }
      const low = block.id[i * 2]!
      const high = block.id[i * 2 + 1]!
      if ((low !== 0 || high !== 0) && !this.ids.add(low, high)) {
        rows.duplicates++
        continue
      }
      rows.kept++
      const prompt = this.addPrompt(block, i, numbers)
      if (block.kind[i] === KIND.preference) {
        this.preferences.add(prompt, block, i, numbers.models, numbers.judges)
      } else this.outcomes.add(prompt, block, i, numbers.models)
    }
    await this.prompts.flush()
    await this.preferences.flush()
  }

  /** Counts a file with the same bytes as an earlier one: its rows are the same events, so none are kept. */
  addRepeated(rows: number): void {
    this.rows.read += rows
    this.rows.duplicates += rows
  }

  endSource(source: DatasetManifest['sources'][number]): void {
    this.sources.push(source)
  }

  /** Splits the prompts and writes every file, `dataset.json` last. */
  async finish(options: SplitOptions, watch: Watch = {}): Promise<DatasetManifest> {
    await this.prompts.finish()
    const prefixes = this.prefixes.prefixes()
    if (prefixes.length > 0) await this.restem(prefixes, options.seed, watch)
    const assigned = assignSplits(await this.splitInput(options, watch))
    const { split } = assigned
    const { categories, models } = this.names
    await writeArrow(
      this.path('splits'),
      splitBatches(split, this.columns.allCategories(), categories.list()),
    )
    watch.onProgress?.({ stage: 'writing the votes and scores', done: 0 })
    const { names, place } = models.sorted()
    if (this.preferences.length > 0) {
      await writeArrow(this.path('preferences'), this.preferences.batches(place))
      await this.preferences.close()
    }
    if (!this.outcomes.empty) {
      const batches = this.outcomes.batches(this.prompts.size, models, names)
      await writeArrow(this.path('outcomes'), batches)
    }
    const manifest = this.manifest(names, prefixes, assigned, options)
    await writeFile(this.path('manifest'), `${JSON.stringify(manifest, null, 2)}\n`)
    return manifest
  }

  /** What was read of each model, most rows first. */
  modelRows(): ModelRows[] {
    const { outcomes, preferences, names } = this
    const mean = (sum: number, count: number): number | null => (count > 0 ? sum / count : null)
    return names.models
      .list()
      .map((model, m) => {
        const { sum, count: scored } = outcomes.total(m)
        const { met, won } = preferences.tally(m)
        return {
          model,
          scored,
          score: mean(sum, scored),
          votes: met,
          won: mean(won, met),
        }
      })
      .sort((a, b) => b.scored + b.votes - (a.scored + a.votes))
  }

  async close(): Promise<void> {
    await this.prompts.abandon()
    await this.preferences.close()
  }

  private manifest(
    models: string[],
    prefixes: string[],
    { split, copies, common }: AssignedSplits,
    { seed, fractions, groupBy, testBy, testAfter }: SplitOptions,
  ): DatasetManifest {
    const bySplit = new Float64Array(SPLITS.length)
    for (const of of split) bySplit[of]!++
    return {
      format: DATASET_FORMAT,
      sources: this.sources,
      models,
      judges: this.names.judges.list(),
      split: { seed, fractions: { ...fractions }, prefixes, asked: true },
      split_by: definedOnly({
        group_by: groupBy,
        test_by: testBy,
        test_after: testAfter,
        copies: copies || undefined,
        common: common || undefined,
      }),
      counts: {
        prompts: this.prompts.size,
        preferences: this.preferences.length,
        outcomes: this.outcomes.observed(this.prompts.size),
        train: bySplit[0]!,
        validation: bySplit[1]!,
        calibration: bySplit[2]!,
        test: bySplit[3]!,
      },
      rows: { ...this.rows, ...(this.leftOut.size > 0 && { left_out: this.leftOutRows() }) },
      ...(this.leftOut.size > 0 && { left_out: Object.fromEntries(this.leftOut) }),
      ...(this.weakSignals && { weak_signals: this.weakSignals }),
    }
  }

  private leftOutRows(): number {
    return [...this.leftOut.values()].reduce((sum, count) => sum + count, 0)
  }

  private async splitInput(
    { seed, fractions, testBy, testAfter }: SplitOptions,
    watch: Watch,
  ): Promise<SplitInput> {
    const { groups, columns, names } = this
    const cores = await this.cores(watch)
    return {
      stems: columns.allStems(),
      seed,
      fractions,
      ...(cores && { cores }),
      groups: {
        prompt: groups.prompt.view(),
        group: groups.group.view(),
        names: names.groups.list(),
      },
      ...(testBy && {
        testBy: { category: columns.allCategories(), names: names.categories.list() },
      }),
      ...(testAfter !== undefined && {
        testAfter: { first: columns.allFirst(), time: testAfter },
      }),
    }
  }

  private report(stage: string, done: number, { signal, onProgress }: Watch): void {
    throwIfAborted(signal)
    onProgress?.({ stage, done, total: this.prompts.size })
  }

  private path(file: keyof typeof DATASET_FILES): string {
    return join(this.folder, DATASET_FILES[file])
  }

  /** Maps a block's name numbers to the dataset's. */
  private number(kind: keyof RowBlock['names'], block: RowBlock): Int32Array {
    return Int32Array.from(block.names[kind], (name) => this.names[kind].add(name))
  }

  private addPrompt(block: RowBlock, i: number, numbers: Numbers): number {
    const { columns, prompts } = this
    const before = prompts.size
    const entry = prompts.add(block, i)
    if (entry === before) {
      columns.add(block, i)
      const key = prompts.keyOf(entry)
      this.templates.add(key, () => askedText(textOf(block, i)))
      if (this.prefixes.wants(key)) this.prefixes.add(key, askedText(textOf(block, i)))
    }
    columns.addTime(entry, block.timestamp[i]!)
    const category = block.category[i]!
    if (category >= 0) columns.addCategory(entry, numbers.categories[category]!)
    const group = block.group[i]!
    if (group >= 0) {
      this.groups.prompt.push(entry)
      this.groups.group.push(numbers.groups[group]!)
    }
    return entry
  }

  /** Keys of what is asked without the templates around it; undefined if there are no templates. */
  private async cores(watch: Watch): Promise<SplitInput['cores']> {
    const templates = this.templates.templates()
    if (isEmpty(templates)) return undefined
    const prompt = new Growable(Int32Array)
    const key = new Growable(Float64Array)
    const coreKeys = coreKeyReader(templates)
    for await (const { start, offsets, bytes } of this.prompts.batches()) {
      this.report('prompts compared without templates', start, watch)
      for (let i = 0; i + 1 < offsets.length; i++) {
        const asked = askedText(utf8(bytes, offsets[i]!, offsets[i + 1]!))
        for (const one of coreKeys(asked)) {
          prompt.push(start + i)
          key.push(one)
        }
      }
    }
    return { prompt: prompt.view(), key: key.view() }
  }

  /** Computes the stems again, now that the shared prefixes are known. */
  private async restem(prefixes: string[], seed: number, watch: Watch): Promise<void> {
    const hash = new Uint32Array(2)
    for await (const { start, offsets, bytes } of this.prompts.batches()) {
      this.report('prompts split', start, watch)
      for (let i = 0; i + 1 < offsets.length; i++) {
        stemHash(askedText(utf8(bytes, offsets[i]!, offsets[i + 1]!)), prefixes, seed, hash)
        this.columns.setStem(start + i, hash)
      }
    }
  }
}

type Numbers = Readonly<Record<keyof RowBlock['names'], Int32Array>>

const textOf = ({ text, textOffset }: RowBlock, i: number): string =>
  utf8(text, textOffset[i]!, textOffset[i + 1]!)

const utf8 = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', start, end)

/**
 * The ids seen so far, as 64-bit hashes in typed arrays: eight bytes per id at half load, without an object
 * per id.
 */
class EventIds {
  private slots = new Uint32Array(1 << 13)
  private size = 0

  /**
   * Returns false if the id was seen before; never called with two zeros. Two different ids collide with
   * probability 2^-64 per pair.
   */
  add(low: number, high: number): boolean {
    if (!insert(this.slots, low, high)) return false
    if (++this.size * 4 > this.slots.length) this.grow()
    return true
  }

  private grow(): void {
    const slots = new Uint32Array(this.slots.length * 2)
    for (let i = 0; i < this.slots.length; i += 2) {
      const low = this.slots[i]!
      const high = this.slots[i + 1]!
      if (low !== 0 || high !== 0) insert(slots, low, high)
    }
    this.slots = slots
  }
}

function insert(slots: Uint32Array, low: number, high: number): boolean {
  const mask = slots.length / 2 - 1
  for (let slot = low & mask; ; slot = (slot + 1) & mask) {
    const heldLow = slots[slot * 2]!
    const heldHigh = slots[slot * 2 + 1]!
    if (heldLow === 0 && heldHigh === 0) {
      slots[slot * 2] = low
      slots[slot * 2 + 1] = high
      return true
    }
    if (heldLow === low && heldHigh === high) return false
  }
}

const BATCH_ROWS = 65_536

/**
 * `splits.arrow`: the split and the category of each prompt; `categories` are indices into `names`, -1 for
 * none.
 */
function* splitBatches(
  split: Uint8Array,
  categories: Int32Array,
  names: readonly string[],
): Generator<Batch> {
  const bytes = names.map((name) => Buffer.from(name))
  for (let start = 0; start < split.length; start += BATCH_ROWS) {
    const end = Math.min(start + BATCH_ROWS, split.length)
    yield {
      rows: end - start,
      columns: {
        split: split.subarray(start, end),
        category: texts(categories.subarray(start, end), bytes),
      },
    }
  }
}

/** One text per row, out of a small set; the empty text for none. */
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

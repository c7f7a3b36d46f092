import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import Value from 'typebox/value'
import { throwIfAborted } from '../core/abort.ts'
import { WeirError } from '../core/errors.ts'
import { failureReason, makeFolders, renameInto, writeNew } from '../core/files.ts'
import { HASH_PREFIX_LENGTH } from '../core/hash.ts'
import type { OnProgress } from '../core/progress.ts'
import { firstFault } from '../core/schema-fault.ts'
import { SplitRule } from '../models/bundle/manifest.ts'
import { chatMessages, labelOf, type Template } from '../models/encoders/causal-lm/template.ts'
import { textOf } from '../models/encoders/context.ts'
import { promptReader, type Recipe } from '../models/reading/recipe.ts'
import { type Dataset, SPLITS, seenHash } from './dataset/dataset.ts'
import { type PairLabels, pairLabels } from './pair.ts'

/** What a model that is trained elsewhere was given; `weir import` reads it beside the result. */
export const TRAINING_EXPORT_FILE = 'weir-export.json'

/** Splits that leave for training elsewhere; calibration and test rows never do, nor copies of them. */
export const EXPORTED_SPLITS = ['train', 'validation'] as const
type ExportedSplit = (typeof EXPORTED_SPLITS)[number]

/** `classification`: `text` with soft `labels`; `sft`: `messages` that end with the label that stands nearest. */
export const TRAINING_FORMS = ['classification', 'sft'] as const
export type TrainingForm = (typeof TRAINING_FORMS)[number]

const Prefixes = Type.Array(Type.String({ pattern: `^[0-9a-f]{${HASH_PREFIX_LENGTH}}$` }))
export const TrainingExport = Type.Object({
  format: Type.Literal(1),
  form: Type.Union([Type.Literal('classification'), Type.Literal('sft')]),
  strong: Type.String(),
  weak: Type.String(),
  /** names of the classes, in the order of a row's `labels` */
  classes: Type.Array(Type.String()),
  recipe: Type.String(),
  split: SplitRule,
  sources: Type.Array(
    Type.Object({ path: Type.String(), sha256: Type.String(), rows: Type.Integer() }),
  ),
  /** the start of the SHA-256 of every prompt that was written */
  seen: Type.Object({ train: Prefixes, validation: Prefixes }),
})
export type TrainingExport = Type.Static<typeof TrainingExport>

export interface ExportForTrainingOptions {
  readonly form: TrainingForm
  readonly strong: string
  readonly weak: string
  readonly recipe: Recipe
  /** how a prompt is put to a language model, for `sft` */
  readonly template: Template
  /** more files of the folder, by name */
  readonly files?: ReadonlyMap<string, string> | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

const ROWS = 10_000

/**
 * Writes the train and validation rows of a pair as `train.jsonl` and `validation.jsonl`, texts as the recipe reads
 * them, and `weir-export.json`; the folder appears whole or not at all. A label is the strong model's win rate, from 0
 * to 1: half the difference of the scores plus a half, or its share of the votes.
 *
 * @returns the number of rows per split
 * @throws rows_too_few if a split has no labelled row; model_unknown; file_unwritable
 */
export async function exportForTraining(
  dataset: Dataset,
  out: string,
  options: ExportForTrainingOptions,
): Promise<Readonly<Record<ExportedSplit, number>>> {
  const { form, strong, weak, recipe, files = new Map() } = options
  const labels = pairLabels(dataset, strong, weak)
  const rows = Object.fromEntries(
    EXPORTED_SPLITS.map((split) => [split, rowsIn(dataset, labels, split)]),
  ) as Record<ExportedSplit, number[]>
  for (const split of EXPORTED_SPLITS) {
    if (rows[split].length > 0) continue
    const what = `of ${strong} and ${weak} together in the ${split} split`
    throw new WeirError('rows_too_few', { expected: 1, what, got: 0 })
  }
  const prefixes = (split: ExportedSplit): string[] =>
    rows[split]
      .map((row) => seenHash(dataset, labels.prompt[row]!).slice(0, HASH_PREFIX_LENGTH))
      .sort()
  const described: TrainingExport = {
    format: 1,
    form,
    strong,
    weak,
    classes: ['strong', 'weak'],
    recipe: recipe.name,
    split: dataset.manifest.split,
    sources: dataset.manifest.sources.map(({ path, sha256, rows }) => ({ path, sha256, rows })),
    seen: { train: prefixes('train'), validation: prefixes('validation') },
  }
  try {
    await renameInto(out, async (partial) => {
      makeFolders(partial)
      for (const split of EXPORTED_SPLITS) {
        const lines = exportedRows(dataset, labels, rows[split], split, options)
        await writeNew(join(partial, `${split}.jsonl`), lines)
      }
      const text = `${JSON.stringify(described, null, 1)}\n`
      await writeNew(join(partial, TRAINING_EXPORT_FILE), text)
      for (const [name, contents] of files) await writeNew(join(partial, name), contents)
    })
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    throw new WeirError('file_unwritable', { path: out, reason: failureReason(cause) }, { cause })
  }
  return { train: rows.train.length, validation: rows.validation.length }
}

const rowsIn = (dataset: Dataset, { prompt }: PairLabels, split: ExportedSplit): number[] =>
  [...prompt.keys()].filter((row) => SPLITS[dataset.split[prompt[row]!]!] === split)

function* exportedRows(
  dataset: Dataset,
  labels: PairLabels,
  rows: readonly number[],
  split: ExportedSplit,
  { form, recipe, template, signal, onProgress }: ExportForTrainingOptions,
): Generator<Uint8Array> {
  const read = promptReader(recipe)
  let block = ''
  for (const [i, row] of rows.entries()) {
    if (i % ROWS === 0) {
      throwIfAborted(signal)
      onProgress?.({ stage: `${split} rows written`, done: i, total: rows.length })
    }
    const text = textOf(read(dataset.prompts[labels.prompt[row]!]!))
    const winRate = Number(labels.label[row]!.toPrecision(6))
    const rest = Number((1 - winRate).toPrecision(6))
    const line =
      form === 'classification'
        ? { text, labels: [winRate, rest] }
        : {
            messages: [
              ...chatMessages(template, [], text),
              { role: 'assistant', content: labelOf(template, winRate) },
            ],
            win_rate: winRate,
          }
    block += `${JSON.stringify(line)}\n`
    if (block.length < 1 << 20) continue
    yield Buffer.from(block)
    block = ''
  }
  yield Buffer.from(block)
}

/**
 * What a folder says of the training of the model in it.
 *
 * @param required set if it was asked for: its absence is then an error
 * @returns undefined if the folder has no `weir-export.json` and none is required
 * @throws file_not_found, config_invalid
 */
export async function readTrainingExport(
  folder: string,
  required?: string,
): Promise<TrainingExport | undefined> {
  const path = join(folder, TRAINING_EXPORT_FILE)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (required === undefined) return undefined
    throw new WeirError('file_not_found', { path }, { cause })
  }
  const refuse = (where: string, expected: string, got: unknown): never => {
    throw new WeirError('config_invalid', { where, expected, got })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    return refuse(path, 'JSON', (cause as Error).message)
  }
  if (Value.Check(TrainingExport, value)) return value
  const { field, expected, got } = firstFault(Value.Errors(TrainingExport, value), value)
  return refuse(`${path} ${field}`, expected, got)
}

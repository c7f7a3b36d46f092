import type { ScoreRange } from '../rows/cell.ts'
import type { Reader } from '../rows/reader.ts'
import { isRecord } from '../rows/record.ts'
import { readFields } from './long.ts'

/**
 * Asks for names that a file has at its top level, or that the first element of a list in it has (a page of an
 * API).
 */
export function firstHas(
  columns: ReadonlySet<string>,
  list: unknown,
): (...names: readonly string[]) => boolean {
  const first: unknown = Array.isArray(list) ? list[0] : undefined
  return (...names) =>
    names.every((name) => columns.has(name)) ||
    (isRecord(first) && names.every((name) => name in first))
}

/** What a preset adds to its name. */
export type Preset = Required<Pick<Reader, 'name' | 'mapping' | 'recognises'>> &
  Pick<Reader, 'expand' | 'expandsList' | 'gather' | 'beside' | 'sequential'> & {
    /** lowest and highest score of the layout, if not 0 and 1; `--score-range` wins */
    readonly scoreRange?: ScoreRange
    /** reads the mapped fields, where they can be left out for reasons of their own */
    readonly read?: typeof readFields
  }

/**
 * A preset: the layout of one tool's export, read without code. It is made of two parts and a test case:
 *
 * 1. A mapping, which is data (`Mapping`): where the list of rows stands, and for each of our fields the path
 *    to it. It may hold all that a mapping file (`--map FILE.yaml`) may hold, so that it can be tried as a file
 *    first: `weir data ingest --explain FILE --map tool.yaml` shows what is read from three rows, and what is
 *    not used.
 * 2. A recogniser: `recognises(columns, sample)` says whether a file is the tool's, from the columns and first
 *    records at the file's top level, before any mapping. It must be sure: a layout is refused to no one else.
 *    Large JSON documents are shown to it with the beginning of their lists only.
 *
 *        export const promptfooPreset = definePreset({
 *          name: 'promptfoo',
 *          mapping: {
 *            rows: 'results.results',
 *            fields: { prompt: 'prompt.raw', model: 'provider.label|provider.id', score: 'score|success' },
 *            except: { failureReason: 2 },
 *          },
 *          recognises: (_columns, [first]) => Array.isArray(first?.results?.results),
 *        })
 *
 * Add it as a row of `data/readers.ts`, before the general layouts, and as a case of
 * `test/data/readers/readers.test.ts`; the table of docs/data.md needs its row too (a test compares them).
 *
 * The mapped fields make the row: `model` and `score` an outcome of one model, `scores` an outcome of several,
 * `model_a`, `model_b` and `winner` a preference (`readFields`). A row with a model but no score is counted as
 * left out. Where one record stands for several and a path cannot say so, `expand` is the code for it (with
 * `expandsList`, where its elements are independent of each other); `beside`
 * reads facts from files next to the log (`@beside.name`). Scores that lie in a file of their own are a row of
 * `SCORE_FILES` in `data/readers.ts` (a `ScoreFile`: name, mapping with `key`, `score` and `name`, recogniser);
 * a preset whose mapping has `on` finds them by that key.
 */
export function definePreset({ scoreRange: usual, read = readFields, ...preset }: Preset): Reader {
  return {
    ...preset,
    required: [],
    open:
      (_columns, _sample, { scoreRange = usual }) =>
      (record, origin) =>
        read(record, origin, scoreRange),
  }
}

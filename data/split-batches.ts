import type { Batch, TextColumn } from './arrow.ts'

const BATCH_ROWS = 65_536

/** `splits.arrow`: the split and the category of each prompt; `categories` indexes `names`, -1 for none. */
export function* splitBatches(
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

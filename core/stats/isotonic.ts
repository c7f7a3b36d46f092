export interface Block {
  /** number or weight of the rows */
  readonly rows: number
  /** mean place and mean value of the block's rows */
  readonly x: number
  readonly y: number
}

/**
 * Isotonic regression by pooling adjacent violators (Ayer et al. 1955): from blocks in ascending order of x, blocks
 * whose x and y rise strictly.
 */
export function poolAdjacentViolators(blocks: readonly Block[]): Block[] {
  const kept: Block[] = []
  for (const block of blocks) {
    let last = block
    for (let before = kept.at(-1); before && violates(before, last); before = kept.at(-1)) {
      kept.pop()
      last = joinBlocks(before, last)
    }
    kept.push(last)
  }
  return kept
}

/** Equal places form one block, whatever their values. */
const violates = (before: Block, after: Block): boolean =>
  before.y >= after.y || before.x >= after.x

export function joinBlocks(a: Block, b: Block): Block {
  const rows = a.rows + b.rows
  return { rows, x: (a.rows * a.x + b.rows * b.x) / rows, y: (a.rows * a.y + b.rows * b.y) / rows }
}

import type { Tensor } from '../../models/family.ts'

/**
 * Parameters that are updated as one array: a large one by itself, all the small ones together, since
 * on small arrays an operator's fixed cost is most of its cost.
 */
export interface Block {
  readonly name: string
  /** a large parameter's own shape, else [size] */
  readonly shape: readonly number[]
  readonly parts: readonly BlockPart[]
}

export interface BlockPart {
  readonly name: string
  readonly shape: readonly number[]
  /** where it starts in the block */
  readonly offset: number
  readonly size: number
}

const SMALL = 65_536

export function planBlocks(parameters: Readonly<Record<string, Tensor>>): Block[] {
  const blocks: Block[] = []
  const together: BlockPart[] = []
  let offset = 0
  for (const [name, { shape, values }] of Object.entries(parameters)) {
    const size = values.length
    if (size > SMALL) blocks.push({ name, shape, parts: [{ name, shape, offset: 0, size }] })
    else {
      together.push({ name, shape, offset, size })
      offset += size
    }
  }
  // a name that no parameter has, since `small` could be one
  if (together.length > 0) blocks.push({ name: '*', shape: [offset], parts: together })
  return blocks
}

/** A block's initial values. */
export function packBlock(
  block: Block,
  parameters: Readonly<Record<string, Tensor>>,
): Float32Array {
  const packed = new Float32Array(block.parts.reduce((sum, part) => sum + part.size, 0))
  for (const part of block.parts) packed.set(parameters[part.name]!.values, part.offset)
  return packed
}

/** The parameters in a block's values, copied. */
export function unpackBlock(block: Block, values: Float32Array): [string, Tensor][] {
  return block.parts.map(({ name, shape, offset, size }) => [
    name,
    { shape, values: values.slice(offset, offset + size) },
  ])
}

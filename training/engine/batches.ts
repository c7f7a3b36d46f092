import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Tensor } from '../../models/families/family.ts'
import type { FitRows } from './engine.ts'

/** The rows in the order of one epoch, padded to full batches with row 0 at weight 0. */
export interface Batches {
  readonly steps: number
  readonly batchSize: number
  /** steps x batchSize */
  readonly order: Int32Array
  /** steps x batchSize */
  readonly weight: Float32Array
}

/** @param shuffle the run's seed and the epoch, counted from 1; without it rows keep their order */
export function planBatches(
  rows: FitRows,
  batchSize: number,
  shuffle?: { readonly seed: number; readonly epoch: number },
): Batches {
  const size = Math.max(1, Math.min(batchSize, rows.rows))
  const steps = Math.ceil(rows.rows / size)
  const order = new Int32Array(steps * size)
  const real = order.subarray(0, rows.rows)
  for (let i = 0; i < real.length; i++) real[i] = i
  // one generator per epoch, so that a resumed run continues with the same shuffles
  if (shuffle) createRandom(deriveSeed(shuffle.seed, `shuffle ${shuffle.epoch}`)).shuffle(real)
  const weight = new Float32Array(order.length)
  for (let i = 0; i < real.length; i++) weight[i] = rows.weight[real[i]!]!
  return { steps, batchSize: size, order, weight }
}

/** Weighted mean of row losses, from their weighted sum per batch; 0 if the total weight is 0. */
export function meanLoss(batchSums: ArrayLike<number>, weight: Float32Array): number {
  let loss = 0
  for (let i = 0; i < batchSums.length; i++) loss += batchSums[i]!
  let total = 0
  for (const w of weight) total += w
  return total > 0 ? loss / total : 0
}

/** Lower limit of the divisor of a batch's weights. */
export const MINIMUM_WEIGHT = 1e-12

/**
 * Parameters that are updated as one array: each large one separately, all small ones together, since for
 * small arrays the fixed cost of an operator dominates.
 */
export interface Block {
  readonly name: string
  /** the shape of the parameter for a large one, else [size] */
  readonly shape: readonly number[]
  readonly parts: readonly BlockPart[]
}

export interface BlockPart {
  readonly name: string
  readonly shape: readonly number[]
  /** offset of the parameter in the block */
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
  // a name that no parameter has; a parameter could be named `small`
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

/** The parameters of a block, copied out of its values. */
export function unpackBlock(block: Block, values: Float32Array): [string, Tensor][] {
  return block.parts.map(({ name, shape, offset, size }) => [
    name,
    { shape, values: values.slice(offset, offset + size) },
  ])
}

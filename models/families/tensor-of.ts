import { WeirError } from '../errors.ts'
import type { HeadWeights, Tensor } from '../family.ts'

/** A tensor of a head by name, of the shape the family says; a missing one means a damaged bundle. */
export function tensorOf(weights: HeadWeights, name: string, shape: readonly number[]): Tensor {
  const tensor = weights.tensors[name]
  if (
    !tensor ||
    tensor.shape.length !== shape.length ||
    tensor.shape.some((n, i) => n !== shape[i])
  ) {
    throw new WeirError('bundle_invalid', {
      path: 'head',
      reason: `expected a tensor ${name} of shape [${shape}], got ${tensor ? `[${tensor.shape}]` : 'none'}`,
    })
  }
  return tensor
}

import type { GraphInput } from '../family.ts'
import type { GraphBuilder } from '../onnx/builder.ts'

/** Declares a family's input and gives its values' names; a graph of several heads declares it once. */
export interface InputNames {
  readonly kind: GraphInput['kind']
  readonly dimension: number
  readonly values: readonly string[]
}

export function declareInput(builder: GraphBuilder, input: GraphInput): InputNames {
  const { kind, dimension } = input
  const values =
    kind === 'dense'
      ? [builder.input('embedding', 'float32', ['batch', dimension])]
      : [
          builder.input('ids', 'int64', ['batch', 'length']),
          builder.input('weights', 'float32', ['batch', 'length']),
        ]
  return { kind, dimension, values }
}

import type {
  ElementType,
  OnnxAttribute,
  OnnxGraph,
  OnnxNode,
  OnnxTensor,
  OnnxValue,
} from './model.ts'

/** Builds a graph node by node; values are identified by the names it returns. */
export class GraphBuilder {
  private readonly nodes: OnnxNode[] = []
  private readonly initializers = new Map<string, OnnxTensor>()
  private readonly inputs: OnnxValue[] = []
  private readonly outputs: OnnxValue[] = []
  private readonly prefix: string
  private count = 0

  /** @param prefix separates the names of a nested graph from those of the surrounding graph */
  constructor(prefix = '') {
    this.prefix = prefix
  }

  input(name: string, type: ElementType, shape: readonly (number | string)[]): string {
    this.inputs.push({ name, type, shape })
    return name
  }

  /** Declares a value as an output, under its own name or (through Identity) another one. */
  output(
    value: string,
    type: ElementType,
    shape: readonly (number | string)[],
    name?: string,
  ): string {
    const declared = name ?? value
    if (declared !== value)
      this.nodes.push({ op: 'Identity', inputs: [value], outputs: [declared] })
    this.outputs.push({ name: declared, type, shape })
    return declared
  }

  constant(tensor: OnnxTensor, name?: string): string {
    const key = name ?? this.fresh('const')
    this.initializers.set(key, tensor)
    return key
  }

  floats(values: ArrayLike<number>, shape: readonly number[], name?: string): string {
    return this.constant({ type: 'float32', shape, data: Float32Array.from(values) }, name)
  }

  scalar(value: number): string {
    return this.floats([value], [])
  }

  /** A 1-d int64 tensor, as required for shapes, axes and slice bounds. */
  integers(values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt)
    return this.constant({ type: 'int64', shape: [values.length], data })
  }

  /** Adds a node with one output and returns that output's name. */
  node(
    op: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): string {
    return this.nodeOutputs(op, inputs, 1, attributes)[0]!
  }

  nodeOutputs(
    op: string,
    inputs: readonly string[],
    count: number,
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): string[] {
    const outputs = Array.from({ length: count }, () => this.fresh(op.toLowerCase()))
    this.nodes.push({ op, inputs, outputs, ...(attributes ? { attributes } : {}) })
    return outputs
  }

  /** Renames a node's output, without a node that copies it, and declares it as an output. */
  outputAs(
    value: string,
    type: ElementType,
    shape: readonly (number | string)[],
    name: string,
  ): string {
    const renamed = (values: readonly string[]): string[] =>
      values.map((each) => (each === value ? name : each))
    this.nodes.forEach((node, i) => {
      this.nodes[i] = { ...node, inputs: renamed(node.inputs), outputs: renamed(node.outputs) }
    })
    this.outputs.push({ name, type, shape })
    return name
  }

  finish(name: string): OnnxGraph {
    return {
      name,
      inputs: this.inputs,
      outputs: this.outputs,
      initializers: this.initializers,
      nodes: this.nodes,
    }
  }

  private fresh(stem: string): string {
    return `${this.prefix}${stem}_${this.count++}`
  }
}

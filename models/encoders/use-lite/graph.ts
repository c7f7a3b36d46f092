import { WeirError } from '../../../core/errors.ts'
import { GraphBuilder } from '../../onnx/builder.ts'
import type { OnnxModel } from '../../onnx/model.ts'
import { quantiseColumns, quantiseRows } from './quantise.ts'
import type { NamedWeights } from './weights.ts'

/** The longest piece sequence that the original model reads. */
export const MAX_PIECES = 128
export const USE_LITE_DIMENSION = 512
const EPSILON = 1e-6

export type Precision = 'fp32' | 'q8'

/**
 * The Universal Sentence Encoder Lite (Cer et al. 2018, arXiv 1803.11175) as an ONNX graph: `ids` int64 [n,
 * t], all n of one length t from 1 to 128, to `embedding` float32 [n, 512] of norm 1. Two pre-norm
 * transformer layers of 4 heads (256 then 512 wide), mean over pieces, a tanh layer, L2 norm. Like the
 * original, it adds the piece embeddings twice, as 2 * embedding + timing signal.
 *
 * `q8` stores the weights as unsigned bytes with one scale per column, and multiplies bytes. Activations are
 * quantised over the whole batch, so run it one prompt at a time. The weights are unsigned because on a CPU
 * without VNNI the product of signed weights saturates at 16 bits.
 */
export function useLiteGraph(weights: NamedWeights, precision: Precision): OnnxModel {
  const layers = new Layers(weights, precision)
  const { graph } = layers
  const ids = graph.input('ids', 'int64', ['n', 't'])
  let x = layers.addTiming(layers.embed(ids), ids)
  x = layers.attention(x, 0, 256)
  x = layers.feedForward(x, 0)
  x = layers.attention(x, 1, 512)
  x = layers.feedForward(x, 1)
  const mean = graph.node('ReduceMean', [x], { axes: { ints: [1] }, keepdims: { int: 0 } })
  const hidden = 'module/Encoder_en/hidden_layers/tanh_layer_0'
  const dense = layers.linear(mean, `${hidden}/weights`, `${hidden}/bias`)
  const tanh = graph.node('Tanh', [dense])
  const norm = graph.node('ReduceL2', [tanh], { axes: { ints: [1] }, keepdims: { int: 1 } })
  const unit = graph.node('Div', [tanh, graph.node('Max', [norm, graph.scalar(1e-6)])])
  graph.output(unit, 'float32', ['n', USE_LITE_DIMENSION], 'embedding')
  return {
    graph: graph.finish(`use_lite_${precision}`),
    metadata: { encoder: 'use-lite', precision },
  }
}

const APPLY = 'module_apply_default/Encoder_en/KonaTransformer/Encode'
const STACK = `${APPLY}/TransformerStack`
const FITTED = 'module/Encoder_en/KonaTransformer/Encode'

class Layers {
  readonly graph = new GraphBuilder()
  private readonly weights: NamedWeights
  private readonly precision: Precision

  constructor(weights: NamedWeights, precision: Precision) {
    this.weights = weights
    this.precision = precision
  }

  /** ids [n, t] -> twice the piece embeddings, [n, t, 256] */
  embed(ids: string): string {
    const { shape, values } = this.tensor('module/Embeddings_en')
    const doubled = values.map((value) => 2 * value)
    if (this.precision === 'fp32') {
      return this.graph.node('Gather', [this.graph.floats(doubled, shape, 'pieces'), ids])
    }
    const { bytes, scales, zero } = quantiseRows(doubled, shape[0]!, shape[1]!)
    const table = this.graph.constant({ type: 'uint8', shape, data: bytes }, 'pieces')
    const rows = this.graph.node('Cast', [this.graph.node('Gather', [table, ids])], {
      to: { int: 1 },
    })
    const centred = this.graph.node('Sub', [rows, this.graph.scalar(zero)])
    const scale = this.graph.node('Gather', [this.graph.floats(scales, [shape[0]!, 1]), ids])
    return this.graph.node('Mul', [centred, scale])
  }

  /** Adds sin and cos of position * frequency (Vaswani et al. 2017), as a table of the 128 positions. */
  addTiming(x: string, ids: string): string {
    const { values: frequencies } = this.tensor(
      `${STACK}/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1`,
    )
    const half = frequencies.length
    const table = new Float32Array(MAX_PIECES * 2 * half)
    for (let position = 0; position < MAX_PIECES; position++) {
      for (let j = 0; j < half; j++) {
        const angle = Math.fround(position * frequencies[j]!)
        table[position * 2 * half + j] = Math.sin(angle)
        table[position * 2 * half + half + j] = Math.cos(angle)
      }
    }
    const length = this.graph.node('Slice', [
      this.graph.node('Shape', [ids]),
      this.graph.integers([1]),
      this.graph.integers([2]),
    ])
    const timing = this.graph.floats(table, [MAX_PIECES, 2 * half], 'timing')
    const used = this.graph.node('Slice', [
      timing,
      this.graph.integers([0]),
      length,
      this.graph.integers([0]),
    ])
    return this.graph.node('Add', [x, used])
  }

  /** x [n, t, width] -> residual + attention, [n, t, 512] */
  attention(x: string, layer: number, width: number): string {
    const graph = this.graph
    const heads = 4
    const fitted = `${FITTED}/Layer_${layer}/TransformerLayer/MultiheadAttention`
    const apply = `${APPLY}/Layer_${layer}/TransformerLayer`
    const bias = `${apply}/MultiheadAttention`
    const normal = this.layerNorm(x, `${apply}/layer_prepostprocess`)
    const qkv = this.linear(
      normal,
      `${fitted}/qkv_transform_single/kernel/part_0`,
      `${bias}/qkv_transform_single/bias/ConcatPartitions/concat`,
    )
    const parts = graph.nodeOutputs('Split', [qkv, graph.integers([width, width, width])], 3, {
      axis: { int: -1 },
    })
    const split = graph.integers([0, 0, heads, width / heads])
    const headed = (part: string, perm: readonly number[]): string =>
      graph.node('Transpose', [graph.node('Reshape', [part, split])], { perm: { ints: perm } })
    const scale = this.tensor(`${STACK}/Layer_${layer}/TransformerLayer/MultiheadAttention/mul/y`)
    const query = graph.node('Mul', [
      headed(parts[0]!, [0, 2, 1, 3]),
      graph.scalar(scale.values[0]!),
    ])
    const scores = graph.node('MatMul', [query, headed(parts[1]!, [0, 2, 3, 1])])
    const mixed = graph.node('MatMul', [
      graph.node('Softmax', [scores], { axis: { int: -1 } }),
      headed(parts[2]!, [0, 2, 1, 3]),
    ])
    const joined = graph.node('Reshape', [
      graph.node('Transpose', [mixed], { perm: { ints: [0, 2, 1, 3] } }),
      graph.integers([0, 0, width]),
    ])
    const attended = this.linear(
      joined,
      `${fitted}/output_transform_single/kernel/part_0`,
      `${bias}/output_transform_single/bias/ConcatPartitions/concat`,
    )
    // the first layer widens 256 to 512, with a separate linear map for its residual
    const residual = layer === 0 ? this.denseOf(x, `${apply}/dense`) : x
    return graph.node('Add', [attended, residual])
  }

  /** x [n, t, 512] -> x + relu(norm(x) W1 + b1) W2 + b2 */
  feedForward(x: string, layer: number): string {
    const fitted = `${APPLY}/Layer_${layer}/TransformerLayer/FFN`
    const kernel = `${STACK}/Layer_${layer}/TransformerLayer/FFN`
    const convolve = (input: string, name: string): string =>
      this.linear(
        input,
        `${kernel}/${name}/Tensordot/Reshape_1`,
        `${fitted}/${name}/bias/ConcatPartitions/concat`,
      )
    const normal = this.layerNorm(x, `${fitted}/layer_prepostprocess`)
    const inner = this.graph.node('Relu', [convolve(normal, 'conv1')])
    return this.graph.node('Add', [convolve(inner, 'conv2'), x])
  }

  /** x [..., k] times a [k, m] weight plus bias */
  linear(x: string, weightName: string, biasName: string): string {
    const { shape, values } = this.tensor(weightName)
    const [k, m] = [shape.at(-2)!, shape.at(-1)!]
    const bias = this.tensor(biasName)
    const product =
      this.precision === 'fp32'
        ? this.graph.node('MatMul', [x, this.graph.floats(values, [k, m])])
        : this.multiplyBytes(x, values, k, m)
    return this.graph.node('Add', [product, this.graph.floats(bias.values, bias.shape)])
  }

  private multiplyBytes(x: string, values: Float32Array, k: number, m: number): string {
    const graph = this.graph
    const { bytes, scales, zero } = quantiseColumns(values, k, m)
    const weight = graph.constant({ type: 'uint8', shape: [k, m], data: bytes })
    const weightZero = graph.constant({ type: 'uint8', shape: [], data: Uint8Array.of(zero) })
    const [quantised, scale, xZero] = graph.nodeOutputs('DynamicQuantizeLinear', [x], 3)
    const product = graph.node('MatMulInteger', [quantised!, weight, xZero!, weightZero])
    const factor = graph.node('Mul', [scale!, graph.floats(scales, [m])])
    return graph.node('Mul', [graph.node('Cast', [product], { to: { int: 1 } }), factor])
  }

  private denseOf(x: string, prefix: string): string {
    return this.linear(
      x,
      `${prefix}/kernel/ConcatPartitions/concat`,
      `${prefix}/bias/ConcatPartitions/concat`,
    )
  }

  private layerNorm(x: string, prefix: string): string {
    const scale = this.tensor(`${prefix}/layer_norm/layer_norm_scale/ConcatPartitions/concat`)
    const bias = this.tensor(`${prefix}/layer_norm/layer_norm_bias/ConcatPartitions/concat`)
    return this.graph.node(
      'LayerNormalization',
      [x, this.graph.floats(scale.values, scale.shape), this.graph.floats(bias.values, bias.shape)],
      { axis: { int: -1 }, epsilon: { float: EPSILON } },
    )
  }

  private tensor(name: string): { shape: readonly number[]; values: Float32Array } {
    const found = this.weights.tensors.get(name)
    if (found) return found
    throw new WeirError('encoder_unavailable', {
      encoder: 'use-lite',
      reason: `its weights have no tensor ${name}`,
    })
  }
}

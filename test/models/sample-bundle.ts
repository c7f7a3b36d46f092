import { promptHash } from '../../core/hash.ts'
import { createRandom } from '../../core/random.ts'
import { encodeDataHashes } from '../../models/bundle/data-hashes.ts'
import { encodeHead } from '../../models/bundle/head-file.ts'
import type { Manifest } from '../../models/bundle/manifest.ts'
import type { BundleDraft } from '../../models/bundle/write.ts'
import type { LinearHead, Link } from '../../models/families/linear-head.ts'
import { GraphBuilder } from '../../models/onnx/builder.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { wordSpec } from './word-encoder.ts'

export interface SampleOptions {
  readonly name?: string
  readonly link?: Link
  /** leaves the folded head out, so that router.onnx is what scores */
  readonly folded?: boolean
  readonly output?: 'dense' | 'sparse'
  readonly threshold?: number
  readonly manifest?: Partial<Manifest>
  readonly seed?: number
}

/** A linear head over the word encoder's six features, with weights a test can follow. */
export function sampleHead(link: Link = 'pair', seed = 1): LinearHead {
  const outputs = link === 'pair' ? 1 : 3
  const random = createRandom(seed)
  const weights = Float32Array.from({ length: wordSpec.dimension * outputs }, () => random.normal())
  // 'prove' asks for the strong model, 'hello' for the weak one
  weights.set([2, 1, 0.5, -2, 1.5, 0.25].flatMap((w) => (outputs === 1 ? [w] : [w, -w, 0])))
  const bias = Float32Array.from({ length: outputs }, (_, k) => [-0.25, 0.25, 0][k]!)
  return { link, outputs, dimension: wordSpec.dimension, weights, bias, strong: 0, weak: 1 }
}

/** A whole bundle: head, graph, hashes and a manifest. */
export function sampleDraft(options: SampleOptions = {}): BundleDraft {
  const link = options.link ?? 'pair'
  const head = sampleHead(link, options.seed)
  const output = options.output ?? 'dense'
  const files = new Map([
    ['router.onnx', headGraph(head, output)],
    [
      'data-hashes.bin',
      encodeDataHashes({
        train: ['prove it', 'hello there'].map(promptHash),
        validation: [promptHash('why is that')],
      }),
    ],
  ])
  if (options.folded !== false) files.set('head.bin', encodeHead(head))
  const models = ['big', 'small', 'other'].slice(0, link === 'pair' ? 2 : 3)
  return {
    files,
    manifest: {
      name: options.name ?? 'sample',
      encoder: { ...wordSpec, output },
      family: { name: 'classifier', hyperparameters: { l2: 0.01 } },
      candidates: models.map((model, i) => ({
        model,
        role: (['strong', 'weak', 'other'] as const)[i]!,
        ...(model === 'other'
          ? {}
          : { price: { input: 10 / (i * 9 + 1), output: 30 / (i * 9 + 1) } }),
        ...(model === 'other' ? {} : { output_tokens: 200 }),
      })),
      ...(options.folded === false
        ? {}
        : { head: { link, outputs: head.outputs, dimension: head.dimension } }),
      calibration: { method: 'identity' },
      threshold: { value: options.threshold ?? 0.5, source: 'default' },
      data: {
        sources: [{ path: 'logs.jsonl', sha256: promptHash('logs'), rows: 3 }],
        split: { seed: 0, fractions: { train: 0.7, validation: 0.3 }, prefixes: [] },
        counts: { train: 2, validation: 1 },
      },
      metrics: { apgr: 0.6 },
      libraries: { weir: '0.1.0' },
      ...options.manifest,
    },
  }
}

/** The head as ONNX, by the signature of `Family.graph`. */
function headGraph(head: LinearHead, kind: 'dense' | 'sparse'): Uint8Array {
  const builder = new GraphBuilder()
  const weights = builder.floats(head.weights, [head.dimension, head.outputs])
  let product: string
  if (kind === 'dense') {
    product = builder.node('MatMul', [
      builder.input('embedding', 'float32', ['n', head.dimension]),
      weights,
    ])
  } else {
    const rows = builder.node('Gather', [weights, builder.input('ids', 'int64', ['n', 'l'])])
    const row = builder.input('weights', 'float32', ['n', 'l'])
    const scaled = builder.node('Mul', [
      rows,
      builder.node('Unsqueeze', [row, builder.integers([2])]),
    ])
    product = builder.node('ReduceSum', [scaled, builder.integers([1])], { keepdims: { int: 0 } })
  }
  const logits = builder.node('Add', [product, builder.floats(head.bias, [head.outputs])])
  const column = (value: string, k: number): string =>
    builder.node(
      'Gather',
      [value, builder.constant({ type: 'int64', shape: [], data: BigInt64Array.of(BigInt(k)) })],
      {
        axis: { int: 1 },
      },
    )
  if (head.link === 'pair') {
    builder.output(builder.node('Sigmoid', [column(logits, 0)]), 'float32', ['n'], 'win_rate')
  } else {
    const quality = builder.node('Sigmoid', [logits])
    const gain = builder.node('Sub', [column(quality, head.strong), column(quality, head.weak)])
    const winRate =
      head.link === 'success'
        ? builder.node('Mul', [builder.node('Add', [gain, builder.scalar(1)]), builder.scalar(0.5)])
        : builder.node('Sigmoid', [
            builder.node('Sub', [column(logits, head.strong), column(logits, head.weak)]),
          ])
    builder.output(winRate, 'float32', ['n'], 'win_rate')
    builder.output(quality, 'float32', ['n', head.outputs], 'quality')
  }
  return encodeOnnx({ graph: builder.finish('router') })
}

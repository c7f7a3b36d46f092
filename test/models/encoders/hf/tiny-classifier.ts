import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRandom } from '../../../../core/random.ts'
import { GraphBuilder } from '../../../../models/onnx/builder.ts'
import { encodeOnnx } from '../../../../models/onnx/encode.ts'
import { CLS, EMBEDDINGS, PIECES, SEP, WIDTH, writeTinyModel } from './tiny-model.ts'

export interface TinyClassifierOptions {
  readonly labels: readonly string[]
  /** further values of `config.json` */
  readonly config?: Readonly<Record<string, unknown>>
  /** name of the graph's output */
  readonly output?: string
  /** logits for every token, as a token classifier has them */
  readonly perToken?: boolean
}

/** The weights of a head of so many labels: [WIDTH, labels], and a bias for each. */
export function tinyHead(labels: number): { weights: Float32Array; bias: Float32Array } {
  const random = createRandom(5)
  const draw = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal())
  return { weights: draw(WIDTH * labels), bias: draw(labels) }
}

/** A BERT-like sequence classifier: self-attention of one head over the pieces' vectors, the vector of [CLS], tanh, a linear layer. */
export async function writeTinyClassifier(
  folder: string,
  options: TinyClassifierOptions,
): Promise<void> {
  const { labels, config = {} } = options
  await writeTinyModel(folder, {
    files: {
      'modules.json': undefined,
      'sentence_bert_config.json': undefined,
      '1_Pooling/config.json': undefined,
      'config.json': {
        model_type: 'bert',
        architectures: ['BertForSequenceClassification'],
        max_position_embeddings: 64,
        id2label: Object.fromEntries(labels.map((label, k) => [k, label])),
        ...config,
      },
    },
  })
  await mkdir(join(folder, 'onnx'), { recursive: true })
  await writeFile(join(folder, 'onnx/model.onnx'), graph(options))
}

function graph({ labels, output = 'logits', perToken }: TinyClassifierOptions): Uint8Array {
  const b = new GraphBuilder()
  const ids = b.input('input_ids', 'int64', ['n', 't'])
  const mask = b.input('attention_mask', 'int64', ['n', 't'])
  const x = b.node('Gather', [b.floats(EMBEDDINGS, [PIECES.length, WIDTH]), ids])
  const scores = b.node('MatMul', [x, b.node('Transpose', [x], { perm: { ints: [0, 2, 1] } })])
  const seen = b.node('Cast', [b.node('Unsqueeze', [mask, b.integers([1])])], { to: { int: 1 } })
  const hidden = b.node('Mul', [b.node('Sub', [seen, b.scalar(1)]), b.scalar(1e9)])
  const shares = b.node('Softmax', [b.node('Add', [scores, hidden])], { axis: { int: 2 } })
  const mixed = b.node('Tanh', [b.node('MatMul', [shares, x])])
  const { weights, bias } = tinyHead(labels.length)
  const rows = perToken
    ? mixed
    : b.node('Squeeze', [
        b.node('Gather', [mixed, b.integers([0])], { axis: { int: 1 } }),
        b.integers([1]),
      ])
  const logits = b.node('Add', [
    b.node('MatMul', [rows, b.floats(weights, [WIDTH, labels.length])]),
    b.floats(bias, [labels.length]),
  ])
  const shape = perToken ? ['n', 't', labels.length] : ['n', labels.length]
  b.output(logits, 'float32', shape, output)
  return encodeOnnx({ graph: b.finish('tiny-classifier') })
}

/** The same logits in plain double arithmetic; for texts of lower-case letters, digits and blanks, one piece per character. */
export function plainLogits(text: string, labels: number): number[] {
  const pieces = text
    .split(/\s+/)
    .filter((word) => word !== '')
    .flatMap((word) =>
      [...word].map((letter, i) => PIECES.indexOf(i === 0 ? letter : `##${letter}`)),
    )
  const ids = [CLS, ...pieces, SEP]
  const at = (token: number, j: number): number => EMBEDDINGS[ids[token]! * WIDTH + j]!
  const dots = ids.map((_, t) => {
    let sum = 0
    for (let j = 0; j < WIDTH; j++) sum += at(0, j) * at(t, j)
    return sum
  })
  const top = Math.max(...dots)
  const shares = dots.map((dot) => Math.exp(dot - top))
  const total = shares.reduce((sum, share) => sum + share, 0)
  const pooled = Array.from({ length: WIDTH }, (_, j) =>
    Math.tanh(shares.reduce((sum, share, t) => sum + (share / total) * at(t, j), 0)),
  )
  const { weights, bias } = tinyHead(labels)
  return Array.from({ length: labels }, (_, k) =>
    pooled.reduce((sum, value, j) => sum + value * weights[j * labels + k]!, bias[k]!),
  )
}

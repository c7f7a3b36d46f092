import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRandom } from '../../core/random.ts'
import { GraphBuilder } from '../../models/onnx/builder.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'

/** The shape of sentence-transformers/all-MiniLM-L6-v2. */
const LAYERS = 6
const WIDTH = 384
const HEADS = 12
const INNER = 1536
const POSITIONS = 512
const SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']

/**
 * A BERT of that shape with seeded random weights, in the Hugging Face layout: it does the arithmetic of the
 * real one, so it has the same cost, and needs no download.
 *
 * @param words whole words of the vocabulary; letters are added, so that every text has pieces
 */
export async function writeMiniLm(folder: string, words: readonly string[]): Promise<void> {
  const letters = [...'abcdefghijklmnopqrstuvwxyz0123456789.,:;?!-\'"()']
  const pieces = [...SPECIALS, ...letters, ...letters.map((letter) => `##${letter}`)]
  const vocabulary = [...new Set([...pieces, ...words.map((word) => word.toLowerCase())])]
  await mkdir(join(folder, 'onnx'), { recursive: true })
  await mkdir(join(folder, '1_Pooling'), { recursive: true })
  const json = (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), JSON.stringify(value))
  await json('tokenizer.json', tokenizer(vocabulary))
  await json('tokenizer_config.json', {
    tokenizer_class: 'BertTokenizer',
    model_max_length: POSITIONS,
    pad_token: '[PAD]',
    unk_token: '[UNK]',
    cls_token: '[CLS]',
    sep_token: '[SEP]',
    do_lower_case: true,
  })
  await json('config.json', {
    model_type: 'bert',
    architectures: ['BertModel'],
    hidden_size: WIDTH,
    num_hidden_layers: LAYERS,
    num_attention_heads: HEADS,
    intermediate_size: INNER,
    max_position_embeddings: POSITIONS,
    vocab_size: vocabulary.length,
    pad_token_id: 0,
  })
  await json('sentence_bert_config.json', { max_seq_length: POSITIONS, do_lower_case: false })
  await json('modules.json', [
    { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' },
    { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
    { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' },
  ])
  await json('1_Pooling/config.json', { pooling_mode_mean_tokens: true })
  await writeFile(join(folder, 'onnx/model.onnx'), bert(vocabulary.length))
}

function bert(pieces: number): Uint8Array {
  const graph = new GraphBuilder()
  const random = createRandom(17)
  const weight = (shape: readonly number[], deviation = 0.05): string => {
    const size = shape.reduce((product, n) => product * n, 1)
    return graph.floats(
      Float32Array.from({ length: size }, () => deviation * random.normal()),
      shape,
    )
  }
  const add = (a: string, b: string): string => graph.node('Add', [a, b])
  const linear = (x: string, k: number, m: number): string =>
    add(graph.node('MatMul', [x, weight([k, m])]), weight([m]))
  const norm = (x: string): string =>
    graph.node(
      'LayerNormalization',
      [x, graph.floats(new Float32Array(WIDTH).fill(1), [WIDTH]), weight([WIDTH])],
      { axis: { int: -1 }, epsilon: { float: 1e-12 } },
    )

  const ids = graph.input('input_ids', 'int64', ['n', 't'])
  const mask = graph.input('attention_mask', 'int64', ['n', 't'])
  const types = graph.input('token_type_ids', 'int64', ['n', 't'])
  const length = graph.node('Slice', [
    graph.node('Shape', [ids]),
    graph.integers([1]),
    graph.integers([2]),
  ])
  const positions = graph.node('Slice', [
    weight([POSITIONS, WIDTH], 0.5),
    graph.integers([0]),
    length,
    graph.integers([0]),
  ])
  const words = graph.node('Gather', [weight([pieces, WIDTH], 1), ids])
  const kinds = graph.node('Gather', [weight([2, WIDTH]), types])
  let x = norm(add(add(words, kinds), positions))

  const seen = graph.node('Cast', [mask], { to: { int: 1 } })
  const hidden = graph.node('Mul', [
    graph.node('Sub', [graph.scalar(1), graph.node('Unsqueeze', [seen, graph.integers([1, 2])])]),
    graph.scalar(-1e9),
  ])
  const split = graph.integers([0, 0, HEADS, WIDTH / HEADS])
  const headed = (value: string, perm: readonly number[]): string =>
    graph.node('Transpose', [graph.node('Reshape', [value, split])], { perm: { ints: perm } })
  for (let layer = 0; layer < LAYERS; layer++) {
    const query = headed(linear(x, WIDTH, WIDTH), [0, 2, 1, 3])
    const key = headed(linear(x, WIDTH, WIDTH), [0, 2, 3, 1])
    const value = headed(linear(x, WIDTH, WIDTH), [0, 2, 1, 3])
    const scaled = graph.node('Mul', [
      graph.node('MatMul', [query, key]),
      graph.scalar(1 / Math.sqrt(WIDTH / HEADS)),
    ])
    const attention = graph.node('Softmax', [add(scaled, hidden)], { axis: { int: -1 } })
    const mixed = graph.node('Transpose', [graph.node('MatMul', [attention, value])], {
      perm: { ints: [0, 2, 1, 3] },
    })
    const joined = graph.node('Reshape', [mixed, graph.integers([0, 0, WIDTH])])
    x = norm(add(x, linear(joined, WIDTH, WIDTH)))
    x = norm(add(x, linear(gelu(graph, linear(x, WIDTH, INNER)), INNER, WIDTH)))
  }
  graph.output(x, 'float32', ['n', 't', WIDTH], 'last_hidden_state')
  return encodeOnnx({ graph: graph.finish('minilm') })
}

/** x / 2 (1 + erf(x / sqrt 2)) */
function gelu(graph: GraphBuilder, x: string): string {
  const erf = graph.node('Erf', [graph.node('Div', [x, graph.scalar(Math.SQRT2)])])
  const half = graph.node('Mul', [x, graph.scalar(0.5)])
  return graph.node('Mul', [half, graph.node('Add', [erf, graph.scalar(1)])])
}

function tokenizer(vocabulary: readonly string[]): unknown {
  const template = (id: string): unknown => ({ SpecialToken: { id, type_id: 0 } })
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIALS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [template('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, template('[SEP]')],
      pair: [],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((piece, id) => [piece, id])),
    },
  }
}

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createRandom } from '../../../../core/random.ts'
import { GraphBuilder } from '../../../../models/onnx/builder.ts'
import { encodeOnnx } from '../../../../models/onnx/encode.ts'

export const WIDTH = 8
const SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']
const LETTERS = [...'abcdefghijklmnopqrstuvwxyz0123456789']
export const PIECES = [
  ...SPECIALS,
  ...LETTERS,
  ...LETTERS.map((letter) => `##${letter}`),
  ...'.,:?!',
]
export const PAD = 0
export const CLS = 2
export const SEP = 3

/** piece vectors, one row of WIDTH a piece; values of a seeded normal draw */
export const EMBEDDINGS = (() => {
  const random = createRandom(11)
  return Float32Array.from({ length: PIECES.length * WIDTH }, () => random.normal())
})()

export interface TinyModelOptions {
  readonly outputs?: readonly ('last_hidden_state' | 'token_embeddings' | 'sentence_embedding')[]
  readonly tokenTypes?: boolean
  readonly mask?: boolean
  /** activations in 8 bits, with one scale for the whole batch, as ONNX Runtime's quantiser writes them */
  readonly quantised?: boolean
  readonly files?: Readonly<Record<string, unknown>>
}

/**
 * A one-layer model in the Hugging Face layout: each token's vector plus tanh of the mean vector of the
 * unmasked tokens, so that padding that is not masked would show.
 */
export async function writeTinyModel(
  folder: string,
  options: TinyModelOptions = {},
): Promise<void> {
  const files: Record<string, unknown> = {
    'tokenizer.json': tokenizer(),
    'tokenizer_config.json': { tokenizer_class: 'BertTokenizer', pad_token: '[PAD]' },
    'config.json': { model_type: 'bert', max_position_embeddings: 64 },
    'sentence_bert_config.json': { max_seq_length: 32, do_lower_case: false },
    'modules.json': [
      { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' },
      { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
      { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' },
    ],
    '1_Pooling/config.json': { word_embedding_dimension: WIDTH, pooling_mode_mean_tokens: true },
    ...options.files,
  }
  for (const [name, value] of Object.entries(files)) {
    if (value === undefined) continue
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value))
  }
  await mkdir(join(folder, 'onnx'), { recursive: true })
  await writeFile(join(folder, 'onnx/model.onnx'), graph(options))
}

function graph(options: TinyModelOptions): Uint8Array {
  const { outputs = ['last_hidden_state'], tokenTypes = true, mask: masks = true } = options
  const builder = new GraphBuilder()
  const ids = builder.input('input_ids', 'int64', ['n', 't'])
  let x = builder.node('Gather', [builder.floats(EMBEDDINGS, [PIECES.length, WIDTH]), ids])
  if (tokenTypes) {
    const types = builder.input('token_type_ids', 'int64', ['n', 't'])
    // a type other than 0 would show
    const table = builder.floats([...Array(WIDTH).fill(0), ...Array(WIDTH).fill(99)], [2, WIDTH])
    x = builder.node('Add', [x, builder.node('Gather', [table, types])])
  }
  if (options.quantised) {
    const [bytes, scale, zero] = builder.nodeOutputs('DynamicQuantizeLinear', [x], 3)
    x = builder.node('DequantizeLinear', [bytes!, scale!, zero!])
  }
  let mean: string
  if (masks) {
    const mask = builder.input('attention_mask', 'int64', ['n', 't'])
    const seen = builder.node('Unsqueeze', [
      builder.node('Cast', [mask], { to: { int: 1 } }),
      builder.integers([2]),
    ])
    const total = builder.node('ReduceSum', [builder.node('Mul', [x, seen]), builder.integers([1])])
    mean = builder.node('Div', [total, builder.node('ReduceSum', [seen, builder.integers([1])])])
  } else mean = builder.node('ReduceMean', [x], { axes: { ints: [1] } })
  const hidden = builder.node('Add', [x, builder.node('Tanh', [mean])])
  for (const output of outputs) {
    if (output === 'sentence_embedding') {
      const row = builder.node('Squeeze', [mean, builder.integers([1])])
      builder.output(row, 'float32', ['n', WIDTH], output)
    } else builder.output(hidden, 'float32', ['n', 't', WIDTH], output)
  }
  return encodeOnnx({ graph: builder.finish('tiny') })
}

function tokenizer(): unknown {
  const special = (id: number): unknown => ({
    id,
    content: PIECES[id],
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIALS.map((_, id) => special(id)),
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
      single: [
        { SpecialToken: { id: '[CLS]', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '[SEP]', type_id: 0 } },
      ],
      pair: [],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [CLS], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [SEP], tokens: ['[SEP]'] },
      },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(PIECES.map((piece, id) => [piece, id])),
    },
  }
}

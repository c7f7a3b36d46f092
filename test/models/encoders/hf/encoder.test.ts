import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DenseEmbeddings } from '../../../../models/encoders/embeddings.ts'
import type { Encoder } from '../../../../models/encoders/encoder.ts'
import { makeHf, openHf } from '../../../../models/encoders/hf/encoder.ts'
import { describeEncoderContract } from '../../../../testing/encoder-contract.ts'
import {
  CLS,
  EMBEDDINGS,
  PIECES,
  SEP,
  type TinyModelOptions,
  WIDTH,
  writeTinyModel,
} from './tiny-model.ts'

let root: string
let count = 0
const closers: Encoder[] = []
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-hf-'))
})
afterAll(async () => {
  await Promise.all(closers.map((encoder) => encoder.close?.()))
  await rm(root, { recursive: true, force: true })
})

async function folderWith(options: TinyModelOptions = {}): Promise<string> {
  const folder = join(root, `model-${count++}`)
  await writeTinyModel(folder, options)
  return folder
}

async function encoderWith(options: TinyModelOptions = {}, prefix?: string): Promise<Encoder> {
  const made = await makeHf(await folderWith(options), prefix === undefined ? {} : { prefix })
  closers.push(made.encoder)
  return made.encoder
}

describeEncoderContract('hf', () => encoderWith())
describeEncoderContract('hf with a quantised graph', () => encoderWith({ quantised: true }))
describeEncoderContract('hf without an attention mask', () => encoderWith({ mask: false }))

/** `ab` -> a ##b, as the model's word pieces are single characters. */
const idsOf = (text: string): number[] =>
  text.split(' ').flatMap((word) => [...word].map((c, i) => PIECES.indexOf(i === 0 ? c : `##${c}`)))

/** The model's hidden states, plainly: each piece's vector plus tanh of their mean. */
function hidden(ids: readonly number[]): number[][] {
  const vectors = ids.map((id) => [...EMBEDDINGS.subarray(id * WIDTH, (id + 1) * WIDTH)])
  const mean = vectors[0]!.map((_, j) => vectors.reduce((sum, v) => sum + v[j]!, 0) / ids.length)
  return vectors.map((vector) => vector.map((value, j) => value + Math.tanh(mean[j]!)))
}

const meanOf = (rows: readonly number[][]): number[] =>
  rows[0]!.map((_, j) => rows.reduce((sum, row) => sum + row[j]!, 0) / rows.length)
const unit = (vector: readonly number[]): number[] => {
  const norm = Math.hypot(...vector)
  return vector.map((value) => value / norm)
}

async function embed(encoder: Encoder, text: string): Promise<number[]> {
  const { embeddings } = await encoder.encode([text])
  return [...(embeddings as DenseEmbeddings).values]
}

function expectClose(got: readonly number[], want: readonly number[]): void {
  expect(got).toHaveLength(want.length)
  for (const [j, value] of want.entries()) expect(got[j]!).toBeCloseTo(value, 5)
}

const pooling = (mode: string, extra: object = {}): TinyModelOptions => ({
  files: { '1_Pooling/config.json': { [`pooling_mode_${mode}`]: true, ...extra } },
})

describe('hf reads what its folder says of', () => {
  const ids = [CLS, ...idsOf('what is it'), SEP]

  it('mean pooling and normalisation', async () => {
    expectClose(await embed(await encoderWith(), 'what is it'), unit(meanOf(hidden(ids))))
  })

  it('no normalisation, where modules.json has none', async () => {
    const encoder = await encoderWith({ files: { 'modules.json': undefined } })
    expectClose(await embed(encoder, 'what is it'), meanOf(hidden(ids)))
  })

  it('CLS pooling', async () => {
    const encoder = await encoderWith(pooling('cls_token'))
    expectClose(await embed(encoder, 'what is it'), unit(hidden(ids)[0]!))
  })

  it('max pooling', async () => {
    const rows = hidden(ids)
    const largest = rows[0]!.map((_, j) => Math.max(...rows.map((row) => row[j]!)))
    const encoder = await encoderWith(pooling('max_tokens'))
    expectClose(await embed(encoder, 'what is it'), unit(largest))
  })

  it('last-token pooling', async () => {
    const encoder = await encoderWith(pooling('lasttoken'))
    expectClose(await embed(encoder, 'what is it'), unit(hidden(ids).at(-1)!))
  })

  it('pooling that weights later tokens more', async () => {
    const rows = hidden(ids)
    const total = (rows.length * (rows.length + 1)) / 2
    const weighted = rows[0]!.map(
      (_, j) => rows.reduce((sum, row, t) => sum + (t + 1) * row[j]!, 0) / total,
    )
    const encoder = await encoderWith(pooling('weightedmean_tokens'))
    expectClose(await embed(encoder, 'what is it'), unit(weighted))
  })

  it('the default prompt, left out of the pooling where the configuration says so', async () => {
    const prompts = {
      'config_sentence_transformers.json': {
        prompts: { query: 'query: ' },
        default_prompt_name: 'query',
      },
    }
    const opening = [...idsOf('query'), PIECES.indexOf(':')]
    const all = hidden([CLS, ...opening, ...idsOf('what is it'), SEP])
    const whole = await encoderWith({ files: prompts })
    expectClose(await embed(whole, 'what is it'), unit(meanOf(all)))
    const rest = await encoderWith({
      files: { ...pooling('mean_tokens', { include_prompt: false }).files, ...prompts },
    })
    expectClose(await embed(rest, 'what is it'), unit(meanOf(all.slice(1 + opening.length))))
  })

  it('a prefix given by hand, as e5 needs', async () => {
    const encoder = await encoderWith({}, 'query: ')
    const want = [CLS, ...idsOf('query'), PIECES.indexOf(':'), ...idsOf('hi'), SEP]
    expectClose(await embed(encoder, 'hi'), unit(meanOf(hidden(want))))
  })

  it('max_seq_length: a long prompt keeps its head, its tail and the closing token', async () => {
    const encoder = await encoderWith()
    const text = `${'a '.repeat(40)}${'b '.repeat(40)}`.trim()
    const { embeddings, truncated } = await encoder.encode([text])
    const a = PIECES.indexOf('a')
    const b = PIECES.indexOf('b')
    const want = [CLS, ...Array(15).fill(a), ...Array(15).fill(b), SEP]
    expect(want).toHaveLength(32)
    expect([...truncated]).toEqual([1])
    expectClose([...(embeddings as DenseEmbeddings).values], unit(meanOf(hidden(want))))
  })

  it('the outputs token_embeddings and sentence_embedding, and no token_type_ids', async () => {
    const tokens = await encoderWith({ outputs: ['token_embeddings'], tokenTypes: false })
    expectClose(await embed(tokens, 'what is it'), unit(meanOf(hidden(ids))))
    const sentence = await encoderWith({ outputs: ['last_hidden_state', 'sentence_embedding'] })
    const mean = meanOf(ids.map((id) => [...EMBEDDINGS.subarray(id * WIDTH, (id + 1) * WIDTH)]))
    expectClose(await embed(sentence, 'what is it'), unit(mean))
  })

  it('everything again when it is opened from a bundle’s files', async () => {
    const made = await makeHf(await folderWith())
    const again = await openHf(made.encoder.spec, made.files)
    closers.push(made.encoder, again)
    const prompts = ['what is it', 'and this?', '']
    expect(await again.encode(prompts)).toEqual(await made.encoder.encode(prompts))
    expect(made.encoder.spec.dimension).toBe(WIDTH)
  })
})

describe('hf refuses', () => {
  const refusal = async (options: TinyModelOptions): Promise<unknown> =>
    makeHf(await folderWith(options)).then(
      () => undefined,
      (error: unknown) => error,
    )

  it('a folder without a graph or a tokenizer, naming the file', async () => {
    await expect(makeHf(join(root, 'absent'))).rejects.toMatchObject({ code: 'file_not_found' })
    const folder = await folderWith()
    await rm(join(folder, 'tokenizer.json'))
    await expect(makeHf(folder)).rejects.toThrow(/tokenizer\.json/)
  })

  it('a configuration file that is not JSON, or is of another shape, naming the field', async () => {
    expect(await refusal({ files: { 'modules.json': '{' } })).toMatchObject({
      code: 'encoder_files_invalid',
    })
    const wrong = await refusal({ files: { 'sentence_bert_config.json': { max_seq_length: 'x' } } })
    expect((wrong as Error).message).toMatch(/max_seq_length/)
  })

  it('a Dense module that the graph does not contain, and two pooling modes at once', async () => {
    const dense = [{ path: '2_Dense', type: 'sentence_transformers.models.Dense' }]
    expect(await refusal({ files: { 'modules.json': dense } })).toMatchObject({
      code: 'encoder_files_invalid',
    })
    const both = pooling('cls_token', { pooling_mode_max_tokens: true })
    expect(((await refusal(both)) as Error).message).toMatch(/one pooling mode/)
  })

  it('a file that is no ONNX graph', async () => {
    const folder = await folderWith({ files: { 'broken.onnx': 'not a graph' } })
    await expect(makeHf(folder, { file: 'broken.onnx' })).rejects.toMatchObject({
      code: 'onnx_failed',
    })
  })
})

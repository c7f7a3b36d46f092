import { WeirError } from '../../errors.ts'
import { createSession, openOrt } from '../../onnx/session.ts'

/** Outputs that sentence encoders are exported with, the readiest first. */
const OUTPUTS = ['sentence_embedding', 'last_hidden_state', 'token_embeddings']
const INPUTS = new Set(['input_ids', 'attention_mask', 'token_type_ids', 'position_ids'])

/** An exported transformer: token ids in, token vectors [n, t, d] or sentence vectors [n, d] out. */
export interface Transformer {
  /** false where the graph has no attention mask, so that rows of different lengths cannot run together */
  readonly masks: boolean
  chooseOutput(): string
  run(
    output: string,
    ids: BigInt64Array,
    mask: BigInt64Array,
    dims: readonly [number, number],
  ): Promise<{ readonly values: Float32Array; readonly dims: readonly number[] }>
  close(): Promise<void>
}

export async function openTransformer(model: Uint8Array, threads: number): Promise<Transformer> {
  const ort = await openOrt()
  const session = await createSession(model, { threads })
  const unknown = session.inputNames.filter((name) => !INPUTS.has(name))
  if (unknown.length > 0 || !session.inputNames.includes('input_ids')) {
    await session.release()
    throw new WeirError('encoder_files_invalid', {
      expected: `inputs among ${[...INPUTS].join(', ')}`,
      path: 'the ONNX graph',
      got: session.inputNames,
    })
  }
  let closed = false
  const wants = (name: string): boolean => session.inputNames.includes(name)
  return {
    masks: wants('attention_mask'),
    chooseOutput: () =>
      OUTPUTS.find((name) => session.outputNames.includes(name)) ?? session.outputNames[0]!,
    async run(output, ids, mask, dims) {
      const int64 = (data: BigInt64Array): InstanceType<typeof ort.Tensor> =>
        new ort.Tensor('int64', data, [...dims])
      const feeds: Record<string, InstanceType<typeof ort.Tensor>> = { input_ids: int64(ids) }
      if (wants('attention_mask')) feeds.attention_mask = int64(mask)
      if (wants('token_type_ids')) feeds.token_type_ids = int64(new BigInt64Array(ids.length))
      if (wants('position_ids')) {
        feeds.position_ids = int64(BigInt64Array.from(ids, (_, i) => BigInt(i % dims[1])))
      }
      let result: Awaited<ReturnType<typeof session.run>>
      try {
        result = await session.run(feeds, [output])
      } catch (cause) {
        throw new WeirError(
          'onnx_failed',
          { action: 'run the encoder', reason: (cause as Error).message },
          { cause },
        )
      }
      const tensor = result[output]!
      if (!(tensor.data instanceof Float32Array) || tensor.dims.length < 2) {
        throw new WeirError('encoder_files_invalid', {
          expected: `float32 [n, d] or [n, t, d] as output ${output}`,
          path: 'the ONNX graph',
          got: `${tensor.type} of ${tensor.dims.length} dimensions`,
        })
      }
      return { values: tensor.data, dims: tensor.dims }
    },
    async close() {
      if (!closed) await session.release()
      closed = true
    },
  }
}

import { createHash } from 'node:crypto'
import Value from 'typebox/value'
import { throwIfAborted } from '../../../core/abort.ts'
import { WeirError } from '../../../core/errors.ts'
import { firstFault } from '../../../core/schema-fault.ts'
import type { Encoded, Encoder, EncoderArtifact, EncoderSpec } from '../encoder.ts'
import { type EncoderAccess, permitted } from './access.ts'
import { createEndpoint, type Endpoint, type EndpointOptions } from './endpoint.ts'
import { endpointBatches, endpointInput, shorten } from './input.ts'
import { DEFAULT_SETTINGS, OpenAiSettings } from './settings.ts'

export const OPENAI = 'openai'
/** Estimated tokens per request; OpenAI allows 300,000. */
const REQUEST_TOKENS = 100_000
/** How often an input may be shortened by 30% before giving up. */
const SHORTENINGS = 12

/**
 * Any OpenAI-compatible embeddings endpoint: OpenAI, Azure, Ollama, vLLM, TEI, llama.cpp. One call finds the
 * dimension. The key comes from the caller and is sent only to the endpoint.
 *
 * @throws option_invalid, encoder_endpoint_failed
 */
export async function makeOpenAi(
  settings: Partial<OpenAiSettings> & Pick<OpenAiSettings, 'model'>,
  options: EndpointOptions = {},
): Promise<EncoderArtifact> {
  const whole = checkSettings({ ...DEFAULT_SETTINGS, ...settings })
  const endpoint = createEndpoint(whole, options)
  const answer = await endpoint.embed(['dimension'])
  const dimension = answer === 'too_long' ? 0 : answer[0]!.length
  if (dimension === 0 || (whole.dimensions ?? dimension) !== dimension) {
    throw new WeirError('encoder_endpoint_failed', {
      url: endpoint.url,
      reason: `answered with ${dimension} dimensions, expected ${whole.dimensions}`,
    })
  }
  const identity = JSON.stringify([whole.base_url, whole.model, whole.max_tokens])
  const spec: EncoderSpec = {
    kind: OPENAI,
    id: `${OPENAI}-${whole.model}-${dimension}-${createHash('sha256').update(identity).digest('hex').slice(0, 12)}`,
    dimension,
    output: 'dense',
    files: [],
    options: whole,
  }
  return { encoder: fromEndpoint(spec, whole, endpoint), files: new Map() }
}

/**
 * Opens the encoder of a manifest, if the operator lets it send prompts.
 *
 * @throws encoder_not_allowed, option_invalid, config_invalid
 */
export function openOpenAi(
  spec: EncoderSpec,
  access: EncoderAccess,
  environment: Readonly<Record<string, string | undefined>>,
): Encoder {
  const { settings, options } = permitted(checkSettings(spec.options), access, environment)
  return fromEndpoint(spec, settings, createEndpoint(settings, options))
}

function checkSettings(settings: unknown): OpenAiSettings {
  if (Value.Check(OpenAiSettings, settings)) {
    const { username, password } = new URL(settings.base_url)
    if (!username && !password) return settings
    throw new WeirError('option_invalid', {
      option: "the openai encoder's base_url",
      expected: 'a URL without a user or password: the key comes from the environment',
      got: 'one with them',
    })
  }
  const fault = firstFault(Value.Errors(OpenAiSettings, settings), settings)
  throw new WeirError('option_invalid', {
    option: `the openai encoder's ${fault.field}`,
    expected: fault.expected,
    got: fault.got,
  })
}

function fromEndpoint(spec: EncoderSpec, settings: OpenAiSettings, endpoint: Endpoint): Encoder {
  const d = spec.dimension
  return {
    spec,
    async encode(prompts, signal): Promise<Encoded> {
      throwIfAborted(signal)
      const values = new Float32Array(prompts.length * d)
      const inputs = prompts.map((prompt) => endpointInput(prompt, settings.max_tokens))
      const truncated = Uint8Array.from(inputs, (input) => (input.truncated ? 1 : 0))
      // endpoints refuse inputs without text, so their rows stay zero
      const sent = inputs.flatMap(({ text }, row) => (text.trim() === '' ? [] : [{ text, row }]))
      const batches = endpointBatches(
        sent.map(({ text }) => text),
        { inputs: settings.batch, tokens: REQUEST_TOKENS },
      )
      const stop = new AbortController()
      const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
      let next = 0
      const worker = async (): Promise<void> => {
        for (let batch = batches[next++]; batch; batch = batches[next++]) {
          throwIfAborted(either)
          await encodeBatch(sent.slice(...batch), either)
        }
      }
      const workers = Array.from({ length: settings.concurrency }, () =>
        // one failed batch stops the rest
        worker().catch((error: unknown) => {
          stop.abort(error)
          throw error
        }),
      )
      await Promise.allSettled(workers)
      if (signal) throwIfAborted(signal)
      if (stop.signal.aborted) throw stop.signal.reason
      return {
        embeddings: { kind: 'dense', rows: prompts.length, dimension: d, values },
        truncated,
      }

      async function encodeBatch(rows: readonly Sent[], abort: AbortSignal): Promise<void> {
        const answer = await endpoint.embed(
          rows.map(({ text }) => text),
          abort,
        )
        if (answer !== 'too_long') {
          for (const [place, { row }] of rows.entries()) put(row, answer[place]!)
          return
        }
        // one by one, so that only prompts that are too long are cut, each by its own length
        for (const { row, text } of rows) {
          const { vector, cut } = await encodeOne(text, abort)
          put(row, vector)
          if (cut) truncated[row] = 1
        }
      }

      function put(row: number, vector: readonly number[]): void {
        if (vector.length !== d) {
          throw new WeirError('encoder_endpoint_failed', {
            url: endpoint.url,
            reason: `answered with ${vector.length} dimensions, expected ${d}`,
          })
        }
        values.set(vector, row * d)
      }
    },
  }

  async function encodeOne(
    text: string,
    signal: AbortSignal,
  ): Promise<{ vector: readonly number[]; cut: boolean }> {
    let shortened = text
    for (let cuts = 0; cuts <= SHORTENINGS; cuts++) {
      const answer = await endpoint.embed([shortened], signal)
      if (answer !== 'too_long') return { vector: answer[0]!, cut: cuts > 0 }
      shortened = shorten(shortened)
    }
    throw new WeirError('encoder_endpoint_failed', {
      url: endpoint.url,
      reason: `found ${shortened.length} characters too long; set max_tokens to the model's limit`,
    })
  }
}

interface Sent {
  readonly text: string
  readonly row: number
}

import { cutText } from '../cut.ts'

const LONE_SURROGATES = /\p{Surrogate}/gu

/**
 * Estimates a text's tokens for a byte-pair tokenizer: three ASCII characters per token (English has four or
 * more, code about three), and one token for any other UTF-16 unit.
 */
export function estimateTokens(text: string): number {
  let ascii = 0
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 128) ascii++
  return Math.ceil(ascii / 3 + (text.length - ascii))
}

export interface EndpointInput {
  readonly text: string
  readonly truncated: boolean
}

/** A prompt as it is sent: well-formed, with its middle left out if it is estimated at over `maxTokens`. */
export function endpointInput(prompt: string, maxTokens: number): EndpointInput {
  const text = prompt.replace(LONE_SURROGATES, '\ufffd')
  const tokens = estimateTokens(text)
  if (tokens <= maxTokens) return { text, truncated: false }
  const { kept } = cutText(text, Math.max(16, Math.floor((text.length * maxTokens) / tokens)))
  return { text: kept, truncated: true }
}

/** A shorter version of an input that the endpoint still found too long. */
export function shorten(text: string): string {
  return cutText(text, Math.max(8, Math.floor(text.length * 0.7))).kept
}

/** Whether this is how OpenAI, Azure, vLLM, TEI, Ollama or llama.cpp report an input with too many tokens. */
export function saysTooLong(status: number, body: string): boolean {
  if (status !== 400 && status !== 413 && status !== 422 && status !== 500) return false
  return /context length|maximum (context|input|number of) |too (long|large)|less than \d+ tokens|exceeds? .*(token|context|batch size)|input length/i.test(
    body,
  )
}

/** Batches of consecutive inputs, with limits on inputs and estimated tokens per batch, as [from, to). */
export function endpointBatches(
  inputs: readonly string[],
  limits: { readonly inputs: number; readonly tokens: number },
): [from: number, to: number][] {
  const batches: [number, number][] = []
  let from = 0
  let tokens = 0
  for (const [i, input] of inputs.entries()) {
    const more = estimateTokens(input)
    if (i > from && (i - from >= limits.inputs || tokens + more > limits.tokens)) {
      batches.push([from, i])
      from = i
      tokens = 0
    }
    tokens += more
  }
  if (from < inputs.length) batches.push([from, inputs.length])
  return batches
}

import Type from 'typebox'
import Value from 'typebox/value'
import { WeirError } from '../../../core/errors.ts'
import { cutText, cutTokens } from '../cut.ts'
import type { HfSettings } from './settings.ts'

export interface HfTokens {
  /** opening special tokens, prefix, text, closing special tokens */
  readonly ids: readonly number[]
  /** number of leading tokens that pooling skips, if the settings require it */
  readonly skip: number
  readonly truncated: boolean
}

export interface HfTokenizer {
  readonly padId: number
  encode(prompt: string): HfTokens
}

/**
 * Text beyond this many characters per token is cut before it is tokenized: BPE and unigram models take more
 * than linear time on one long run of letters, and a token seldom has more than a few.
 */
const CHARACTERS_PER_TOKEN = 16

const LONE_SURROGATES = /\p{Surrogate}/gu

const TokenizerConfig = Type.Object({
  pad_token: Type.Optional(
    Type.Union([Type.String(), Type.Null(), Type.Object({ content: Type.String() })]),
  ),
})

/**
 * The only import of `@huggingface/tokenizers`; takes `tokenizer.json` and `tokenizer_config.json` as bytes.
 */
export async function openHfTokenizer(
  tokenizerJson: Uint8Array,
  configJson: Uint8Array,
  settings: Pick<HfSettings, 'max_tokens' | 'prefix' | 'pool_prefix' | 'lowercase'>,
): Promise<HfTokenizer> {
  const { Tokenizer } = await import('@huggingface/tokenizers')
  const { tokenizer, padToken } = (() => {
    try {
      const config: unknown = JSON.parse(new TextDecoder().decode(configJson))
      const described: unknown = JSON.parse(new TextDecoder().decode(tokenizerJson))
      const pad = Value.Check(TokenizerConfig, config) ? config.pad_token : undefined
      return {
        tokenizer: new Tokenizer(described as object, config as object),
        padToken: typeof pad === 'object' ? pad?.content : pad,
      }
    } catch (cause) {
      throw new WeirError(
        'encoder_files_invalid',
        { expected: 'a tokenizer', path: 'tokenizer.json', got: String(cause) },
        { cause },
      )
    }
  })()

  const bare = (text: string): number[] =>
    text === '' ? [] : tokenizer.encode(text, { add_special_tokens: false }).ids
  const { opening, closing } = specialTokens((text, special) =>
    special ? tokenizer.encode(text, { add_special_tokens: true }).ids : bare(text),
  )
  const room = settings.max_tokens - opening.length - closing.length
  const prefixTokens = bare(settings.prefix).length
  if (room - prefixTokens < 2) {
    throw new WeirError('encoder_files_invalid', {
      expected: 'room for text beside the prefix',
      path: 'sentence_bert_config.json',
      got: `max_seq_length ${settings.max_tokens}`,
    })
  }
  return {
    padId: (padToken ? tokenizer.token_to_id(padToken) : undefined) ?? 0,
    encode(prompt) {
      const text = cutText(
        prompt.replace(LONE_SURROGATES, '\ufffd'),
        settings.max_tokens * CHARACTERS_PER_TOKEN,
      )
      const whole = settings.prefix + (settings.lowercase ? text.kept.toLowerCase() : text.kept)
      const tokens = bare(whole)
      // the prefix is the instruction, so a cut keeps it whole
      const head = tokens.slice(0, prefixTokens)
      const body = cutTokens(tokens.slice(prefixTokens), room - prefixTokens)
      return {
        ids: [...opening, ...head, ...body.kept, ...closing],
        skip: settings.pool_prefix ? 0 : opening.length + head.length,
        truncated: text.truncated || body.truncated,
      }
    },
  }
}

/** The tokens that the post-processor adds around a text, found by encoding one with and without them. */
function specialTokens(encode: (text: string, special: boolean) => readonly number[]): {
  opening: readonly number[]
  closing: readonly number[]
} {
  const probe = 'a'
  const inner = encode(probe, false)
  const whole = encode(probe, true)
  for (let at = 0; at + inner.length <= whole.length; at++) {
    if (inner.every((id, i) => whole[at + i] === id)) {
      return { opening: whole.slice(0, at), closing: whole.slice(at + inner.length) }
    }
  }
  return { opening: [], closing: [] }
}

import { createHash } from 'node:crypto'
import {
  type AnsweringUpstream,
  type Asked,
  answeringUpstream,
  type Reply,
} from '../../serving/strategies/answering-upstream.ts'

/** What a judge gets wrong, and how often. */
export interface JudgeFaults {
  /** probability that it says the opposite of what is true */
  readonly error?: number
  /** probability that it prefers the answer shown first, whatever is true */
  readonly position?: number
  /** probability that it prefers the longer answer */
  readonly length?: number
  /** probability that it prefers the answer of this candidate */
  readonly self?: { readonly model: string; readonly share: number }
  /** probability that its reply cannot be read */
  readonly garbled?: number
}

export interface StandInOptions {
  /** by model: the probability that its answer to a prompt is good */
  readonly quality: Readonly<Record<string, number>>
  readonly judge?: JudgeFaults
  /** milliseconds until an answer */
  readonly delayMs?: number
  /** probability that a question fails with a status the first time it is asked */
  readonly failing?: { readonly share: number; readonly status: number }
}

export interface StandIn {
  readonly url: string
  readonly upstream: AnsweringUpstream
  /** how often each question was billed: model and last message */
  readonly billed: ReadonlyMap<string, number>
  /** US dollars that it has billed, at the prices of `PRICES` */
  readonly usd: number
  readonly options: { -readonly [Key in keyof StandInOptions]: StandInOptions[Key] }
  close(): Promise<void>
}

/** US dollars per million tokens; a token has four characters. */
export const PRICES = {
  big: { input: 100, output: 200 },
  small: { input: 10, output: 20 },
  judge: { input: 20, output: 40 },
} as const

/** A number in [0, 1) that is the same for the same texts. */
export const draw = (...texts: readonly string[]): number =>
  createHash('sha256').update(texts.join('\n')).digest().readUInt32LE(0) / 2 ** 32

/** Whether a model's answer to a prompt is good. */
export const isGood = (quality: number, model: string, prompt: string): boolean =>
  draw('good', model, prompt) < quality

/** How good a is beside b in truth: 1, .5 or 0. */
export const truth = (
  { quality }: Pick<StandInOptions, 'quality'>,
  prompt: string,
  a = 'big',
  b = 'small',
): number => {
  const [first, second] = [isGood(quality[a]!, a, prompt), isGood(quality[b]!, b, prompt)]
  return (1 + Number(first) - Number(second)) / 2
}

/** Providers and a judge on one port, with known quality, bias and faults. */
export async function standIn(given: StandInOptions): Promise<StandIn> {
  const options = { ...given }
  const billed = new Map<string, number>()
  const seen = new Set<string>()
  let usd = 0
  const reply = async (body: Asked): Promise<Reply> => {
    const model = String(body.model)
    const prompt = String(body.messages.at(-1)!.content)
    const key = `${model}\n${prompt}`
    const { failing, delayMs } = options
    if (failing && !seen.has(key) && draw('failing', key) < failing.share) {
      seen.add(key)
      return { status: failing.status }
    }
    const text = model === 'judge' ? verdict(prompt, options.judge ?? {}) : answered(model, prompt)
    const read = body.messages.reduce((sum, { content }) => sum + content.length, 0)
    const counts = { promptTokens: Math.ceil(read / 4), tokens: Math.ceil(text.length / 4) }
    billed.set(key, (billed.get(key) ?? 0) + 1)
    const price = PRICES[model as keyof typeof PRICES]
    usd += (counts.promptTokens * price.input + counts.tokens * price.output) / 1e6
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs))
    return { text, ...counts }
  }
  const answered = (model: string, prompt: string): string => {
    const good = isGood(options.quality[model]!, model, prompt)
    const words = Math.floor(5 + 40 * draw('length', model, prompt))
    return `${good ? 'Right' : 'Wrong'} answer by [${model}]:${' word'.repeat(words)}`
  }
  const upstream = await answeringUpstream(reply)
  return {
    url: upstream.url,
    upstream,
    billed,
    get usd() {
      return usd
    },
    options,
    close: () => upstream.close(),
  }
}

/** What the judge says: the better answer, as far as its faults let it. */
function verdict(asked: string, faults: JudgeFaults): string {
  const data = JSON.parse(asked) as { answer?: string; answers?: { answer: string }[] }
  const chance = (what: string): number => draw(what, asked)
  if (chance('garbled') < (faults.garbled ?? 0)) return 'I would rather say that both have merit.'
  if (data.answer !== undefined) {
    const good = data.answer.startsWith('Right') !== chance('error') < (faults.error ?? 0)
    return JSON.stringify({ grade: good ? 9 : 2 })
  }
  const [first, second] = data.answers!.map(({ answer }) => answer) as [string, string]
  const say = (value: number): string =>
    JSON.stringify({ better: value > 0 ? '1' : value < 0 ? '2' : 'tie' })
  if (chance('position') < (faults.position ?? 0)) return say(1)
  if (chance('length') < (faults.length ?? 0)) return say(first.length - second.length)
  const { self } = faults
  if (self && chance('self') < self.share) return say(first.includes(`[${self.model}]`) ? 1 : -1)
  const value = Number(first.startsWith('Right')) - Number(second.startsWith('Right'))
  return say(chance('error') < (faults.error ?? 0) ? -value : value)
}

/** The `gateway` section for it. */
export const standInGateway = (url: string) => ({
  upstreams: { one: { base_url: url } },
  models: Object.fromEntries(
    Object.entries(PRICES).map(([name, price]) => [
      name,
      { upstreams: [{ upstream: 'one' }], price, context: 8000, output_tokens: 1000 },
    ]),
  ),
})

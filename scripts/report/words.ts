import { html, type Markup } from './markup.ts'

/** The words of a report that not everyone knows, by the heading they stand in. */
const WORDS: Readonly<Record<string, string>> = {
  APGR: 'Average performance gap recovered: the area under the curve, over all shares of strong calls. 0.5 is a coin, more is better.',
  PGR: 'Performance gap recovered: how much of what the strong model adds over the weak one is kept. 0% is always weak, 100% always strong.',
  '95% interval': 'Where the true figure lies in 95 of 100 such samples of prompts.',
  'RouteLLM’s': 'APGR as RouteLLM computes it, over ten thresholds only.',
  'CPT 20': 'The share of prompts the strong model must answer for 20% of the quality gap.',
  'CPT 50': 'The share of prompts the strong model must answer for 50% of the quality gap.',
  'CPT 80': 'The share of prompts the strong model must answer for 80% of the quality gap.',
  'CPT 95': 'The share of prompts the strong model must answer for 95% of the quality gap.',
  AUC: 'The chance that a prompt the strong model does better on scores above one it does not. 0.5 is a coin.',
  AIQ: 'Mean quality over the range of spend.',
  threshold: 'A prompt goes to the strong model if its win rate is at least this.',
  'sent strong': 'The share of prompts that go to the strong model.',
  'saved at equal quality':
    'What is saved of always-strong’s dollars at the cheapest threshold that keeps its whole quality.',
  RouterArena: 'RouterArena’s score, of quality and dollars together.',
  p50: 'Half of the decisions take at most this long.',
  p99: '99 of 100 decisions take at most this long.',
  'p (Holm)':
    'The chance of such a difference if there is none, corrected for the number of comparisons.',
  p: 'The chance of such a difference if there is none.',
  'can be detected': 'The least difference that these prompts show four times in five.',
  'above best single': 'Quality less that of the best single model that costs no more.',
  'above a mixture':
    'Quality less that of the best random mixture of two single models that costs no more.',
}

/** The word, as a button that explains it on hover, by keyboard and by touch; other words as they are. */
export function word(text: string): Markup | string {
  return text in WORDS
    ? html`<button type="button" class="word" popovertarget="${idOf(text)}">${text}</button>`
    : text
}

/** The explanations, once a page: in the top layer, so that no table cuts them off. */
export const explanations = (): Markup =>
  html`${Object.entries(WORDS).map(([name, meaning]) => html`<div popover id="${idOf(name)}" class="meaning"><strong>${name}</strong> ${meaning}</div>`)}`

const idOf = (text: string): string => `word-${text.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`

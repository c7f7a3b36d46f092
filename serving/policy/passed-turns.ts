import type { ChatTurn } from '../upstreams/upstream.ts'
import { bodyTexts } from './body-texts.ts'

/** A body of another endpoint than chat as one turn that hard limits and guardrails can read. */
export function passedTurns(body: Readonly<Record<string, unknown>>): ChatTurn[] {
  const { texts, images } = bodyTexts(body)
  const parts = texts.map((text) => ({ type: 'text', text }))
  return [{ role: 'user', content: images ? [...parts, { type: 'image_url' }] : parts }]
}

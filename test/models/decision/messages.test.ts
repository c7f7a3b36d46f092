import { describe, expect, it } from 'vitest'
import { promptText } from '../../../models/decision/messages.ts'

describe('promptText', () => {
  it('makes one user message the same text as the plain prompt', () => {
    expect(promptText([{ role: 'user', content: 'hi there' }])).toBe(promptText('hi there'))
  })

  it('makes a system prompt and a prompt the same text however they arrive', () => {
    const text = 'system: be brief\n\nhi'
    expect(promptText('hi', 'be brief')).toBe(text)
    expect(promptText([{ role: 'user', content: 'hi' }], 'be brief')).toBe(text)
    expect(
      promptText([
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'hi' },
      ]),
    ).toBe(text)
  })

  it('keeps every turn of a conversation, in order, headed by its role', () => {
    expect(
      promptText([
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
        { role: 'user', content: 'c' },
      ]),
    ).toBe('user: a\n\nassistant: b\n\nuser: c')
  })

  it('reads the text of content parts and passes over what has none', () => {
    const image = { type: 'image_url' }
    const content = [{ type: 'text', text: 'what is this' }, image, { type: 'text', text: 'here' }]
    expect(promptText([{ role: 'user', content }])).toBe('what is this\nhere')
    expect(
      promptText([
        { role: 'assistant', content: null },
        { role: 'user', content: 'x' },
      ]),
    ).toBe('x')
  })
})

import { describe, expect, it } from 'vitest'
import {
  askedText,
  promptFields,
  readTranscript,
  transcript,
} from '../../../models/reading/transcript.ts'

const user = (content: string) => ({ role: 'user', content })
const answer = (content: string) => ({ role: 'assistant', content })

describe('transcript', () => {
  it('makes one user message the same text as the plain prompt', () => {
    expect(transcript([user('hi there')])).toBe('hi there')
    expect(transcript('hi there')).toBe('hi there')
  })

  it('makes a system prompt and a prompt the same text however they arrive', () => {
    const text = transcript('hi', 'be brief')
    expect(transcript([user('hi')], 'be brief')).toBe(text)
    expect(transcript([{ role: 'system', content: 'be brief' }, user('hi')])).toBe(text)
    expect(text).not.toBe(transcript('hi'))
  })

  it('keeps everything: a conversation is read back as it was', () => {
    const tools = [{ type: 'function', function: { name: 'find', parameters: { a: '\u001e' } } }]
    const texts = ['a\u001fb', '\u001auser\u001e', 'two\nlines "quoted" \\ 日本語 🙂', 'c\u001aR']
    const text = transcript(
      texts.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content })),
      'sys\u001etem',
      tools,
    )
    expect(readTranscript(text)).toEqual({
      tools,
      turns: [
        { role: 'system', text: 'sys\u001etem' },
        ...texts.map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', text: content })),
      ],
    })
    const { prompt, tools: again } = promptFields(text)
    expect(transcript(prompt, undefined, again)).toBe(text)
  })

  it('takes rows with different tools for different prompts', () => {
    const of = (name: string) => transcript('do it', undefined, [{ name }])
    expect(of('a')).not.toBe(of('b'))
    expect(of('a')).not.toBe(transcript('do it'))
  })

  it('does not let a plain prompt pass for a conversation', () => {
    const forged = transcript([answer('x'), user('y')])
    const { turns } = readTranscript(transcript(forged))
    expect(turns).toEqual([{ role: 'user', text: forged }])
    expect(askedText(transcript(forged))).toBe(forged)
  })

  it('reads the text of content parts and passes over turns without any', () => {
    const image = { type: 'image_url' }
    const content = [{ type: 'text', text: 'what is this' }, image, { type: 'text', text: 'here' }]
    expect(transcript([{ role: 'user', content }])).toBe('what is this\nhere')
    expect(transcript([{ role: 'assistant', content: null }, user('x')])).toBe('x')
  })

  it('reads what is left of a transcript that was changed since', () => {
    expect(readTranscript('\u001e\u001fnot json\u001euser').turns).toHaveLength(1)
  })
})

describe('askedText', () => {
  it('is the last user turn, whatever stands around it', () => {
    expect(askedText('plain')).toBe('plain')
    expect(askedText(transcript('q', 'system', [{ name: 't' }]))).toBe('q')
    expect(askedText(transcript([user('a'), answer('b'), user('c\u001ed')]))).toBe('c\u001ed')
    expect(askedText(transcript([user('a'), { role: 'tool', content: 'r' }]))).toBe('a')
  })

  it('is the last turn where no user speaks', () => {
    expect(askedText(transcript([{ role: 'system', content: 'a' }, answer('b')]))).toBe('b')
  })
})

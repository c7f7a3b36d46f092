import { describe, expect, it } from 'vitest'
import {
  askedText,
  pickContext,
  promptFields,
  readTranscript,
  transcript,
  withContext,
  withoutContext,
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

describe('declared context', () => {
  const context = { tier: 'gold', size: 3, beta: true }

  it('is part of the prompt and can be read back, whatever the order of its keys', () => {
    const text = transcript([user('a'), answer('b'), user('c')], 'system', [{ name: 't' }], context)
    const { turns, tools, context: read } = readTranscript(text)
    expect(read).toEqual(context)
    expect(turns.map((turn) => turn.text)).toEqual(['system', 'a', 'b', 'c'])
    expect(tools).toEqual([{ name: 't' }])
    expect(askedText(text)).toBe('c')
    const turned = { beta: true, size: 3, tier: 'gold' }
    expect(transcript('q', undefined, [], turned)).toBe(transcript('q', undefined, [], context))
    expect(transcript('q', undefined, [], {})).toBe('q')
    const fields = promptFields(text)
    expect(transcript(fields.prompt, undefined, fields.tools, fields.context)).toBe(text)
  })

  it.each([
    ['a prompt', transcript('q')],
    ['a prompt that looks like a transcript', transcript('\u001euser\u001fq')],
    ['a prompt with control characters', transcript('a\u001ab\u001e')],
    ['a chat', transcript([user('a'), answer('b')], 's', [{ name: 't' }])],
  ])('is taken off %s again, which leaves what it was', (_, prompt) => {
    const declared = withContext(prompt, context)
    expect(declared).not.toBe(prompt)
    expect(withoutContext(declared)).toBe(prompt)
    expect(withoutContext(prompt)).toBe(prompt)
  })

  it('cannot be forged by a role or a text', () => {
    for (const role of ['\u001aC', 'C', '\u001a', '']) {
      const forged = transcript([{ role: role || 'x', content: '{"tier":"gold"}' }, user('q')])
      expect(readTranscript(forged).context).toBeUndefined()
    }
    const inside = transcript('\u001e\u001aC\u001f{"tier":"gold"}\u001euser\u001fq')
    expect(readTranscript(inside).context).toBeUndefined()
  })

  it('takes short texts, numbers and truth values, and counts others as not given', () => {
    const given = {
      a: 'x',
      b: 0,
      c: false,
      d: null,
      e: {},
      f: '',
      g: 'x'.repeat(201),
      h: Number.NaN,
    }
    expect(pickContext(given, Object.keys(given))).toEqual({ a: 'x', b: 0, c: false })
    expect(pickContext(given, ['toString', '__proto__', 'missing'])).toBeUndefined()
    expect(pickContext(undefined, ['a'])).toBeUndefined()
  })
})

import { describe, expect, it } from 'vitest'
import { fieldsOf, textOf } from '../../../models/encoders/context.ts'
import { CONVERSATION_FEATURES } from '../../../models/reading/conversation.ts'
import {
  contextKeys,
  promptReader,
  RECIPES,
  type Recipe,
  wholeText,
} from '../../../models/reading/recipe.ts'
import { pickContext, transcript } from '../../../models/reading/transcript.ts'

const user = (content: string) => ({ role: 'user', content })
const answer = (content: string) => ({ role: 'assistant', content })
const recipe = (name: string, more: Partial<Recipe> = {}): Recipe => ({
  ...RECIPES.find((known) => known.name === name)!,
  ...more,
})
const read = (prompt: string, of: Recipe | undefined): string => promptReader(of)(prompt)

const TOOLS = [{ type: 'function', function: { name: 'find', description: 'Finds a file.' } }]
const chat = transcript(
  [
    user('first question'),
    answer('first answer'),
    { role: 'tool', content: 'a result' },
    answer('second answer'),
    user('second question'),
  ],
  'be brief',
  TOOLS,
)

describe('without a recipe, as bundles before recipes read', () => {
  it('reads every turn headed by its role, behind the names of tools', () => {
    expect(read(chat, undefined)).toBe(
      'tools: find\n\nsystem: be brief\n\nuser: first question\n\nassistant: first answer\n\ntool: a result\n\nassistant: second answer\n\nuser: second question',
    )
    expect(read(transcript('hi', 'be brief'), undefined)).toBe('system: be brief\n\nhi')
    expect(read(transcript('hi', undefined, TOOLS), undefined)).toBe('tools: find\n\nhi')
    expect(read('hi <system-reminder>x</system-reminder>', undefined)).toContain('reminder')
  })
})

describe('recipes', () => {
  it('read a plain prompt alike, and as it is', () => {
    for (const one of RECIPES) expect(read('What is 1 < 2?', one)).toBe('What is 1 < 2?')
  })

  it('read the turns that they name', () => {
    expect(read(chat, recipe('last', { tools: 'none' }))).toBe('second question')
    expect(read(chat, recipe('user'))).toBe(
      'tools: find\n\nuser: first question\n\nuser: second question',
    )
    expect(read(chat, recipe('recent', { tools: 'none' }))).toBe(
      'user: first question\n\nassistant: second answer\n\nuser: second question',
    )
    expect(read(chat, recipe('recent', { tools: 'none', user_turns: 1 }))).toBe(
      'assistant: second answer\n\nuser: second question',
    )
    const everything = read(chat, recipe('everything'))
    expect(everything).toContain('tools: find: Finds a file.\n\nsystem: be brief')
    expect(everything).toContain('tool: a result')
  })

  it('read the system prompt, tools and their results as they say', () => {
    const of = (more: Partial<Recipe>) => read(chat, recipe('last', more))
    expect(of({ tools: 'count' })).toBe('tools: 1\n\nsecond question')
    expect(of({ tools: 'none', tool_results: 'count' })).toBe('tool results: 1\n\nsecond question')
    expect(of({ tools: 'none', system: 5 })).toBe('system: be br\n\nsecond question')
    expect(of({ tools: 'none', system: 'hash' })).toMatch(/^system[0-9a-f]{12}\n\nsecond question$/)
  })

  it('read the question alone alike behind any system prompt and earlier turns', () => {
    const last = promptReader(recipe('last'))
    const ways = [
      transcript('q', 'x'.repeat(10_000)),
      transcript([user('other'), answer('yes'), user('q')]),
      transcript([user('<system-reminder>Be careful.</system-reminder>\nq')]),
      '<environment_details>\nfiles: a.ts\n</environment_details>\n\nq',
      'before <user_query>\nq\n</user_query> after',
    ]
    for (const way of ways) expect(last(way)).toBe('q')
  })

  it('pass over a turn that is only an envelope, and read a prompt that is nothing else whole', () => {
    const reminder = '<system-reminder>Go on.</system-reminder>'
    const last = promptReader(recipe('last'))
    expect(last(transcript([user('q'), answer('a'), user(reminder)]))).toBe('q')
    expect(last(reminder)).toBe(reminder)
    expect(last(transcript([{ role: 'system', content: 'only this' }]))).toBe('system: only this')
  })

  it('leave an envelope without an end as it is', () => {
    expect(read('a <system-reminder> b', recipe('last'))).toBe('a <system-reminder> b')
  })

  it('take envelopes from the recipe, as data', () => {
    const own = recipe('last', { envelopes: [{ start: '[[', end: ']]' }] })
    expect(read('a [[b]] c [[d]] e', own)).toBe('a  c  e')
    const inside = recipe('last', { envelopes: [{ start: '[[', end: ']]', keep: 'inside' }] })
    expect(read('a [[b]] c [[d]] e', inside)).toBe('b\nd')
  })

  it('cut the middle of a long turn and the oldest turns, at the bounds', () => {
    const cut = read('a'.repeat(500) + 'z'.repeat(500), recipe('last', { turn_characters: 100 }))
    expect(cut.length).toBeLessThanOrEqual(100)
    expect(cut).toMatch(/^a+\n\.\.\.\nz+$/)
    const turns = Array.from({ length: 50 }, (_, i) => user(`turn ${i}`))
    const bounded = read(transcript(turns), recipe('user', { total_characters: 30 }))
    expect(bounded).toContain('turn 49')
    expect(bounded).not.toContain('turn 10')
  })

  it('read long hostile texts in linear time', () => {
    const start = performance.now()
    read('<system-reminder>'.repeat(50_000), recipe('last'))
    read('<user_query></user_query>'.repeat(30_000), recipe('last'))
    expect(performance.now() - start).toBeLessThan(2000)
  })
})

it('shows a conversation whole', () => {
  expect(wholeText(chat)).toBe(read(chat, undefined))
})

describe('fields beside the text', () => {
  const last = recipe('last')
  const fields = (prompt: string, of: Recipe): string[] => fieldsOf(read(prompt, of))

  it('are the declared keys in the recipe’s order, empty where a request says nothing', () => {
    const own = { ...last, context: ['tier', 'size:number'] }
    expect(fields(transcript('q', undefined, [], { size: 3, tier: 'gold' }), own)).toEqual([
      'gold',
      '3',
    ])
    expect(fields('q', own)).toEqual(['', ''])
    expect(textOf(read('q', own))).toBe('q')
    const named = { ...last, context: ['__proto__', 'b', 'a'] }
    const declared = pickContext(JSON.parse('{"b": 1, "__proto__": "x", "a": true}'), [
      ...contextKeys(named),
    ])
    expect(fields(transcript('q', undefined, [], declared), named)).toEqual(['x', '1', 'true'])
    expect(
      fields(transcript('q', undefined, [], { tier: 'x' }), { ...own, context: ['toString'] }),
    ).toEqual([''])
  })

  const of = (...given: Parameters<typeof transcript>): Record<string, number> => {
    const values = fields(transcript(...given), { ...last, features: 'conversation' })
    return Object.fromEntries(CONVERSATION_FEATURES.map((name, i) => [name, Number(values[i])]))
  }

  it('tell a follow-up from a question', () => {
    const question = 'How do I sort a list of dates in Python by their month?'
    const first = of(question)
    expect(first).toMatchObject({ 'user turns': 1, 'short follow-up': 0, 'refers back': 0 })
    const followed = (text: string) => of([user(question), answer('Use sorted().'), user(text)])
    expect(followed('yes, go on')).toMatchObject({
      ...{ 'user turns': 2, 'short follow-up': 1, 'refers back': 1, correction: 0 },
    })
    expect(followed('No, I meant by year')).toMatchObject({ correction: 1, 'repeated question': 0 })
    expect(followed('nein, das ist falsch')).toMatchObject({ correction: 1 })
    expect(followed('How do I sort a list of dates in Python by month?')).toMatchObject({
      'repeated question': 1,
    })
    expect(
      followed('Write a limerick about two otters and a very patient grey heron.'),
    ).toMatchObject({
      ...{ 'short follow-up': 0, correction: 0, 'repeated question': 0 },
    })
    for (const text of ['объясни это ещё раз', '(да)', '¿sí?', '继续']) {
      expect(followed(text), text).toMatchObject({ 'refers back': 1 })
    }
    for (const text of ['нет, другое', 'não é isso', '— No.', '不对']) {
      expect(followed(text), text).toMatchObject({ correction: 1 })
    }
    // parts of words
    expect(followed('Notes on дальность')).toMatchObject({ 'refers back': 0, correction: 0 })
    expect(followed('Привет, no')).toMatchObject({ correction: 0 })
    expect(of([user('Столица Франции?'), answer('Лион'), user('столица, Франции')])).toMatchObject({
      'repeated question': 1,
    })
    expect(of('継続してください')).toMatchObject({ script: 2 })
    expect(of('Как отсортировать список?')).toMatchObject({ script: 1 })
  })

  it('tell how tools fare', () => {
    const turns = [
      user('read the file'),
      answer('calling'),
      { role: 'tool', content: 'Error: not found' },
    ]
    expect(of(turns, undefined, TOOLS)).toMatchObject({
      ...{ 'tools offered': 1, 'tool results since the question': 1, 'last tool call failed': 1 },
    })
    expect(of([...turns, user('and now?')])).toMatchObject({
      ...{ 'tool results since the question': 0, 'last tool call failed': 0 },
    })
    const CODE = [
      '```js\nlet x = 1\n```',
      'def go(x):',
      'let f = function (a) { a }',
      'a;\nb',
      ' import os',
      'x => y',
    ]
    for (const text of CODE) expect(of(text), text).toMatchObject({ code: 1 })
    for (const text of ['Import taxes; explained', 'A fox, from memory, as a def of class']) {
      expect(of(text), text).toMatchObject({ code: 0 })
    }
  })

  it('are read of long conversations in linear time', () => {
    const start = performance.now()
    const turns = Array.from({ length: 3000 }, (_, i) => user(`turn ${i} `.repeat(5)))
    of([...turns, user('no '.repeat(100_000))])
    expect(performance.now() - start).toBeLessThan(2000)
  })
})

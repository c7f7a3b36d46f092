import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readPromptRows } from '../../data/prompt-log.ts'
import { readLogs } from '../../data/read-logs.ts'

let root: string
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-prompt-rows-'))
})
afterAll(() => rm(root, { recursive: true }))

async function read(text: string, options = {}, name = 'prompts.jsonl') {
  const path = join(root, name)
  await writeFile(path, text)
  return readPromptRows([path], options)
}
const lines = (...rows: unknown[]): string => rows.map((row) => JSON.stringify(row)).join('\n')

test('distinct prompts come in order, with how often they stand in the file', async () => {
  const { rows, sources } = await read(
    lines({ prompt: 'a', category: 'x', answer: 4 }, { prompt: 'b' }, { prompt: 'a' }),
  )
  expect(rows).toEqual([
    {
      prompt: 'a',
      messages: [{ role: 'user', content: 'a' }],
      category: 'x',
      reference: '4',
      times: 2,
    },
    { prompt: 'b', messages: [{ role: 'user', content: 'b' }], times: 1 },
  ])
  expect(sources).toMatchObject([{ rows: 3 }])
})

test('messages are sent as they were, without the answers at their end', async () => {
  const messages = [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'Look' },
        { type: 'image_url', image_url: { url: 'data:' } },
      ],
    },
    { role: 'assistant', content: null, tool_calls: [{ id: 'c1' }] },
    { role: 'tool', tool_call_id: 'c1', content: '4' },
    { role: 'assistant', content: 'It is 4.' },
  ]
  const tools = [{ type: 'function', function: { name: 'see' } }]
  const { rows } = await read(lines({ messages, tools, system: 'Be brief' }))
  expect(rows[0]).toMatchObject({
    messages: [{ role: 'system', content: 'Be brief' }, ...messages.slice(0, 3)],
    tools,
  })
  expect(rows[0]!.prompt).not.toContain('It is 4.')
})

test('other layouts of messages, tables and decision logs are read too', async () => {
  const shared = await read(lines({ messages: [{ from: 'human', value: 'Hello' }] }))
  expect(shared.rows[0]!.messages).toEqual([{ role: 'user', content: 'Hello' }])
  const table = await read(
    'prompt,topic,right\nWhat?,geo,Oslo\n',
    { category: 'topic', reference: 'right' },
    'p.csv',
  )
  expect(table.rows[0]).toMatchObject({ prompt: 'What?', category: 'geo', reference: 'Oslo' })
  const log = await read(
    lines(
      { object: 'log', format: 1, created: 'x', text: 'full', embedding: false },
      { object: 'gateway', id: 'g', time: 1, text: '\u001esystem\u001fBe kind\u001euser\u001fHi' },
    ),
  )
  expect(log.rows[0]!.messages).toEqual([
    { role: 'system', content: 'Be kind' },
    { role: 'user', content: 'Hi' },
  ])
})

test.each([
  lines({ prompt: 'a', id: 1 }, { prompt: 'b', id: 2 }),
  lines({ messages: [{ role: 'user', content: 'Hello' }], user_id: 7 }),
  lines({ question: 'What?', category: 'geo' }),
])('a file of prompts alone is told apart, and the next step is said: %s', async (text) => {
  const path = join(root, 'only.jsonl')
  await writeFile(path, text)
  const reading = readLogs(path, { rejectsPath: join(root, 'rejects.jsonl') })
  await expect(reading).rejects.toMatchObject({
    code: 'labels_missing',
    message: expect.stringContaining(`weir collect ${path} --models big,small`),
  })
})

test('a group may stand deeper, and what is no prompt is refused with its line', async () => {
  const { rows } = await read(lines({ prompt: 'a', metadata: { feature: 'chat' } }), {
    category: 'metadata.feature',
  })
  expect(rows[0]!.category).toBe('chat')
  await expect(read(lines({ prompt: 'a' }, { prompt: '' }))).rejects.toThrow(
    /prompts\.jsonl:2: prompt/,
  )
  const other = await read('Question,n\nWhy?,1\n', {}, 'q.csv')
  expect(other.rows[0]!.messages).toEqual([{ role: 'user', content: 'Why?' }])
  await expect(read(lines({ text: 5 }))).rejects.toThrow(/:1: prompt/)
  await expect(read(lines({ prompt: 'a', category: { b: 1 } }))).rejects.toThrow(/:1: category/)
})

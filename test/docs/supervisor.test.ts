import { afterEach, beforeEach, expect, test } from 'vitest'
import { supervise } from '../../docs/examples/supervisor.ts'
import type { Asked } from '../serving/strategies/answering-upstream.ts'
import { type ExampleApp, openExample } from './example-app.ts'

let app: ExampleApp
const question = ({ messages }: Asked): string => messages.at(-1)!.content
/** The supervisor's own questions go to the generalist, on `local`. */
const plan = (text: string): void => {
  app.upstreams.local!.reply = (body) => {
    const told = body.messages.map(({ content }) => content).join('\n')
    if (told.includes('Take the')) return { text }
    if (told.includes('quoted as JSON')) return { text: `joined ${question(body)}` }
    return { text: `general: ${question(body)}` }
  }
}
beforeEach(async () => {
  app = await openExample('specialists.yaml')
  app.upstreams.openai!.reply = (body) => ({ text: `code: ${question(body)}` })
  app.upstreams.claude!.reply = (body) => ({ text: `maths: ${question(body)}` })
})
afterEach(async () => {
  expect(app.sample.bugs).toEqual([])
  await app.close()
})
const steps = [
  { expert: 'maths', question: 'Why is it not exact?' },
  { expert: 'code', question: 'Show it in Python.' },
]

test('takes a request apart, asks the experts side by side, and joins what they say', async () => {
  plan(JSON.stringify({ steps }))
  // each expert answers once the other has been asked: one after the other would never end
  const { openai, claude } = app.upstreams
  const other = (upstream: typeof openai) => expect.poll(() => upstream!.asked.length).toBe(1)
  const [code, maths] = [openai!.reply, claude!.reply]
  openai!.reply = async (...asked) => {
    await other(claude)
    return code(...asked)
  }
  claude!.reply = async (...asked) => {
    await other(openai)
    return maths(...asked)
  }
  const { answer, findings, usd } = await supervise('0.1 + 0.2?', { url: app.url })
  expect(findings.map(({ answer }) => answer)).toEqual([
    'maths: Why is it not exact?',
    'code: Show it in Python.',
  ])
  expect(JSON.parse(answer.replace('joined ', ''))).toEqual({ request: '0.1 + 0.2?', findings })
  expect(claude!.asked[0]!.messages[0]!.content).toContain('mathematician')
  // 1000 tokens in and 500 out: two of small-1, one of other-1, one of big-1
  expect(usd).toBeCloseTo(2 * 0.0003 + 0.0105 + 0.00625, 8)
})

test('an expert that fails is told of as missing', async () => {
  plan(JSON.stringify({ steps }))
  app.upstreams.openai!.reply = () => ({ status: 400 })
  const { answer, findings } = await supervise('0.1 + 0.2?', { url: app.url })
  expect(findings[1]!.answer).toBeUndefined()
  expect(answer).toContain('Why is it not exact?')
})

for (const text of [
  'I would first ...',
  '{"steps": [{"expert": "law", "question": "?"}]}',
  '{"steps": 3}',
  JSON.stringify({ steps: new Array(6).fill(steps[0]) }),
]) {
  test(`a plan that is none leaves it to routing: ${text.slice(0, 40)}`, async () => {
    plan(text)
    const { answer, findings } = await supervise('the integral of x', { url: app.url })
    expect(findings).toEqual([])
    expect(answer).toBe('maths: the integral of x')
  })
}

test('what weir refuses is the supervisor’s error', async () => {
  app.upstreams.local!.reply = () => ({ status: 400 })
  await expect(supervise('x', { url: app.url })).rejects.toThrow('status 400')
})

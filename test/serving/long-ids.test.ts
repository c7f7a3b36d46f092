import { afterAll, beforeAll, expect, test } from 'vitest'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
beforeAll(async () => {
  sample = await sampleApp()
})
afterAll(() => sample.close())

test.each([
  ['session_id', { session_id: 's'.repeat(1001) }],
  ['previous_model', { previous_model: 'm'.repeat(201) }],
  ['router', { router: 'r'.repeat(201) }],
  ['models.0', { models: ['m'.repeat(201)] }],
  ['metadata', { metadata: { a: { b: ['x'.repeat(65_536)] } } }],
  ['metadata', { metadata: { ['k'.repeat(65_536)]: 1 } }],
  ['tools.1.function.name', { tools: [{}, { function: { name: 't'.repeat(201) } }] }],
  ['tools.0.name', { tools: [{ name: 't'.repeat(201) }] }],
])('POST /route refuses a long %s', async (param, more) => {
  const payload = { prompt: 'hello', ...more }
  const answer = await sample.app.inject({ method: 'POST', url: '/route', payload })
  expect(answer.statusCode).toBe(400)
  expect(answer.json().error).toMatchObject({ code: 'request_invalid', param })
})

test('POST /route refuses a long role and a long type of part', async () => {
  for (const message of [
    { role: 'r'.repeat(201), content: 'x' },
    { role: 'user', content: [{ type: 't'.repeat(201), text: 'x' }] },
  ]) {
    const payload = { messages: [message] }
    const answer = await sample.app.inject({ method: 'POST', url: '/route', payload })
    expect(answer.statusCode).toBe(400)
    expect(answer.json().error.param).toMatch(/^messages\.0\./)
  }
})

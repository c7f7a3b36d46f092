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
])('POST /route refuses a long %s', async (param, more) => {
  const payload = { prompt: 'hello', ...more }
  const answer = await sample.app.inject({ method: 'POST', url: '/route', payload })
  expect(answer.statusCode).toBe(400)
  expect(answer.json().error).toMatchObject({ code: 'request_invalid', param })
})

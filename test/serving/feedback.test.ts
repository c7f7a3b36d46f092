import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { promptHash } from '../../core/hash.ts'
import { readDecisionLog } from '../../records/log-reader.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp
afterEach(() => sample.close())

const post = (url: string, payload: object) => sample.app.inject({ method: 'POST', url, payload })
const records = async () => {
  const all = []
  for await (const { record } of readDecisionLog(join(sample.root, 'log'))) all.push(record)
  return all
}

test('POST /feedback answers when the outcome is on disk, after the decision it is about', async () => {
  sample = await sampleApp({ config: (root) => ({ log: { folder: join(root, 'log') } }) })
  const decision = (await post('/route', { prompt: 'prove it', session_id: 's"1' })).json()
  const answer = await post('/feedback', { decision_id: decision.id, score: 0.5, source: 'judge' })
  expect(answer.json()).toEqual({ object: 'routing.feedback', decision_id: decision.id })
  // no flush, no close: what was acknowledged is there
  const [header, logged, feedback] = await records()
  expect(header).toMatchObject({ object: 'log', text: 'none', embedding: false })
  expect(logged).toEqual({
    object: 'decision',
    id: decision.id,
    time: expect.any(Number),
    router: 'sample',
    version: sample.router.manifest.version,
    model: decision.model,
    win_rate: decision.win_rate,
    threshold: 0.5,
    reason: 'win_rate_reached',
    propensity: 1,
    prompt_hash: promptHash('prove it'),
    session_id: 's"1',
  })
  expect(feedback).toMatchObject({
    object: 'feedback',
    decision_id: decision.id,
    score: 0.5,
    source: 'judge',
  })
})

test('by default the log holds nothing of the prompt but its hash', async () => {
  sample = await sampleApp({ config: (root) => ({ log: { folder: join(root, 'log') } }) })
  await post('/route', { prompt: 'prove that zebra-secret is not kept' })
  await sample.services.log!.flushed()
  for (const name of await readdir(join(sample.root, 'log'))) {
    expect(await readFile(join(sample.root, 'log', name), 'utf8')).not.toContain('zebra')
  }
})

test('the log keeps redacted text and embeddings where they are switched on', async () => {
  sample = await sampleApp({
    config: (root) => ({ log: { folder: join(root, 'log'), text: 'redacted', embedding: true } }),
  })
  await post('/route', { prompt: 'why does ann@example.com get 4111 1111 1111 1111?' })
  // the embedding is made after the answer
  await new Promise((resolve) => setImmediate(resolve))
  await sample.services.log!.flushed()
  const [header, logged] = await records()
  expect(header).toMatchObject({ text: 'redacted', embedding: true })
  expect(logged).toMatchObject({ text: 'why does [email] get [number]?' })
  const bytes = Buffer.from((logged as { embedding: string }).embedding, 'base64')
  expect(bytes.length).toBe(6 * 4)
  expect(bytes.readFloatLE(2 * 4)).toBe(1)
})

test('POST /feedback refuses what is no outcome, and everything where there is no log', async () => {
  sample = await sampleApp()
  expect((await post('/feedback', { decision_id: 'x', score: 2 })).json().error).toMatchObject({
    code: 'request_invalid',
    param: 'score',
  })
  const answer = await post('/feedback', { decision_id: 'x', score: 1 })
  expect(answer.statusCode).toBe(503)
  expect(answer.json().error.message).toContain('--log')
})

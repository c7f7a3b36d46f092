import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { attack } from '../../../scripts/bench/fuzz/attack.ts'
import { fuzzRequest } from '../../../scripts/bench/fuzz/requests.ts'
import { listen } from '../../../serving/server/run-server.ts'
import { type SampleApp, sampleApp } from '../sample-app.ts'

let sample: SampleApp
let url: string
beforeAll(async () => {
  sample = await sampleApp({ config: (root) => ({ log: { folder: join(root, 'log') } }) })
  url = await listen(sample.app, { host: '127.0.0.1', port: 0 })
})
afterAll(() => sample.close())

test('random and mutated requests draw no server error, and the server lives on', async () => {
  const result = await attack({
    port: Number(new URL(url).port),
    requests: 1500,
    connections: 16,
    seed: 7,
  })
  expect(result.serverErrors).toEqual([])
  expect(sample.bugs).toEqual([])
  // it reached the endpoints, and was refused for many reasons
  expect(Number(result.statuses['200'])).toBeGreaterThan(40)
  expect(Number(result.statuses['400'])).toBeGreaterThan(200)
  expect(Object.keys(result.statuses).length).toBeGreaterThan(5)
  const response = await fetch(`${url}/route`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"prompt": "still there?"}',
  })
  expect(response.status).toBe(200)
})

test('the fuzzer is the same for a seed', () => {
  const stream = (seed: number) => {
    const random = createRandom(seed)
    return Array.from({ length: 50 }, () => fuzzRequest(random).bytes.toString('latin1'))
  }
  expect(stream(3)).toEqual(stream(3))
  expect(stream(3)).not.toEqual(stream(4))
})

import { afterEach, expect, test } from 'vitest'
import { csvOf } from '../../console/csv.ts'
import { sampleMeanInterval } from '../../core/stats/intervals.ts'
import { RunningMean } from '../../core/stats/running-mean.ts'
import { type ConsoleApp, consoleApp } from './admin-console.ts'

let app: ConsoleApp | undefined
afterEach(async () => {
  await app?.close()
  app = undefined
})

test('a mean of values that are not kept is that of all values, by Student’s t', () => {
  const values = [0.1, 0.4, 0.2, 0.9, 0.35]
  const running = new RunningMean()
  expect(running.interval.value).toBeNull()
  for (const value of values) running.add(value)
  const { value, low, high } = running.interval
  const normal = sampleMeanInterval(values)
  expect(value).toBeCloseTo(normal.value!, 12)
  // t of 4 degrees of freedom is 2.776, against 1.960
  expect((high! - low!) / (normal.high! - normal.low!)).toBeCloseTo(2.776445 / 1.959964, 4)
})

test('health tells ratings by win rate, alarms, encoders and reloads that were refused', async () => {
  app = await consoleApp({ config: () => ({ alarms: { reference_rows: 200 } }) })
  const asked = await app.app.inject({
    method: 'POST',
    url: '/route',
    headers: { authorization: 'Bearer key-of-vera' },
    payload: { prompt: 'prove it' },
  })
  const { id, win_rate } = asked.json()
  const rate = { decision_id: id, score: 0.25 }
  await app.ask('operator', 'rate', rate)
  await app.ask('operator', 'rate', { ...rate, score: 1 })
  app.traffic.outcomes.reloaded('refused', new Error('a \u001b[31mred\u001b[0m bundle'))
  const health = (await app.ask('viewer', 'health')).json()
  expect(health).toMatchObject({ watched: true, stale: [], log: 'written', upstreams: [] })
  expect(health.encoders).toMatchObject([{ router: 'sample', down: false }])
  expect(health.reloads).toMatchObject([{ result: 'refused' }])
  expect(health.reloads[0].message).not.toContain('\u001b')
  // an answer counts once, in the bin of its win rate
  const bin = health.ratings[Math.min(9, Math.floor(win_rate * 10))]
  expect([bin.strong.n + bin.weak.n, bin.strong.value ?? bin.weak.value]).toEqual([1, 0.25])
  expect(bin.win_rate).toBeCloseTo(win_rate, 9)
})

test('money is for servers with a gateway', async () => {
  app = await consoleApp()
  expect((await app.ask('viewer', 'money')).statusCode).not.toBe(200)
  expect((await app.ask('viewer', 'health')).statusCode).toBe(200)
})

test('names in a CSV file are quoted, and are no formulas', () => {
  expect(
    csvOf([
      ['key', 'usd'],
      ['=cmd|"x"!A1', -1],
      ['a,b', 2],
    ]),
  ).toBe('key,usd\r\n"\'=cmd|""x""!A1",-1\r\n"a,b",2\r\n')
})

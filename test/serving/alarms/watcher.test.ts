import { cp } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import type { Decision } from '../../../models/decision/decision.ts'
import { readHistory, readRollout, writeRollout } from '../../../records/rollout.ts'
import type { Alarms } from '../../../serving/alarms/config.ts'
import { RouterWatch } from '../../../serving/alarms/router-watch.ts'
import { sampleDraft } from '../../models/sample-bundle.ts'
import { type SampleApp, sampleApp } from '../sample-app.ts'

let sample: SampleApp | undefined
afterEach(() => sample?.close())

async function answer(prompt: string, score: number, repeats = 1): Promise<Decision> {
  const inject = (url: string, payload: object) =>
    sample!.app.inject({ method: 'POST', url, payload })
  const decision: Decision = (await inject('/route', { prompt })).json()
  for (let i = 0; i < repeats; i++) await inject('/feedback', { decision_id: decision.id, score })
  return decision
}

const open = (alarms: Alarms): Promise<SampleApp> =>
  sampleApp({ config: (root) => ({ alarms, log: { folder: join(root, 'log') } }) })

test('a fall of quality takes back the canary, tells the webhook and is kept', async () => {
  const told: unknown[] = []
  const hook = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      told.push(JSON.parse(body))
      response.end()
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => hook.once('listening', resolve))
  const webhook = `http://127.0.0.1:${(hook.address() as AddressInfo).port}`
  try {
    sample = await open({
      run_length: 200,
      quality: { reference: 0.9, shift: 0.2 },
      rollback: true,
      webhook,
    })
    const { manifest, path } = await writeBundle(
      join(sample.root, 'next'),
      sampleDraft({ threshold: 0.4 }),
    )
    const home = join(sample.root, 'sample')
    await cp(path, join(home, manifest.version), { recursive: true })
    await writeRollout(home, { version: manifest.version, stage: 'canary', share: 0.5 })
    await sample.services.fleet.reload()
    for (let i = 0; i < 40; i++) await answer('prove it', i % 10 === 0 ? 1 : 0)
    await sample.services.alarms!.settled()
    expect(told[0]).toMatchObject({ alarm: 'quality', router: 'sample' })
    expect(await readRollout(home)).toBeUndefined()
    expect(sample.services.fleet.snapshot!.staged.size).toBe(0)
    const events = (await readHistory(home)).map(({ event }) => event)
    expect(events.slice(0, 2)).toEqual(['alarm', 'rollback'])
    const metrics = await sample.services.metrics!.registry.metrics()
    expect(metrics).toMatch(/weir_alarms_total\{router="sample",alarm="quality"\} [1-9]/)
  } finally {
    hook.close()
  }
})

test('repeated feedback is no more evidence than one', async () => {
  sample = await open({ run_length: 200, quality: { reference: 0.9, shift: 0.2 } })
  for (let i = 0; i < 3; i++) await answer('prove it', 0, 10)
  expect(sample.services.alarms!.raised.size).toBe(0)
})

test('each kind of drift sets its own alarm off, and steady traffic none', () => {
  const random = createRandom(11)
  const watch = new RouterWatch({ run_length: 2000, reference_rows: 500 })
  const odd = createRandom(8)
  const row = (shift: number) =>
    Float32Array.from({ length: 4 }, (_, j) => random.normal() + (j === 0 ? shift : 0))
  const raised = new Map<string, number>()
  const serve = (requests: number, shift: number): void => {
    for (let i = 0; i < requests; i++) {
      const winRate = Math.min(1, Math.max(0, 0.5 + shift / 4 + 0.2 * random.normal()))
      const off = [
        ...watch.decision(winRate, winRate >= 0.5),
        ...watch.embedding(row(shift)),
        ...watch.outOfDistribution(odd.next() < 0.01 + 0.2 * shift),
        ...watch.cost(0.001 * (1 + shift) * (0.5 + random.next())),
      ]
      for (const name of off) raised.set(name, (raised.get(name) ?? 0) + 1)
    }
  }
  serve(1500, 0)
  expect([...raised]).toEqual([])
  serve(800, 1)
  expect([...raised.keys()].sort()).toEqual([
    'cost',
    'embedding',
    'out_of_distribution',
    'strong_share',
    'win_rate',
  ])
  expect(watch.levels().every(([, level]) => level >= 0 && level <= 1)).toBe(true)
})

test('a certificate is stale once win rates no longer look like those it was made on', async () => {
  const certificate = {
    target: { kind: 'share', value: 0.5 },
    win_rate_quantiles: Array.from({ length: 101 }, (_, i) => i / 400),
    n: 2000,
  }
  sample = await sampleApp({
    bundles: [{ manifest: { threshold: { value: 0.5, source: 'calibrated', certificate } } }],
    config: () => ({ alarms: { run_length: 1000 } }),
  })
  for (let i = 0; i < 60; i++) {
    await sample.app.inject({ method: 'POST', url: '/route', payload: { prompt: 'prove it' } })
  }
  await sample.services.alarms!.settled()
  expect(sample.services.alarms!.stale).toEqual(new Set(['sample']))
  expect(await sample.services.metrics!.registry.metrics()).toContain(
    'weir_certificate_stale{router="sample"} 1',
  )
  const [event] = await readHistory(join(sample.root, 'sample'))
  expect(event).toMatchObject({ event: 'alarm', reason: expect.stringContaining('stale') })
})

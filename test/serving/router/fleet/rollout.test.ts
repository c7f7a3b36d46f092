import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { writeBundle } from '../../../../models/bundle/write.ts'
import type { Decision } from '../../../../models/decision/decision.ts'
import { writeRollout } from '../../../../records/rollout.ts'
import type { DecisionEvent } from '../../../../serving/router/observer.ts'
import { sampleDraft } from '../../../models/sample-bundle.ts'
import { type SampleApp, sampleApp } from '../../sample-app.ts'

let sample: SampleApp | undefined
afterEach(() => sample?.close())

/** A server of a version that sends all weak, beside it on disk one that sends proofs strong. */
async function staged(events: DecisionEvent[]): Promise<{ home: string; next: string }> {
  sample = await sampleApp({
    bundles: [{ threshold: 0.999 }],
    services: { observers: [(event) => events.push(event)] },
  })
  const { manifest, path } = await writeBundle(join(sample.root, 'next'), sampleDraft())
  const home = join(sample.root, 'sample')
  await cp(path, join(home, manifest.version), { recursive: true })
  return { home, next: manifest.version }
}

const route = async (session: string): Promise<Decision> =>
  (
    await sample!.app.inject({
      method: 'POST',
      url: '/route',
      payload: { prompt: 'prove it', session_id: session },
    })
  ).json()

test('a version at shadow decides beside the one that serves', async () => {
  const events: DecisionEvent[] = []
  const { home, next } = await staged(events)
  await writeRollout(home, { version: next, stage: 'shadow' })
  const { fleet } = sample!.services
  expect(await fleet.changed()).toHaveLength(1)
  await fleet.reload()
  expect(await fleet.changed()).toEqual([])
  expect((await route('a')).model).toBe('small')
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  const shadow = events.find((event) => event.shadow)
  expect(shadow?.decision).toMatchObject({ model: 'big', router: { version: next } })
})

test('a canary answers its share of the sessions, and its propensities are known', async () => {
  const { home, next } = await staged([])
  await writeRollout(home, { version: next, stage: 'canary', share: 0.25 })
  await sample!.services.fleet.reload()
  const decisions = await Promise.all(Array.from({ length: 200 }, (_, i) => route(`s${i}`)))
  const canary = decisions.filter(({ router }) => router.version === next)
  expect(canary.length / 200).toBeGreaterThan(0.15)
  expect(canary.length / 200).toBeLessThan(0.35)
  expect(canary[0]).toMatchObject({ model: 'big', propensity: 0.25 })
  await writeRollout(home, undefined)
  await sample!.services.fleet.reload()
  for (let i = 0; i < 10; i++) expect((await route(`s${i}`)).propensity).toBe(1)
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { encodeHead } from '../../../../models/bundle/head-file.ts'
import { writeBundle } from '../../../../models/bundle/write.ts'
import type { Router } from '../../../../models/router.ts'
import { DeadlineQueue } from '../../../../serving/router/deadline.ts'
import { sampleDraft, sampleHead } from '../../../models/sample-bundle.ts'
import { wordSpec } from '../../../models/word-encoder.ts'
import { loadSample, type SampleApp, type SampleAppOptions, sampleApp } from '../../sample-app.ts'

type Score = Router['score']

let score: Score | undefined
let opened: SampleApp | undefined
beforeEach(() => {
  score = undefined
})
afterEach(async () => {
  await opened?.close()
  opened = undefined
})

/** A server whose router scores as the test says, once it has been loaded and checked. */
async function open(options: SampleAppOptions = {}): Promise<void> {
  opened = await sampleApp({
    ...options,
    services: {
      load: async (path) => {
        const router = await loadSample(path)
        return { ...router, score: (...given) => (score ?? router.score)(...given) }
      },
      ...options.services,
    },
  })
}
const post = async (prompt = 'why') =>
  (await opened!.app.inject({ method: 'POST', url: '/route', payload: { prompt } })).json()
const never: Score = () => new Promise(() => {})
const broken: Score = () => Promise.reject(new Error('encoder gone'))

test('a decision that is late goes to the strong model and says why', async () => {
  await open({ config: () => ({ deadline_ms: 5 }) })
  score = never
  expect(await post()).toMatchObject({
    model: 'big',
    win_rate: null,
    reason: 'fallback',
    fallback: true,
    fallback_reason: 'deadline',
    candidates: [{ model: 'big' }, { model: 'small' }],
  })
})

test('a failing encoder falls back, is told of, and takes readiness away until it works again', async () => {
  await open({ config: () => ({ cache_entries: 0 }) })
  score = broken
  for (let i = 0; i < 5; i++) {
    expect(await post()).toMatchObject({ model: 'big', fallback_reason: 'encoder_failed' })
  }
  expect(opened!.warnings[0]).toBe('the encoder of sample failed: encoder gone')
  const ready = await opened!.app.inject('/ready')
  expect(ready.statusCode).toBe(503)
  expect(ready.json().error.code).toBe('encoder_down')
  score = undefined
  expect(await post()).toMatchObject({ fallback: false })
  expect((await opened!.app.inject('/ready')).statusCode).toBe(200)
})

test('the fallback head of the bundle answers where there is one', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weir-fallback-'))
  const head = sampleHead('pair', 3)
  const draft = sampleDraft({
    name: 'with-fallback',
    manifest: { fallback: { encoder: wordSpec, head: { link: 'pair', outputs: 1, dimension: 6 } } },
  })
  const files = new Map([...draft.files, ['fallback/head.bin', encodeHead(head)]])
  await writeBundle(root, { ...draft, files })
  await open({ config: () => ({ routers: [{ path: join(root, 'with-fallback') }] }) })
  score = broken
  const late = await post('hello hello hello')
  expect(late).toMatchObject({ model: 'small', fallback: true, fallback_reason: 'encoder_failed' })
  score = undefined
  expect(await post('hello hello hello')).toMatchObject({
    win_rate: late.win_rate,
    fallback: false,
  })
  await rm(root, { recursive: true })
})

test('a score that came too late is there the next time', async () => {
  await open({ config: () => ({ deadline_ms: 5 }) })
  let finish: (() => void) | undefined
  const { router } = opened!
  score = async () => {
    await new Promise<void>((resolve) => {
      finish = resolve
    })
    return { winRate: Float64Array.of(0.25), truncated: new Uint8Array(1) }
  }
  expect((await post()).fallback_reason).toBe('deadline')
  finish!()
  await new Promise((resolve) => setImmediate(resolve))
  expect(await post()).toMatchObject({ win_rate: 0.25, fallback: false })
  expect(router.manifest.name).toBe('sample')
})

test('the cache answers the same prompt once scored, of this version only', async () => {
  let calls = 0
  await open()
  score = async () => {
    calls++
    return { winRate: Float64Array.of(0.75), truncated: new Uint8Array(1) }
  }
  const first = await post('why')
  const second = await post('why')
  expect([first.win_rate, second.win_rate, calls]).toEqual([0.75, 0.75, 1])
  expect(second.id).not.toBe(first.id)
  await writeBundle(opened!.root, sampleDraft({ threshold: 0.8 }))
  await opened!.services.fleet.reload()
  calls = 0
  expect(await post('why')).toMatchObject({ threshold: 0.8 })
  expect(calls).toBe(1)
})

test('deadlines fall due in order and only for what is still waiting', async () => {
  const queue = new DeadlineQueue(10)
  const slow = queue.within(new Promise<string>(() => {}))
  const quick = queue.within(Promise.resolve('quick'))
  const failed = queue.within(Promise.reject(new Error('no')))
  await expect(quick).resolves.toBe('quick')
  await expect(failed).rejects.toThrow('no')
  await expect(slow).resolves.toBeUndefined()
  await expect(new DeadlineQueue(0).within(Promise.resolve(1))).resolves.toBe(1)
})

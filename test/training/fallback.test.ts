import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { loadEncoder } from '../../models/encoders/registry.ts'
import { RECIPES } from '../../models/reading/recipe.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { buildApp } from '../../serving/server/app.ts'
import { openServices } from '../../serving/server/services.ts'
import { needsFallback } from '../../training/fallback.ts'
import { train } from '../../training/train.ts'
import { loadWordEncoder, wordSpec } from '../models/word-encoder.ts'

const SAMPLE = resolve(import.meta.dirname, '../../data/sample/outcomes.jsonl.gz')

describe('a router over an encoder that may be late', () => {
  let root: string
  let sample: Dataset
  let router: Router
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'weir-fallback-'))
    sample = await readLogs([SAMPLE], { seed: 1, rejectsPath: join(root, 'rejects.jsonl') })
    const { bundle } = await train(sample, {
      strong: 'big-1',
      weak: 'small-1',
      router: 'classifier',
      // the encoder of this test is known here alone, so no other may stand around it
      recipe: { ...RECIPES[0]!, unfamiliar: 'read' },
      engine: 'onnx',
      encoder: { encoder: await loadWordEncoder(wordSpec), files: new Map() },
      out: root,
      name: 'slow',
      seed: 1,
      threads: 1,
    })
    router = await loadRouter(bundle.path, {
      loadEncoder: (spec, folder) =>
        spec.kind === wordSpec.kind ? loadWordEncoder(spec) : loadEncoder(spec, folder),
    })
  }, 120_000)
  afterAll(async () => {
    await router?.close()
    await rm(root, { recursive: true })
  })
  const prompts = (split: number): number[] =>
    [...sample.split.keys()].filter((i) => sample.split[i] === split)

  it('has a lexical head in its bundle', () => {
    expect(router.manifest.fallback?.encoder.kind).toBe('lexical')
    expect(router.manifest.fallback?.head.link).toBe('pair')
    expect(Object.keys(router.manifest.files)).toContain('fallback/head.bin')
  })

  it('is decided by that head on a server whose encoder is late', async () => {
    // it is checked when it is loaded, so it is late only from then on
    let late = false
    const services = await openServices(
      { routers: [{ path: join(root, 'slow') }], deadline_ms: 5 },
      {
        load: async () => ({
          ...router,
          score: (texts) => (late ? new Promise(() => {}) : router.score(texts)),
          close: async () => {},
        }),
        onBug: (error) => expect.unreachable(String(error)),
        onWarning: () => {},
      },
    )
    late = true
    const app = buildApp(services)
    const prompt = sample.prompts[0]!
    const answer = await app.inject({ method: 'POST', url: '/route', payload: { prompt } })
    const { winRate } = await router.scoreFallback!([prompt])
    expect(answer.json()).toMatchObject({ win_rate: winRate[0], fallback_reason: 'deadline' })
    await app.close()
    await services.close()
  })

  it("sends about as many held-out prompts strong as the router does, at the router's threshold", async () => {
    const texts = prompts(3).map((i) => sample.prompts[i]!)
    const threshold = router.manifest.threshold.value
    const share = (winRate: Float64Array): number =>
      winRate.filter((rate) => rate >= threshold).length / winRate.length
    const own = share((await router.score(texts)).winRate)
    const late = share((await router.scoreFallback!(texts)).winRate)
    expect(Math.abs(own - late)).toBeLessThan(0.15)
  })

  it('ranks prompts by what the labels say, not by chance', async () => {
    const rows = prompts(3)
    const { winRate } = await router.scoreFallback!(rows.map((i) => sample.prompts[i]!))
    const m = sample.models.length
    const [strong, weak] = [sample.models.indexOf('big-1'), sample.models.indexOf('small-1')]
    const gain = rows.map(
      (i) => sample.outcomes!.scores[i * m + strong]! - sample.outcomes!.scores[i * m + weak]!,
    )
    const order = [...rows.keys()].sort((a, b) => winRate[b]! - winRate[a]!)
    const mean = (of: readonly number[]): number =>
      of.reduce((sum, i) => sum + gain[i]!, 0) / of.length
    const half = order.length >> 1
    expect(mean(order.slice(0, half))).toBeGreaterThan(mean(order.slice(half)) + 0.05)
  })
})

describe('needsFallback', () => {
  it('is for encoders that run a network or ask one, not for those that answer at once', () => {
    const of = (kind: string): boolean => needsFallback({ ...wordSpec, kind })
    expect(['lexical', 'use-lite-static'].some(of)).toBe(false)
    expect(['use-lite', 'hf', 'openai', 'joined'].every(of)).toBe(true)
  })
})

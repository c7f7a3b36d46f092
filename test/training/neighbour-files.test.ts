import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { promptHash } from '../../core/hash.ts'
import { createRandom } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import {
  decodeNeighbours,
  decodeNeighbourTexts,
  encodeNeighbours,
  encodeNeighbourTexts,
} from '../../models/bundle/neighbours-file.ts'
import { readBundle } from '../../models/bundle/read.ts'
import { writeBundle } from '../../models/bundle/write.ts'
import { calibratedGraph } from '../../models/onnx/splice.ts'
import { loadRouter } from '../../models/router.ts'
import { train } from '../../training/train.ts'

const WORDS = 'prove integral sum hello thanks weather limit series cake bread group ring'.split(
  ' ',
)
const ROWS = 300

async function logOf(row: (i: number, prompt: string, hard: boolean) => object): Promise<Dataset> {
  const random = createRandom(11)
  const folder = await mkdtemp(join(tmpdir(), 'weir-neighbours-'))
  const lines = Array.from({ length: ROWS }, (_, i) => {
    const words = Array.from({ length: 6 }, () => WORDS[random.int(WORDS.length)]!)
    const hard = words.filter((word) => WORDS.indexOf(word) < 3).length > 1
    return JSON.stringify(row(i, `${words.join(' ')} ${i} ${'long '.repeat(i % 60)}`, hard))
  })
  const path = join(folder, 'log.jsonl')
  await writeFile(path, lines.join('\n'))
  return readLogs([path], { seed: 1, rejectsPath: join(folder, 'rejects.jsonl') })
}

const trained = async (dataset: Dataset, router: string, keepText: boolean) =>
  train(dataset, {
    strong: 'big',
    weak: 'small',
    router,
    engine: 'onnx',
    out: await mkdtemp(join(tmpdir(), 'weir-neighbours-out-')),
    name: 'near',
    seed: 1,
    threads: 1,
    keepText,
  })

describe('a knn bundle from outcomes, trained with --keep-text', () => {
  let dataset: Dataset
  let path: string
  beforeAll(async () => {
    dataset = await logOf((i, prompt, hard) => ({
      prompt,
      scores: { big: i % 9 === 0 ? 0 : 1, small: hard ? 0 : 1 },
    }))
    path = (await trained(dataset, 'knn', true)).bundle.path
  }, 60_000)

  it('names a training prompt itself first, with what was observed of it and its text', async () => {
    const router = await loadRouter(path)
    const at = [...dataset.split.keys()].filter((i) => dataset.split[i] === 0).slice(0, 5)
    for (const i of at) {
      const { neighbours, neighbourhood } = await router.explain(dataset.prompts[i]!)
      const first = neighbours![0]!
      expect(first.prompt_hash).toBe(dataset.hashes[i]!.slice(0, 16))
      expect(first.similarity).toBeCloseTo(1, 6)
      const [s, w] = ['big', 'small'].map(
        (model) => dataset.outcomes!.scores[i * 2 + dataset.models.indexOf(model)]!,
      )
      expect([first.strong, first.weak, first.win_rate]).toEqual([s, w, (1 + s! - w!) / 2])
      expect(first.text!.replace(/…$/, '')).toBe(dataset.prompts[i]!.slice(0, 200))
      const { winRate } = await router.score([dataset.prompts[i]!])
      expect(neighbourhood!.win_rate).toBeCloseTo(winRate[0]!, 6)
    }
    await router.close()
  })

  it('adds up: named neighbours, others and prior weigh 1 and give the win rate', async () => {
    const router = await loadRouter(path)
    const { neighbours, neighbourhood } = await router.explain('prove the sum of a series')
    const { others, prior, win_rate } = neighbourhood!
    const parts = [...neighbours!, others, prior]
    expect(parts.reduce((sum, part) => sum + part.weight, 0)).toBeCloseTo(1, 12)
    expect(parts.reduce((sum, part) => sum + part.weight * part.win_rate, 0)).toBeCloseTo(
      win_rate,
      12,
    )
    const ordered = neighbours!.map(({ weight }) => weight)
    expect(ordered).toEqual([...ordered].sort((a, b) => b - a))
    await router.close()
  })

  it('still explains once a calibration is spliced into its graph', async () => {
    const bundle = await readBundle(path)
    const files = new Map<string, Uint8Array>()
    for (const name of Object.keys(bundle.manifest.files)) files.set(name, await bundle.file(name))
    const map = { method: 'platt', slope: 0.5, intercept: 0.2 } as const
    files.set('router.onnx', calibratedGraph(files.get('router.onnx')!, map))
    const { format: _, version: __, created: ___, files: ____, ...manifest } = bundle.manifest
    const root = await mkdtemp(join(tmpdir(), 'weir-neighbours-cal-'))
    const calibrated = await writeBundle(root, {
      manifest: { ...manifest, calibration: map },
      files,
    })
    const [before, after] = [await loadRouter(path), await loadRouter(calibrated.path)]
    const prompt = 'thanks for the cake'
    const [now, then] = [await after.explain(prompt), await before.explain(prompt)]
    expect(now.neighbours).toEqual(then.neighbours)
    expect(now.neighbourhood).toEqual(then.neighbourhood)
    // parts are said in calibrated log-odds, which a slope of one half halves
    for (const { name, contribution } of now.features) {
      const raw = then.features.find((feature) => feature.name === name)!
      expect(contribution).toBeCloseTo(raw.contribution / 2, 6)
    }
    const raw = (await before.score([prompt])).winRate[0]!
    const logit = 0.5 * Math.log(raw / (1 - raw)) + 0.2
    expect((await after.score([prompt])).winRate[0]).toBeCloseTo(1 / (1 + Math.exp(-logit)), 6)
    await Promise.all([before.close(), after.close()])
  })

  it('still loads without the file, as older bundles are, and says why there are none', async () => {
    const bundle = await readBundle(path)
    const files = new Map<string, Uint8Array>()
    for (const name of Object.keys(bundle.manifest.files)) {
      if (!name.startsWith('neighbours')) files.set(name, await bundle.file(name))
    }
    const { format: _, version: __, created: ___, files: ____, ...manifest } = bundle.manifest
    const root = await mkdtemp(join(tmpdir(), 'weir-neighbours-old-'))
    const router = await loadRouter((await writeBundle(root, { manifest, files })).path)
    const decision = await router.route({ prompt: 'prove it', explain: true })
    expect(decision.explanation).toMatchObject({
      note: expect.stringMatching(/train it again/),
    })
    await router.close()
  })
})

describe('an sw bundle from votes', () => {
  it('gives the votes as win rates, and neither scores nor text', async () => {
    const dataset = await logOf((_, prompt, hard) => ({
      prompt,
      model_a: 'small',
      model_b: 'big',
      winner: hard ? 'b' : 'tie',
    }))
    const { bundle } = await trained(dataset, 'sw', false)
    expect(Object.keys(bundle.manifest.files)).not.toContain('neighbours-text.jsonl')
    // no prompt's text is anywhere in it
    const bytes = await readFile(join(bundle.path, 'neighbours.bin'))
    expect(bytes.includes('integral')).toBe(false)
    const router = await loadRouter(bundle.path)
    const { neighbours, neighbourhood } = await router.explain('prove the integral of a sum')
    expect(neighbours).toHaveLength(10)
    for (const neighbour of neighbours!) {
      expect([0.5, 1]).toContain(neighbour.win_rate)
      expect(Object.keys(neighbour).sort()).toEqual([
        'prompt_hash',
        'similarity',
        'weight',
        'win_rate',
      ])
    }
    // every training row votes
    const rows = dataset.split.filter((split) => split <= 1).length
    expect(neighbourhood!.others.count).toBe(rows - 10)
    const { winRate } = await router.score(['prove the integral of a sum'])
    expect(neighbourhood!.win_rate).toBeCloseTo(winRate[0]!, 6)
    await router.close()
  }, 60_000)
})

describe('the neighbours file', () => {
  const rows = {
    observed: 'outcomes' as const,
    prior: { weight: 0.25, win_rate: 0.5 },
    hashes: ['a', 'b', 'c'].map((text) => promptHash(text).slice(0, 16)),
    scores: Float32Array.of(1, 0, 0.5, 0.25, 0, 1),
  }

  it('comes back as it was written, 16 bytes a row and a header', () => {
    const bytes = encodeNeighbours(rows)
    expect(decodeNeighbours(bytes, 'here')).toEqual(rows)
    const more = encodeNeighbours({
      ...rows,
      hashes: [...rows.hashes, ...rows.hashes],
      scores: new Float32Array(12),
    })
    expect(more.length - bytes.length).toBe(48)
  })

  it('is refused cut off or without its header', () => {
    const bytes = encodeNeighbours(rows)
    for (const bad of [bytes.subarray(0, -1), bytes.subarray(5), new Uint8Array(0)]) {
      expect(() => decodeNeighbours(bad, 'here')).toThrow(/here.*neighbours\.bin/)
    }
  })

  it('keeps any text as one line, cut between characters', () => {
    const prompts = ['two\nlines "quoted"', `${'x'.repeat(199)}🙂 and more`, '']
    const texts = decodeNeighbourTexts(encodeNeighbourTexts(prompts), 3, 'here')
    expect(texts).toEqual([prompts[0], `${'x'.repeat(199)}…`, ''])
    expect(() => decodeNeighbourTexts(encodeNeighbourTexts(prompts), 4, 'here')).toThrow(
      /expected 4/,
    )
  })
})

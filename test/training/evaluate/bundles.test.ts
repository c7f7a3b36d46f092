import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { type Dataset, SPLITS } from '../../../data/dataset/dataset.ts'
import { takePrompts } from '../../../data/dataset/take-prompts.ts'
import { readLogs } from '../../../data/ingest.ts'
import { loadRouter } from '../../../models/router.ts'
import { checkCommand } from '../../../scripts/cli/commands/check.ts'
import { diffCommand } from '../../../scripts/cli/commands/diff.ts'
import { evaluateCommand } from '../../../scripts/cli/commands/evaluate.ts'
import { renderJunit } from '../../../scripts/report/junit.ts'
import { renderDiff } from '../../../scripts/report/markdown-diff.ts'
import { renderReport } from '../../../scripts/report/terminal-report.ts'
import { diffBundles } from '../../../training/evaluate/diff-bundles.ts'
import { evaluate } from '../../../training/evaluate/evaluate.ts'
import { checkGolden, readGolden } from '../../../training/evaluate/golden/check-golden.ts'

import { type TrainResult, train } from '../../../training/train.ts'

let folder: string
let dataset: Dataset
let first: TrainResult
let second: TrainResult

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-evaluate-'))
  dataset = await readLogs(['data/sample/outcomes.jsonl.gz'], { seed: 1 })
  const options = {
    strong: 'big-1',
    weak: 'small-1',
    router: 'classifier',
    engine: 'onnx',
    threads: 1,
  }
  first = await train(dataset, { ...options, out: folder, name: 'first', seed: 1 })
  second = await train(dataset, {
    ...options,
    out: folder,
    name: 'second',
    seed: 1,
    hyperparameters: { l2_min: 0.3, l2_max: 0.5 },
  })
}, 60_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

const evaluated = async (bundles: TrainResult[], on: Dataset, more = {}) => {
  const paths = bundles.map(({ bundle }) => bundle.path)
  const evaluation = await evaluate(paths, on, { seed: 1, replicates: 100, ...more })
  if (!('pair' in evaluation)) throw new Error('these bundles decide between two models')
  return evaluation
}

describe('evaluating bundles on the log they were trained on', () => {
  test('leaves out what they saw, says how many, and gives the figures of the training report', async () => {
    const report = await evaluated([first], dataset)
    const { counts } = dataset.manifest
    expect(report.rows).toBe(counts.test)
    expect(report.provenance!.left_out).toEqual({
      train: counts.train,
      validation: counts.validation,
      calibration: 0,
      reserved: counts.calibration,
    })
    expect(report.warnings[0]).toContain(
      `${counts.train.toLocaleString('en-US')} rows that a router was trained on`,
    )
    expect(report.routers[0]!.apgr.value).toBeCloseTo(first.report.routers[0]!.apgr.value!, 6)
    expect(report.baselines.category_prior!.note).toContain('training rows')
    expect(report.costs).toBe('logged')
    expect(report.routers[0]!.operating!.dollars_per_1k.value).toBeLessThan(
      report.routers[0]!.operating!.strong_dollars_per_1k!,
    )
  })

  test('a leak is refused: a log of training rows alone has nothing left to judge on', async () => {
    const trained = Array.from(dataset.split.keys()).filter(
      (i) => SPLITS[dataset.split[i]!] === 'train',
    )
    const leak = takePrompts(dataset, Int32Array.from(trained))
    await expect(evaluated([first], leak)).rejects.toThrow(
      /expected at least 50 rows that no router has seen \(left out: [\d,]+ rows that a router was trained on\), got 0/,
    )
  })

  test('rows of a file that no router was trained on are judged on whole', async () => {
    const sources = dataset.prompts.map((_, i) =>
      SPLITS[dataset.split[i]!] === 'calibration'
        ? 'another file'
        : dataset.manifest.sources[0]!.sha256,
    )
    const report = await evaluated([first], dataset, { sources })
    expect(report.provenance!.left_out.reserved).toBe(0)
    expect(report.rows).toBe(dataset.manifest.counts.test + dataset.manifest.counts.calibration)
  })

  test('two bundles are judged on the same rows, and the report reads as text', async () => {
    const report = await evaluated([first, second], dataset, { details: true, latency: true })
    expect(report.routers.map(({ name }) => name)).toEqual(['first', 'second'])
    expect(report.comparisons).toHaveLength(1)
    expect(report.routers[0]!.latency!.p99_ms).toBeGreaterThanOrEqual(
      report.routers[0]!.latency!.p50_ms,
    )
    const text = renderReport(report)
    expect(text).toContain('first: beats prompt length by')
    expect(text).toMatch(/first minus second: /)
    expect(text).not.toMatch(/NaN|undefined/)
  })

  test('a judge is corrected by people’s labels on the same prompts, or said not to be', async () => {
    const random = createRandom(1)
    const { models, outcomes, prompts, split } = dataset
    const [strong, weak] = [models.indexOf('big-1'), models.indexOf('small-1')]
    const score = (i: number, model: number): number => outcomes!.scores[i * models.length + model]!
    const truth = prompts.map((_, i) => (1 + score(i, strong) - score(i, weak)) / 2)
    const judged = {
      a: 'small-1',
      b: 'big-1',
      prompt: [...truth.keys()],
      // four in ten times for the weak model, whatever the answers
      judged: truth.map((y) => (random.next() < 0.4 ? 1 : 1 - y)),
      human: truth.map((y) => (random.next() < 0.5 ? 1 - y : null)),
      weight: truth.map(() => 1),
    }
    const { quality: by } = await evaluated([first], dataset)
    const report = await evaluated([first], { ...dataset, judged: [judged] })
    const { value, low, high } = report.quality.gap
    expect(low!).toBeLessThan(by.gap.value!)
    expect(high!).toBeGreaterThan(by.gap.value!)
    // what the judge alone would have claimed lies outside
    const alone = truth.flatMap((_, i) =>
      SPLITS[split[i]!] === 'test' ? [1 - 2 * judged.judged[i]!] : [],
    )
    const mean = alone.reduce((sum, one) => sum + one, 0) / alone.length
    expect(mean).toBeLessThan(low!)
    expect(value!).toBeGreaterThan(mean)
    expect(report.labels).toBe('preferences')
    expect(report.warnings.join('\n')).toMatch(/the judge is corrected by 3\d\d labels of people/)
    expect(renderReport(report)).not.toMatch(/NaN|undefined/)
    const elsewhere = judged.human.map((y, i) => (SPLITS[split[i]!] === 'train' ? y : null))
    const short = await evaluated([first], {
      ...dataset,
      judged: [{ ...judged, human: elsewhere }],
    })
    expect(short.quality).toEqual(by)
    expect(short.warnings.join('\n')).toContain(
      'people labelled 0 of these prompts (10 are needed)',
    )
  })

  test('refuses bundles of different pairs, and models that the log does not have', async () => {
    await expect(evaluated([first], dataset, { strong: 'gpt' })).rejects.toThrow(
      'model gpt is not in the log; it has: big-1, small-1',
    )
  })
})

describe('weir diff', () => {
  const diff = (a: TrainResult, b: TrainResult) =>
    diffBundles(a.bundle.path, b.bundle.path, dataset, { seed: 1, replicates: 100 })

  test('a bundle against itself changes nothing', async () => {
    const same = await diff(first, first)
    expect(same.changed.value).toBe(0)
    expect(same.quality).toEqual({ value: 0, low: 0, high: 0 })
    expect(renderDiff(same)).toContain('No prompt changes route.')
  })

  test('agrees with judging each bundle by itself', async () => {
    const [change, report] = [await diff(first, second), await evaluated([first, second], dataset)]
    const [a, b] = report.routers.map((router) => router.operating!)
    expect(change.changed.to_strong + change.changed.to_weak).toBeGreaterThan(0)
    expect(change.quality.value).toBeCloseTo(b!.quality.value! - a!.quality.value!, 9)
    expect(change.dollars_per_1k.value).toBeCloseTo(
      b!.dollars_per_1k.value! - a!.dollars_per_1k.value!,
      6,
    )
    expect((change.changed.to_strong - change.changed.to_weak) / change.rows).toBeCloseTo(
      b!.strong_share.value! - a!.strong_share.value!,
      9,
    )
    expect(change.apgr.value).toBeCloseTo(-report.comparisons[0]!.value!, 9)
    expect(
      change.prompts.every(
        (row, i, all) => i === 0 || Math.min(0, all[i - 1]!.gain) <= Math.min(0, row.gain),
      ),
    ).toBe(true)
  })
})

describe('weir check', () => {
  const check = async (lines: object[]) => {
    const path = join(folder, 'golden.jsonl')
    await writeFile(path, lines.map((line) => JSON.stringify(line)).join('\n'))
    const router = await loadRouter(first.bundle.path)
    try {
      return await checkGolden(router, await readGolden(path))
    } finally {
      await router.close()
    }
  }
  const row = (wanted: 1 | -1) => {
    const at = Array.from(dataset.prompts.keys()).find(
      (i) => dataset.outcomes!.scores[2 * i]! - dataset.outcomes!.scores[2 * i + 1]! === wanted,
    )!
    return dataset.prompts[at]!
  }

  test('expectations and bounds pass or fail one by one, with the win rate and the line', async () => {
    const router = await loadRouter(first.bundle.path)
    const decision = await router.route({ prompt: row(1) })
    await router.close()
    const other = decision.model === 'big-1' ? 'small-1' : 'big-1'
    const share = decision.model === 'big-1' ? 1 : 0
    const result = await check([
      { prompt: row(1), expect: decision.model, category: 'one' },
      { prompt: row(1), expect: other, id: 'wrong' },
      { prompt: row(1), min_win_rate: 0, max_win_rate: 1 },
      { bounds: { max_strong_share: share, min_strong_share: share } },
      { bounds: { max_strong_share: 0, min_strong_share: 1 }, category: 'one' },
    ])
    expect(result.cases.map(({ failure }) => failure === undefined)).toEqual([
      true,
      false,
      true,
      true,
      true,
      share === 0,
      share === 1,
    ])
    const failure = result.cases[1]!
    expect(failure).toMatchObject({ name: 'wrong', line: 2 })
    expect(failure.failure).toContain(`expected ${other}, got ${decision.model} (win rate`)
    const junit = renderJunit(result)
    expect(junit).toContain('tests="7" failures="2"')
    expect(junit).toContain('name="wrong"')
  })

  test('min_pgr is measured on the prompts with scores', async () => {
    const scores = { 'big-1': 1, 'small-1': 0 }
    const prompts = [row(1), row(-1)].map((prompt) => ({ prompt, scores }))
    const passed = await check([...prompts, { bounds: { min_pgr: 0 } }])
    expect(passed.failed).toBe(0)
    const failed = await check([...prompts, { bounds: { min_pgr: 1.01 } }])
    expect(failed.cases[0]!.failure).toMatch(/^PGR \d\.\d+ \[.*\] on 2 prompts with scores$/)
  })

  test.each([
    [
      { prompt: 'a', expect: 'nobody' },
      'golden.jsonl:1: expect: expected strong, weak, big-1 or small-1, got nobody',
    ],
    [{ prompt: '' }, /golden\.jsonl:1: prompt: /],
    [
      { prompt: 'a', exspect: 'weak' },
      'golden.jsonl:1: exspect: expected no such field, got "weak"',
    ],
    [{ bounds: { max_strong_share: 2 } }, /golden\.jsonl:1: bounds\.max_strong_share: /],
  ])('refuses %j, naming the line and the field', async (line, message) => {
    await expect(check([line, { prompt: 'ok' }])).rejects.toThrow(message)
  })
})

describe('the commands', () => {
  const run = async (command: Command, args: string[]) => {
    const written: string[] = []
    const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.push(String(text))
      return true
    })
    try {
      await command.exitOverride().parseAsync(args, { from: 'user' })
    } finally {
      spy.mockRestore()
    }
    const exit = process.exitCode
    process.exitCode = undefined
    return { exit, text: written.join('') }
  }
  const LOG = 'data/sample/outcomes.jsonl.gz'

  test('weir evaluate --json prints one object with the promised shape, and --report a page', async () => {
    const page = join(folder, 'report.html')
    const { text } = await run(evaluateCommand(), [
      first.bundle.path,
      LOG,
      ...['--json', '--replicates', '50', '--report', page],
    ])
    const report = JSON.parse(text)
    expect(report.rows).toBe(dataset.manifest.counts.test)
    expect(report.routers[0]).toMatchObject({
      name: 'first',
      apgr: { value: expect.any(Number), low: expect.any(Number), high: expect.any(Number) },
      cpt: { 20: expect.any(Number), 50: expect.any(Number), 80: expect.any(Number) },
    })
    for (const name of ['random', 'prompt_length', 'oracle', 'category_prior', 'knn']) {
      expect(report.baselines[name].apgr.value).toBeGreaterThan(0.4)
    }
    expect(await readFile(page, 'utf8')).toContain('first on')
  })

  test('weir check exits 1 where a rule is broken and 0 where none is', async () => {
    const path = join(folder, 'rules.jsonl')
    const junit = join(folder, 'check.xml')
    await writeFile(path, '{"prompt": "hi"}\n{"bounds": {"min_strong_share": 0}}')
    expect((await run(checkCommand(), [first.bundle.path, path])).exit).toBeUndefined()
    await writeFile(path, '{"prompt": "hi", "max_win_rate": 0, "id": "low"}')
    const broken = await run(checkCommand(), [first.bundle.path, path, '--junit', junit])
    expect(broken.exit).toBe(1)
    expect(broken.text).toMatch(/failed {2}.*rules\.jsonl:1 {2}low/)
    expect(await readFile(junit, 'utf8')).toContain('failures="1"')
  })

  test('weir diff prints Markdown', async () => {
    const { text } = await run(diffCommand(), [
      first.bundle.path,
      second.bundle.path,
      LOG,
      ...['--replicates', '50'],
    ])
    expect(text).toMatch(/^## first -> second: \d+\.\d% of \d+ prompts change route\n/)
    expect(text).toContain('| mean score ')
  })
})

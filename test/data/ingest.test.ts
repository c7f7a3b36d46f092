import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openDataset } from '../../data/dataset/dataset.ts'
import { unratedAnswers } from '../../data/dataset/manifest.ts'
import { ingest, readLogs } from '../../data/ingest.ts'
import { gzip, jsonl, refusal, scratch } from './scratch.ts'

const vote = (prompt: string, winner = 'a', more: object = {}): object => ({
  prompt,
  model_a: 'big',
  model_b: 'small',
  winner,
  ...more,
})

async function read(name: string, content: string | Uint8Array, options: object = {}) {
  const folder = await scratch({ [name]: content })
  const rejectsPath = join(folder, 'rejects.jsonl')
  return readLogs([join(folder, name)], { seed: 1, rejectsPath, maxRejects: 1, ...options })
}

describe('ingest', () => {
  test('keeps every preference, repeated votes too, and each prompt once', async () => {
    const rows = [vote('one'), vote('two', 'model_b'), vote('one', 'tie (bothbad)'), vote('one')]
    const data = await read('log.jsonl', jsonl(rows))
    expect(data.prompts).toEqual(['one', 'two'])
    expect(data.models).toEqual(['big', 'small'])
    expect([...data.preferences!.prompt]).toEqual([0, 1, 0, 0])
    expect([...data.preferences!.label]).toEqual([1, 0, 0.5, 1])
    expect([...data.preferences!.bothBad]).toEqual([0, 0, 1, 0])
    expect(data.manifest.rows).toEqual({ read: 4, kept: 4, rejected: 0, duplicates: 0 })
  })

  test('knows models by number in sorted order, whichever came first', async () => {
    const rows = [
      { prompt: 'x', model_a: 'zeta', model_b: 'alpha', winner: 'a' },
      { prompt: 'x', model_a: 'mid', model_b: 'zeta', winner: 'b' },
    ]
    const data = await read('log.jsonl', jsonl(rows))
    expect(data.models).toEqual(['alpha', 'mid', 'zeta'])
    expect([...data.preferences!.modelA]).toEqual([2, 1])
    expect([...data.preferences!.modelB]).toEqual([0, 2])
  })

  test('keeps more votes than memory is used for in their order, and leaves no other file', async () => {
    const names = ['zeta', 'alpha', 'mid']
    const votes = 70_000
    const rows = Array.from({ length: votes }, (_, i) => {
      const [model_a, model_b] = [names[i % 3], names[(i + 1) % 3]]
      return { prompt: `p${i % 40}`, model_a, model_b, winner: i % 4 === 0 ? 'a' : 'b' }
    })
    const folder = await scratch({ 'log.jsonl': jsonl(rows) })
    const out = join(folder, 'set')
    const { models } = await ingest([join(folder, 'log.jsonl')], { out, seed: 1 })
    expect(models.map(({ votes }) => votes)).toEqual([46_667, 46_667, 46_666])
    expect(await readdir(out)).not.toContain('preferences.part')
    const { preferences } = await openDataset(out)
    const wrong = Array.from({ length: votes }, (_, i) => i).filter((i) => {
      const expected = [i % 40, [2, 0, 1][i % 3], [2, 0, 1][(i + 1) % 3], i % 4 === 0 ? 1 : 0]
      const { prompt, modelA, modelB, label } = preferences!
      return [prompt[i], modelA[i], modelB[i], label[i]].some((got, at) => got !== expected[at])
    })
    expect(wrong).toEqual([])
    expect(preferences!.prompt).toHaveLength(votes)
  })

  test('averages the scores of a prompt that an outcome log repeats, and leaves gaps as gaps', async () => {
    const rows = [
      { prompt: 'p', scores: { big: 1, small: 0 }, costs: { big: 2 }, category: 'maths' },
      { prompt: 'p', scores: { big: 0, small: null } },
      { prompt: 'q', scores: { big: 0.25 }, tokens: { big: 7 } },
    ]
    const data = await read('log.jsonl', jsonl(rows))
    expect([...data.outcomes!.scores]).toEqual([0.5, 0, 0.25, Number.NaN])
    expect([...data.outcomes!.costs!]).toEqual([2, Number.NaN, Number.NaN, Number.NaN])
    expect([...data.outcomes!.tokens!]).toEqual([Number.NaN, Number.NaN, 7, Number.NaN])
    expect(data.categories).toEqual(['maths', undefined])
  })

  test('reads a RouteLLM outcome table, plain and gzipped alike', async () => {
    const csv = 'prompt,category,weak/m,strong-m\n"Two\nlines",maths,True,False\nplain,code,0.25,\n'
    for (const [name, content] of [
      ['t.csv', csv],
      ['t.csv.gz', gzip(csv)],
    ] as const) {
      const data = await read(name, content)
      expect(data.prompts).toEqual(['Two\nlines', 'plain'])
      expect(data.models).toEqual(['strong-m', 'weak/m'])
      expect([...data.outcomes!.scores]).toEqual([0, 1, Number.NaN, 0.25])
      expect(data.categories).toEqual(['maths', 'code'])
    }
  })

  test('renders chat messages as serving does, so the same words are the same prompt', async () => {
    const rows = [vote('hello'), vote('x', 'b', { prompt: [{ role: 'user', content: 'hello' }] })]
    expect((await read('log.jsonl', jsonl(rows))).prompts).toEqual(['hello'])
  })

  test('drops only rows with an id met before, and counts them', async () => {
    const rows = [vote('a', 'a', { id: 1 }), vote('b', 'a', { id: '1' }), vote('c', 'a', { id: 2 })]
    const { manifest } = await read('log.jsonl', jsonl(rows))
    expect(manifest.rows).toEqual({ read: 3, kept: 2, rejected: 0, duplicates: 1 })
  })

  test('writes each bad row to the rejects file with its file, line, field and reason', async () => {
    const lines = [
      JSON.stringify(vote('good')),
      JSON.stringify(vote('  ')),
      JSON.stringify(vote('x', 'A wins')),
      JSON.stringify({ prompt: 'x', model_a: 'm', model_b: 'm', winner: 'a' }),
      '{"prompt": "x", "scores": {}}',
      JSON.stringify({ prompt: 'x', scores: { m: 1.5 } }),
      JSON.stringify(vote('x'.repeat(10_000_000))),
      '[1]',
    ]
    const folder = await scratch({ 'log.jsonl': lines.join('\n') })
    const path = join(folder, 'log.jsonl')
    const rejectsPath = join(folder, 'bad.jsonl')
    const out = join(folder, 'dataset')
    const { manifest } = await ingest([path], { out, seed: 1, maxRejects: 1, rejectsPath })
    expect(manifest.rows).toEqual({ read: 8, kept: 1, rejected: 7, duplicates: 0 })
    const rejects = (await readFile(rejectsPath, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rejects.map(({ line, field }) => [line, field])).toEqual([
      [2, 'prompt'],
      [3, 'winner'],
      [4, 'model_b'],
      [5, 'scores'],
      [6, 'scores.m'],
      [7, 'prompt'],
      [8, '(line)'],
    ])
    expect(rejects.every(({ file, reason }) => file === path && reason.length > 10)).toBe(true)
    expect(rejects[5].reason).toContain('10000000')
  })

  test('counts answers that nobody has rated yet, and averages ratings by their weights', async () => {
    const lines = [
      '{"prompt": "x", "scores": {"m": NaN}}',
      JSON.stringify({ prompt: 'y', scores: { m: null, n: null } }),
      JSON.stringify({ prompt: 'z', scores: null }),
      JSON.stringify({ prompt: 'a', scores: { m: 1, n: null } }),
      JSON.stringify({ prompt: 'a', scores: { m: 0 }, weight: 0.25 }),
    ]
    const dataset = await read('log.jsonl', lines.join('\n'))
    expect(dataset.manifest.rows).toMatchObject({ read: 5, kept: 2, rejected: 0, left_out: 3 })
    expect(unratedAnswers(dataset.manifest)).toBe(3)
    // whose answer has no rating is known where one model is named
    expect([dataset.models, dataset.prompts]).toEqual([['m'], ['x', 'a']])
    expect([...dataset.outcomes!.scores]).toEqual([Number.NaN, Math.fround(0.8)])
    expect([...dataset.outcomes!.unrated!]).toEqual([1, Number.NaN])
    const long = 'prompt,model,thumbs,weight\na,m,up,1\na,m,down,3\nb,m,,1\n'
    const table = await read('log.csv', long)
    expect([...table.outcomes!.scores]).toEqual([0.25, Number.NaN])
    expect([...table.outcomes!.unrated!]).toEqual([Number.NaN, 1])
    expect(table.manifest.left_out).toEqual({ 'no score': 1 })
  })

  test('a rating that comes later under the id of an unrated answer counts', async () => {
    const lines = [
      { id: 'r1', prompt: 'x', scores: { m: null } },
      { id: 'r2', prompt: 'y', scores: { m: null } },
      { id: 'r1', prompt: 'x', scores: { m: 1 } },
    ]
    const { outcomes, manifest } = await read(
      'log.jsonl',
      lines.map((l) => JSON.stringify(l)).join('\n'),
    )
    expect([...outcomes!.scores]).toEqual([1, Number.NaN])
    expect(manifest.rows).toMatchObject({ read: 3, kept: 1, duplicates: 0, left_out: 2 })
  })

  test('takes NaN for no score, and refuses others out of range, at the line the record starts on', async () => {
    const csv =
      'prompt,m,n\r\n"a\r\nb\r\nc",True,False\r\nd,NaN,True\r\n"e\r\nf",True,7\r\ng,x,1\r\n'
    const folder = await scratch({ 't.csv': csv })
    const rejectsPath = join(folder, 'bad.jsonl')
    await readLogs([join(folder, 't.csv')], { seed: 1, maxRejects: 1, rejectsPath })
    const rejects = (await readFile(rejectsPath, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rejects.map(({ line, field }) => [line, field])).toEqual([
      [6, 'n'],
      [8, 'm'],
    ])
  })

  test('stops past --max-rejects, names the first, and leaves no dataset', async () => {
    const rows = [...Array(50).keys()].map((i) => vote(`p${i}`, i === 30 ? 'nobody' : 'a'))
    const folder = await scratch({ 'log.jsonl': jsonl(rows) })
    const out = join(folder, 'dataset')
    const error = await refusal(
      ingest([join(folder, 'log.jsonl')], { out, seed: 1 }),
      'too_many_rejects',
    )
    expect(error.message).toContain('1 of 50')
    expect(error.message).toContain('log.jsonl:31: winner')
    expect((await readdir(folder)).sort()).toEqual(['dataset.rejects.jsonl', 'log.jsonl'])
  })

  test('writes the same bytes from the same logs and seed', async () => {
    const rows = [...Array(300).keys()].map((i) => vote(`prompt number ${i % 250}`))
    const folder = await scratch({ 'log.jsonl': jsonl(rows) })
    const path = join(folder, 'log.jsonl')
    await ingest([path], { out: join(folder, 'one'), seed: 7 })
    await ingest([path], { out: join(folder, 'two'), seed: 7 })
    for (const name of await readdir(join(folder, 'one'))) {
      expect(await readFile(join(folder, 'one', name))).toEqual(
        await readFile(join(folder, 'two', name)),
      )
    }
  })

  test('replaces an older dataset but never a folder that holds something else', async () => {
    const folder = await scratch({ 'log.jsonl': jsonl([vote('a')]) })
    const path = join(folder, 'log.jsonl')
    const out = join(folder, 'dataset')
    await ingest([path], { out, seed: 1 })
    await ingest([path], { out, seed: 2 })
    expect((await openDataset(out)).manifest.split.seed).toBe(2)
    await refusal(ingest([path], { out: folder, seed: 1 }), 'option_invalid')
  })
})

describe('ingest says in one line what is wrong with', () => {
  test('a file that is not there', async () => {
    expect(
      (await refusal(readLogs(['/no/such.jsonl'], { seed: 1 }), 'file_not_found')).message,
    ).toContain('/no/such.jsonl')
  })

  test('a gzip that ends early', async () => {
    const whole = gzip(jsonl([...Array(2000).keys()].map((i) => vote(`prompt ${i * 7919}`))))
    for (const cut of [20, whole.length >> 1, whole.length - 3]) {
      await refusal(read('log.jsonl.gz', whole.subarray(0, cut)), 'file_truncated')
    }
  })

  test('a table without its prompt column, or a preference log without its winner', async () => {
    const table = await refusal(read('t.csv', 'question,m1,m2\nx,True,False\n'), 'column_missing')
    expect(table.message).toMatch(/column prompt in .*t\.csv, got question/)
    const log = await refusal(read('p.csv', 'prompt,model_a,model_b\nx,m,n\n'), 'column_missing')
    expect(log.message).toContain('column winner')
  })

  test('a file of no known layout', async () => {
    const error = await refusal(read('t.csv', 'prompt,weight_kg\nx,70\n'), 'format_unknown')
    expect(error.message).toContain('prompt, weight_kg')
  })
})

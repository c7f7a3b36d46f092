import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { ingest, readLogs } from '../../data/ingest.ts'
import { definePreset } from '../../data/readers/preset.ts'
import { compileExpression } from '../../data/rows/expression.ts'
import { compileMapping, rowsAt } from '../../data/rows/mapping.ts'
import { createPlacer } from '../../data/rows/placer.ts'
import type { LogRow, RawRecord } from '../../data/rows/reader.ts'
import { largeDocument } from '../../data/source/json-document.ts'
import { jsonl, refusal, scratch } from './scratch.ts'

const RECORD = {
  question: 'flat',
  'metrics.accuracy': 0.25,
  'm|cost': 3,
  doc: { question: 'deep', 'a.b': 'dotted' },
  metrics: [{ value: 0.5 }, { value: 1 }],
  scores: [
    { name: 'speed', value: 0 },
    { name: 'helpful', value: 0.75 },
  ],
  graded: { exact: { value: 'C' }, fuzzy: { value: 'I' } },
  cell: '{"messages": [{"role": "user", "content": "in text"}]}',
  chosen: ['acc'],
  acc: 0.9,
  empty: '',
}
const DOCUMENT = { eval: { model: 'whole' }, samples: [RECORD] }

function evaluated(text: string, more: object = {}): unknown {
  const facts = { path: 'runs/gpt-4o/results.jsonl.gz', beside: { name: 'x' }, ...more }
  const joined = { value: 0.3 }
  return compileExpression(text, facts).value({ record: RECORD, document: DOCUMENT, joined })
}

describe('an expression', () => {
  test.each([
    ['question', 'flat'],
    ['doc.question', 'deep'],
    ['doc["a.b"]', 'dotted'],
    ['metrics[0].value', 0.5],
    ['metrics[-1].value', 1],
    ['metrics.accuracy', 0.25],
    ['m|cost', 3],
    ['scores[name=helpful].value', 0.75],
    ['graded.*first.value', 'C'],
    ['metrics[0].*', 0.5],
    ['cell.messages[0].content', 'in text'],
    ['$.eval.model', 'whole'],
    ['empty|nothing|doc.question', 'deep'],
    ['nothing|empty', ''],
    ["'gpt-4o'", 'gpt-4o'],
    ['"a|b"', 'a|b'],
    ["nothing|'else'", 'else'],
    ['@file', 'results'],
    ['@folder', 'gpt-4o'],
    ['@folder[1]', 'runs'],
    ['@named:chosen[0]', 0.9],
    ['@scores.value', 0.3],
    ['@beside.name', 'x'],
    ['nothing', undefined],
    ['doc.nothing.more', undefined],
    ['__proto__.polluted', undefined],
  ])('%s is %j', (text, value) => {
    expect(evaluated(text)).toBe(value)
  })

  test('takes the score that --score-name names', () => {
    expect(evaluated('graded.*.value', { scoreName: 'fuzzy' })).toBe('I')
    expect(evaluated('scores.*.value', { scoreName: 'helpful' })).toBe(0.75)
  })

  test('asks which score counts where a row or a file has several', async () => {
    const several = (async () => evaluated('scores.*.value'))()
    expect((await refusal(several, 'option_invalid')).message).toContain('speed, helpful')
    const { value } = compileExpression('scores.*', { path: 'log.jsonl' })
    const scored = (scores: object) => value({ record: { scores }, document: {} })
    expect(scored({ polite: null, brief: { value: null }, helpful: 0.5 })).toBe(0.5)
    const other = (async () => scored({ polite: 1 }))()
    expect((await refusal(other, 'option_invalid')).message).toContain('log.jsonl: helpful, polite')
  })

  test.each(['@nothing', 'a..b', '[0', 'a|', '@folder[x]'])('%s is refused', async (text) => {
    const error = await refusal((async () => evaluated(text))(), 'option_invalid')
    expect(error.message).toContain(text)
  })
})

test('rows are found through the lists on the way, and in text that holds JSON', () => {
  const spans = { resource: [{ scope: [{ spans: [1, 2] }, { spans: [3] }] }, { scope: [] }] }
  expect(rowsAt(spans, 'resource.scope.spans')).toEqual([1, 2, 3])
  expect(rowsAt({ results: '[{"a":1}]' }, 'results')).toEqual([{ a: 1 }])
  expect(rowsAt({ one: { a: 1 } }, 'one')).toEqual([{ a: 1 }])
  expect(rowsAt({ results: [] }, 'results')).toEqual([])
  expect(rowsAt({ results: {} }, 'results.results')).toBeUndefined()
})

const ITEMS = [...Array(40).keys()].map((i) => ({
  vars: { question: `what is ${i}` },
  verdict: { pass: i % 4 !== 0, kind: i === 7 ? 'error' : 'answer' },
  usage: { completion: 10 + i },
}))
const FIELDS = { prompt: 'vars.question', score: 'verdict.pass', tokens: 'usage.completion' }

describe('ingest with a mapping', () => {
  test('reads the rows of a list in a document, of the model that the folder is called', async () => {
    const folder = await scratch()
    for (const model of ['big', 'small']) {
      await mkdir(join(folder, model))
      const text = JSON.stringify({ version: 3, results: { results: ITEMS } }, null, 2)
      await writeFile(
        join(folder, model, 'results.json'),
        text.replace('"version": 3', `"version": "${model}"`),
      )
    }
    const mapping = {
      rows: 'results.results',
      fields: { ...FIELDS, model: '@folder' },
      except: { 'verdict.kind': 'error' },
    }
    const data = await readLogs([folder], { seed: 1, mapping })
    expect(data.models).toEqual(['big', 'small'])
    expect(data.prompts).toHaveLength(39)
    expect([...data.outcomes!.scores.subarray(0, 4)]).toEqual([0, 0, 1, 1])
    expect(data.outcomes!.tokens![0]).toBe(10)
    expect(data.manifest.rows).toEqual({
      read: 80,
      kept: 78,
      rejected: 0,
      duplicates: 0,
      left_out: 2,
    })
    expect(data.manifest.left_out).toEqual({ 'verdict.kind is error': 2 })
  })

  test('names the item of a list that is refused', async () => {
    const bad = ITEMS.map((item, i) => (i === 4 ? { ...item, verdict: { pass: 'maybe' } } : item))
    const folder = await scratch({ 'r.json': JSON.stringify({ list: [...bad, 3] }) })
    const rejectsPath = join(folder, 'bad.jsonl')
    const mapping = { rows: 'list', fields: { ...FIELDS, model: "'big'" } }
    await readLogs([join(folder, 'r.json')], { seed: 1, rejectsPath, maxRejects: 1, mapping })
    const rejects = (await readFile(rejectsPath, 'utf8')).trim().split('\n')
    expect(rejects.map((line) => JSON.parse(line)).map(({ line, item }) => [line, item])).toEqual([
      [1, 5],
      [1, 41],
    ])
  })

  test('joins scores from another file by a key, averages them, and counts rows without one', async () => {
    const calls = ITEMS.map(({ vars }, i) => ({
      trace_id: `t${i}`,
      input: vars.question,
      model: i % 2 ? 'big' : 'small',
    }))
    const votes = calls.slice(0, 30).flatMap(({ trace_id }, i) => [
      { trace: trace_id, name: 'helpful', value: i % 3 === 0 ? 0 : 1 },
      { trace: trace_id, name: 'helpful', value: 1 },
      { trace: trace_id, name: 'polite', value: 0 },
    ])
    const folder = await scratch({ 'calls.jsonl': jsonl(calls), 'votes.jsonl': jsonl(votes) })
    const options = {
      seed: 1,
      mapping: { fields: {}, on: ['trace_id'] },
      scores: { path: join(folder, 'votes.jsonl'), on: 'trace_id=trace' },
    }
    const read = (more: object) => readLogs([join(folder, 'calls.jsonl')], { ...options, ...more })
    const data = await read({ scoreName: 'helpful' })
    expect(data.manifest.rows).toMatchObject({ read: 40, kept: 30, left_out: 10 })
    expect(data.outcomes!.scores[1]).toBe(0.5)
    expect(data.manifest.sources.map(({ format }) => format)).toEqual(['scores', 'long'])
    expect((await refusal(read({}), 'option_invalid')).message).toContain('helpful, polite')
  })

  test('stops where no row can be used, and says why', async () => {
    const rows = ITEMS.map(({ vars }) => ({ prompt: vars.question, model: 'm', score: null }))
    const folder = await scratch({ 'l.jsonl': jsonl(rows) })
    const read = ingest([join(folder, 'l.jsonl')], { out: join(folder, 'd'), seed: 1 })
    expect((await refusal(read, 'rows_too_few')).message).toContain('40 no score')
  })

  test('refuses a path that no row has', async () => {
    const folder = await scratch({ 'l.jsonl': jsonl(ITEMS) })
    const map = new Map([
      ['prompt', 'vars.text'],
      ['model', "'m'"],
      ['score', 'verdict.pass'],
    ])
    const read = readLogs([join(folder, 'l.jsonl')], { seed: 1, map })
    expect((await refusal(read, 'column_missing')).message).toContain('vars.text (for prompt)')
  })
})

test('a preset is a mapping and a recogniser: its records are mapped before they are read', () => {
  const preset = definePreset({
    name: 'tool',
    mapping: {
      rows: 'samples',
      fields: {
        prompt: 'q',
        model: '$.eval.model',
        score: 'scores.*.value',
        category: '$.eval.task',
      },
      values: { score: { C: 1, P: 0.5, I: 0 } },
    },
    recognises: (columns) => columns.has('samples'),
  })
  const place = createPlacer(preset, {
    path: 'f.json',
    format: 'tool',
    columns: new Set(['samples']),
    sample: [],
    groupBy: 'who',
  })
  const rows: unknown[] = []
  const samples = [
    { q: 'one', scores: { exact: { value: 'C' } }, who: 'ann' },
    { q: 'two', scores: { exact: { value: 'P' } } },
    { q: 'three', scores: {} },
  ]
  const record: RawRecord = { eval: { model: 'm', task: 't' }, samples }
  place({ record, line: 1 }, (row) => {
    const { kind, scores, group, category } = row as LogRow & { kind: 'outcome' }
    rows.push([kind, scores && [...scores], group, category])
  })
  expect(rows).toEqual([
    ['outcome', [['m', 1]], 'ann', 't'],
    ['outcome', [['m', 0.5]], undefined, 't'],
    ['left_out', undefined, undefined, undefined],
  ])
})

describe('a JSON document that is not held', () => {
  const rows = ITEMS.map(({ vars, verdict, usage }, i) => ({
    ...{ verdict, usage, score: i % 3 === 0 ? Number.NaN : 1 },
    vars: { question: `${vars.question} "}],{[\\" \\\\` },
  }))
  // 400 rows in lists on the way, with what they need of the document before and after them
  const parts = [...Array(10).keys()].map((part) => ({
    part,
    list: rows.map((row) => ({ ...row, vars: { question: `${part}: ${row.vars.question} é` } })),
  }))
  const mapping = {
    rows: 'runs.list',
    fields: { ...FIELDS, model: '$.eval.model', category: '$.after.task' },
  }
  const document = { eval: { model: 'big' }, runs: parts, unused: rows, after: { task: 'sums' } }
  const documentBytes = 2000

  test.each([
    ['in one line', JSON.stringify(document)],
    ['indented', JSON.stringify(document, null, 2)],
    ['with a byte order mark', `\uFEFF${JSON.stringify(document)}\n`],
    ['compressed', gzipSync(JSON.stringify(document))],
  ])('gives the rows of one that is held, %s', async (_, content) => {
    const folder = await scratch({ 'r.json': content })
    const read = (bytes?: number) =>
      readLogs([join(folder, 'r.json')], { seed: 1, mapping, documentBytes: bytes })
    const [held, streamed] = [await read(), await read(documentBytes)]
    expect(streamed.manifest).toEqual(held.manifest)
    expect(streamed.manifest.rows.kept).toBe(400)
    expect([...streamed.prompts]).toEqual([...held.prompts])
    expect(streamed.outcomes).toEqual(held.outcomes)
  })

  test('refuses single rows by line and item, and reads NaN', async () => {
    const lines = ['{"list": [', '{"q": "a", "s": 1},', '3,', '{"q": "b", "s": NaN},']
    lines.push(...[...Array(200).keys()].map((i) => `{"q": "question ${i}", "s": 1},`))
    lines.push('{"q": "c", s},', '{"q": "d", "s": 0}', ']}')
    const folder = await scratch({ 'r.json': lines.join('\n') })
    const rejectsPath = join(folder, 'bad.jsonl')
    const fields = { prompt: 'q', model: "'big'", score: 's' }
    const data = await readLogs([join(folder, 'r.json')], {
      ...{ seed: 1, rejectsPath, maxRejects: 1, documentBytes },
      mapping: { rows: 'list', fields },
    })
    expect(data.manifest.rows).toMatchObject({ kept: 202, rejected: 2, left_out: 1 })
    const rejects = (await readFile(rejectsPath, 'utf8')).trim().split('\n')
    expect(rejects.map((line) => JSON.parse(line)).map(({ line, field }) => [line, field])).toEqual(
      [
        [3, 'list[1]'],
        [205, 'list[203]'],
      ],
    )
  })

  test.each([
    ['that ends early', (text: string) => text.slice(0, -3), 'ends inside the JSON document'],
    [
      'that is no JSON beside its rows',
      (text: string) => text.replace('"after":', '"after"'),
      'JSON',
    ],
    ['with more after it', (text: string) => `${text}{}`, 'more after it'],
  ])('refuses one %s', async (_, change, expected) => {
    const folder = await scratch({ 'r.json': change(JSON.stringify(document)) })
    const work = readLogs([join(folder, 'r.json')], { seed: 1, mapping, documentBytes })
    expect((await refusal(work, 'file_unreadable')).message).toContain(expected)
  })

  test('read once refuses fields that stand after the rows that need them', async () => {
    const bytes = Buffer.from(JSON.stringify(document))
    const open = async function* () {
      yield bytes
    }
    const compiled = compileMapping(mapping, { path: '-' })
    const list = { path: 'runs.list', columns: undefined, facts: compiled.documentFacts }
    const table = largeDocument('-', bytes.subarray(0, 8000), { open, once: true }, () => {
      throw new Error('not a list')
    })!
    const read = async () => {
      for await (const _ of table.records(undefined, list));
    }
    const { message } = await refusal(read(), 'file_unreadable')
    expect(message).toContain('after their list at runs.list')
  })

  test('of no known layout is answered with the list that it holds', async () => {
    const folder = await scratch({ 'r.json': JSON.stringify(document) })
    const work = readLogs([join(folder, 'r.json')], { seed: 1, documentBytes })
    expect((await refusal(work, 'column_missing')).message).toContain('--rows')
  })
})

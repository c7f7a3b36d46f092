import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as arrow from 'apache-arrow'
import { describe, expect, test } from 'vitest'
import { ingest, readLogs } from '../../data/ingest.ts'
import { isMissing, promptCell, timeCell } from '../../data/rows/cell.ts'
import { csvDialect } from '../../data/source/csv.ts'
import { expandPaths } from '../../data/source/expand-paths.ts'
import { decodeLz4Frames } from '../../data/source/lz4.ts'
import { gzip, jsonl, refusal, scratch } from './scratch.ts'

const ROWS = [...Array(40).keys()].map((i) => ({
  prompt: `prompt ${i}; it's "quoted", and more`,
  model_a: 'big',
  model_b: 'small',
  winner: i % 3 === 0 ? 'a' : 'b',
}))
const NAMES = ['prompt', 'model_a', 'model_b', 'winner'] as const

/** Reads one file and gives its prompts' labels, or fails. */
async function labels(name: string, content: string | Uint8Array, options: object = {}) {
  const folder = await scratch({ [name]: content })
  const rejectsPath = join(folder, 'rejects.jsonl')
  const data = await readLogs([join(folder, name)], { seed: 1, rejectsPath, ...options })
  return [data.prompts, [...data.preferences!.label]]
}
const EXPECTED = [ROWS.map((row) => row.prompt), ROWS.map(({ winner }) => (winner === 'a' ? 1 : 0))]

describe('CSV as programs save it', () => {
  const cell = (text: string): string => `"${text.replace(/"/g, '""')}"`
  const csv = (delimiter: string, header: string): string =>
    [header, ...ROWS.map((row) => NAMES.map((name) => cell(row[name])).join(delimiter))].join(
      '\r\n',
    )
  test.each([
    ['semicolons and a byte order mark', `\ufeff${csv(';', 'prompt;model_a;model_b;winner')}`],
    ['pipes', csv('|', 'prompt|model_a|model_b|winner')],
    ['tabs', csv('\t', 'prompt\tmodel_a\tmodel_b\twinner')],
    ['sep=; before the header', `sep=;\r\n${csv(';', 'prompt;model_a;model_b;winner')}`],
    ['a quoted header', csv(';', '"prompt";"model_a";"model_b";"winner"')],
    ['blanks in the header', csv(',', ' prompt , model_a,model_b ,winner')],
    ['capitals in the header', csv(',', 'Prompt,Model A,MODEL_B,Winner')],
  ])('%s', async (_, text) => {
    expect(await labels('t.csv', text)).toEqual(EXPECTED)
  })

  test('lines are counted from the start of the file, with sep= too', async () => {
    const text = 'sep=;\nprompt;model_a;model_b;winner\nx;m;n;a\ny;m;n;nobody\n'
    const folder = await scratch({ 't.csv': text })
    const rejectsPath = join(folder, 'bad.jsonl')
    await readLogs([join(folder, 't.csv')], { seed: 1, maxRejects: 1, rejectsPath })
    expect(JSON.parse(await readFile(rejectsPath, 'utf8'))).toMatchObject({ line: 4 })
  })

  test('the separator is the one outside quotes', () => {
    expect(csvDialect('"a;b;c",d,e\n').delimiter).toBe(',')
    expect(csvDialect('sep=|\na|b').before).toBe(1)
  })

  test('a decimal comma is read where it can be no other', async () => {
    const folder = await scratch({ 't.csv': 'prompt;m;n\nx;0,75;1\ny;0;0,5\n' })
    const data = await readLogs([join(folder, 't.csv')], { seed: 1 })
    expect([...data.outcomes!.scores]).toEqual([0.75, 1, 0, 0.5])
  })
})

describe('Arrow', () => {
  const table = arrow.tableFromArrays(
    Object.fromEntries(NAMES.map((name) => [name, ROWS.map((row) => row[name])])),
  )
  test.each(['file', 'stream'] as const)('as a %s', async (kind) => {
    expect(await labels('t.arrow', arrow.tableToIPC(table, kind))).toEqual(EXPECTED)
  })
  test('a stream that is cut is refused', async () => {
    const cut = arrow.tableToIPC(table, 'stream').slice(0, 900)
    await refusal(labels('t.arrow', cut), 'file_unreadable')
  })

  /** `abcabcabc...`: 3 literals and a match that overlaps itself; then a block that refers to the one before. */
  const frame = (...blocks: readonly (readonly number[])[]): Uint8Array =>
    Uint8Array.from([
      ...[0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0],
      ...blocks.flatMap((block) => [block.length, 0, 0, 0, ...block]),
      ...[0, 0, 0, 0],
    ])
  test('LZ4 frames are decoded, with blocks that refer to earlier ones', () => {
    const first = [0x35, 0x61, 0x62, 0x63, 3, 0, 0x10, 0x64]
    const linked = [0x00, 4, 0, 0x10, 0x65]
    const skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]
    const bytes = Uint8Array.from([...skippable, ...frame(first, linked)])
    expect(Buffer.from(decodeLz4Frames(bytes)).toString()).toBe('abcabcabcabcdabcde')
    expect(() => decodeLz4Frames(frame(first).slice(0, -9))).toThrow('early')
    expect(() => decodeLz4Frames(frame([0x00, 9, 0, 0x10, 0x65]))).toThrow('before its start')
  })
})

test('gzip of several members, with zeros behind them', async () => {
  const [a, b] = [jsonl(ROWS.slice(0, 9)), jsonl(ROWS.slice(9))].map(gzip)
  expect(await labels('l.jsonl.gz', Buffer.concat([a!, b!, Buffer.alloc(512)]))).toEqual(EXPECTED)
})

describe('a time', () => {
  const second = Date.UTC(2026, 1, 20, 10, 30) / 1000
  test.each([
    [second, second],
    [second * 1e3, second],
    [second * 1e6, second],
    [second * 1e9, second],
    [BigInt(second) * 1_000_000_000n, second],
    [String(second * 1e9), second],
    ['2026-02-20T10:30:00Z', second],
    ['2026-02-20T10:30:00', second],
    ['2026-02-20 10:30:00', second],
    ['2026-02-20 10:30:00 UTC', second],
    ['2026-02-20 12:30:00+02', second],
    ['2026-02-20T05:00:00-0530', second],
    ['2026-02-20T10:30:00.000000+00:00', second],
    ['2026-02-20 10:30', second],
    ['2026-02-20T10:30:00.250Z', second + 0.25],
    ['Fri, 20 Feb 2026 10:30:00 GMT', second],
    ['20 Feb 2026 10:30:00', second],
    ['2026-02-20', Date.UTC(2026, 1, 20) / 1000],
    [20260220, Date.UTC(2026, 1, 20) / 1000],
    [new Date(second * 1000), second],
    ['NaT', undefined],
    [Number.NaN, undefined],
  ])('%s', (value, expected) => {
    expect(timeCell(value)).toEqual({ value: expected })
  })
  test.each(['01/02/2026', 'soon', '2026-13-40', {}])('%s is refused', (value) => {
    expect(timeCell(value)).toHaveProperty('reason')
  })
})

test('words for no value are no value', () => {
  for (const word of [
    null,
    undefined,
    '',
    'NaN',
    'nan',
    'N/A',
    'null',
    'None',
    ' NA ',
    Number.NaN,
  ]) {
    expect([word, isMissing(word)]).toEqual([word, true])
  }
  for (const word of [0, false, '0', 'no', 'none of these', Infinity]) {
    expect([word, isMissing(word)]).toEqual([word, false])
  }
})

describe('NaN in JSON, as Python writes it', () => {
  test('is no value; Infinity is refused where it is used', async () => {
    const lines = [
      '{"prompt": "say NaN, \\"NaN\\" or Infinity", "scores": {"m": NaN, "n": 1}, "x": [NaN, -Infinity]}',
      '{"prompt": "two", "scores": {"m": 0, "n": null}, "latency": NaN}',
      '{"prompt": "three", "scores": {"m": Infinity}}',
      '{"prompt": "four", "scores": NaNa}',
    ].join('\n')
    const folder = await scratch({ 'l.jsonl': lines })
    const rejectsPath = join(folder, 'bad.jsonl')
    const data = await readLogs([join(folder, 'l.jsonl')], { seed: 1, maxRejects: 1, rejectsPath })
    expect(data.prompts).toEqual(['say NaN, "NaN" or Infinity', 'two'])
    expect([...data.outcomes!.scores]).toEqual([Number.NaN, 1, 0, Number.NaN])
    const rejects = (await readFile(rejectsPath, 'utf8')).trim().split('\n')
    expect(rejects.map((line) => JSON.parse(line).field)).toEqual(['scores.m', '(line)'])
  })
})

describe('messages', () => {
  test.each([
    [
      'parts with null text, images, null parts and plain texts',
      [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'what is it' },
            { type: 'image_url', text: null, image_url: { url: 'u' } },
            null,
            'exactly',
          ],
        },
      ],
      'what is it\nexactly',
    ],
    [
      'turns that only called tools, without content, and their results',
      [
        { role: 'user', content: 'go' },
        { role: 'assistant', tool_calls: [{ id: 't' }] },
        { role: 'tool', tool_call_id: 't', content: [{ type: 'tool_result', content: [] }] },
      ],
      'go',
    ],
    ['ShareGPT', [{ from: 'human', value: 'hi' }], 'hi'],
    ['Gemini', [{ role: 'user', parts: [{ text: 'hi' }] }], 'hi'],
    ['threads', [{ role: 'user', content: [{ type: 'text', text: { value: 'hi' } }] }], 'hi'],
  ])('%s', async (_, prompt, text) => {
    const data = await readLogs(
      [join(await scratch({ 'l.jsonl': jsonl([{ prompt, scores: { m: 1 } }]) }), 'l.jsonl')],
      { seed: 1 },
    )
    expect(data.prompts).toEqual([text])
  })
  test.each([
    [[{ role: 'user' }]],
    [[{ content: 'x' }]],
    [[{ role: 'user', content: 3 }]],
    [['x']],
  ])('%j is refused', (value) => expect(promptCell(value)).toHaveProperty('reason'))
})

test.each([
  ['question', 'model_1', 'model_2', 'choice'],
  ['Instruction', 'Model Left', 'Model Right', 'Preference'],
  ['query', 'llm_a', 'llm_b', 'verdict'],
  ['input', 'model_a', 'model_b', 'winner'],
])('a comparison in columns %s, %s, %s, %s', async (prompt, a, b, winner) => {
  const rows = ['big', 'small', 'Tie', 'first', 'model 2'].map((won, i) => ({
    [prompt]: `p${i}`,
    [a]: 'big',
    [b]: 'small',
    [winner]: won,
  }))
  expect((await labels('l.jsonl', jsonl(rows)))[1]).toEqual([1, 0, 0.5, 1, 0])
})

test.each([
  ['to_json()', { prompt: { 0: 'p', 1: 'q' }, big: { 0: 1, 1: 0 } }],
  ['to_dict("list")', { prompt: ['p', 'q'], big: [1, 0], small: [0, 1] }],
  ['orient="split"', { columns: ['prompt', 'big'], index: [0], data: [['p', 1]] }],
])('a table written column by column (%s) says how to write it', async (_, table) => {
  const reading = labels('t.json', JSON.stringify(table))
  await expect(reading).rejects.toThrow(/column by column; .*orient="records", lines=True/)
})

describe('the winner', () => {
  const read = async (winner: string, a = 'GPT-4o', b = 'small') =>
    (await labels('l.jsonl', jsonl([{ prompt: 'p', model_a: a, model_b: b, winner }])))[1]
  test.each([
    ['GPT-4o', 1],
    ['gpt-4o', 1],
    [' GPT 4o ', 1],
    ['small', 0],
    ['Model A', 1],
    ['model-b', 0],
    ['A', 1],
    ['right', 0],
    ['Tie', 0.5],
    ['tie (both bad)', 0.5],
    ['Both Bad', 0.5],
  ])('may be %j', async (winner, label) => {
    expect(await read(winner)).toEqual([label])
  })
  test('is refused where a word and a name mean different models', async () => {
    await refusal(read('Left', 'right', 'left'), 'too_many_rejects')
    expect(await read('left', 'left', 'right')).toEqual([1])
    // the words of Weir's own layout keep their meaning
    expect(await read('a', 'b', 'a')).toEqual([1])
    await refusal(read('someone'), 'too_many_rejects')
  })
})

describe('folders and patterns', () => {
  test('pass over what is no log, and count nothing twice', async () => {
    const folder = await scratch({
      'votes.jsonl': jsonl(ROWS),
      'votes.jsonl~': jsonl(ROWS.slice(1)),
      '.hidden.jsonl': jsonl(ROWS.slice(2)),
      _SUCCESS: '',
      'dataset_info.json': '{"features": {}}',
      'state.json': '{"_data_files": []}',
      'README.md': '# a card',
      'cache-0123456789abcdef.arrow': 'x',
      'old.rejects.jsonl': '{"file":"x"}',
      '~$votes.csv': 'x',
    })
    for (const [name, files] of Object.entries({
      '.ipynb_checkpoints': { 'votes-checkpoint.jsonl': jsonl(ROWS.slice(3)) },
      _delta_log: { '0.json': '{}' },
      dataset: { 'dataset.json': '{}', 'prompts.arrow': 'x' },
      bundle: { 'manifest.json': '{}', 'head.bin': 'x', 'more.json': '{}' },
      deep: { 'more.jsonl': jsonl(ROWS.slice(4)) },
    })) {
      await mkdir(join(folder, name))
      for (const [file, text] of Object.entries(files))
        await writeFile(join(folder, name, file), text)
    }
    const found = [join(folder, 'deep/more.jsonl'), join(folder, 'votes.jsonl')]
    expect(await expandPaths([folder])).toEqual(found)
    expect(await expandPaths([`${folder}/**/*.jsonl`])).toEqual(found)
    expect(await expandPaths([`${folder}/*`])).toEqual([found[1]])
    expect(await expandPaths([`${folder}/.ipynb_checkpoints/*.jsonl`])).toHaveLength(1)
    expect(await expandPaths([`${folder}/*.rejects.jsonl`])).toHaveLength(1)
    expect(await expandPaths([join(folder, '.hidden.jsonl')])).toHaveLength(1)
    expect(await expandPaths([folder], [found[0]!])).toEqual([found[1]])
  })

  test('JSON of another program is passed over with a note, unless it is named or all there is', async () => {
    const folder = await scratch({
      'a.jsonl': jsonl(ROWS),
      'settings.json': '{"theme": "dark"}',
      'notebook.json': '{"cells": [{"source": "x"}], "nbformat": 4}',
    })
    const notes: string[] = []
    const options = { out: join(folder, 'dataset'), seed: 1, onNote: (n: string) => notes.push(n) }
    expect((await ingest([folder], options)).manifest.rows).toMatchObject({ kept: 40 })
    expect(notes.filter((note) => note.includes('passed over'))).toHaveLength(2)
    const named = join(folder, 'settings.json')
    await refusal(ingest([named, join(folder, 'a.jsonl')], options), 'column_missing')
    await refusal(ingest([await scratch({ 'b.json': '{"x": 1}' })], options), 'column_missing')
  })

  test('a second run does not read what the first one wrote among the logs', async () => {
    const folder = await scratch({
      'a.jsonl': jsonl([...ROWS, ...ROWS, { ...ROWS[0], prompt: '' }]),
    })
    const options = { out: join(folder, 'dataset'), seed: 1, maxRejects: 0.1 }
    for (let run = 0; run < 2; run++) {
      expect((await ingest([folder], options)).manifest.rows).toMatchObject({
        kept: 80,
        rejected: 1,
      })
    }
  })
})

describe('a wide table', () => {
  const table = (columns: Readonly<Record<string, (i: number) => unknown>>): string =>
    jsonl(
      [...Array(60).keys()].map((i) => ({
        prompt: `what is ${i}`,
        ...Object.fromEntries(Object.entries(columns).map(([name, value]) => [name, value(i)])),
      })),
    )
  const read = async (text: string, options: object = {}) => {
    const notes: string[] = []
    const path = join(await scratch({ 't.jsonl': text }), 't.jsonl')
    const onNote = (note: string) => notes.push(note)
    const data = await readLogs([path], { seed: 1, onNote, ...options })
    return { models: data.models, notes: notes.join('\n') }
  }
  const scores = { big: (i: number) => (i % 4 ? 1 : 0), small: (i: number) => i % 2 }

  test('takes no flag, count, amount or field for a model, and says so', async () => {
    const text = table({
      ...scores,
      is_code: (i) => i % 3 === 0,
      n_turns: (i) => i % 2,
      cost: () => 0.01,
      'Latency ': (i) => i / 60,
      words: (i) => 10 + i,
      tries: (i) => 3 + i,
    })
    const { models, notes } = await read(text)
    expect(models).toEqual(['big', 'small'])
    for (const part of [
      'is_code (a flag)',
      'n_turns (a count)',
      'tries (numbers outside 0 to 1)',
    ]) {
      expect(notes).toContain(part)
    }
  })

  test('asks which columns are models where one is always the same', async () => {
    const text = table({ ...scores, odd: () => 1 })
    const error = await refusal(read(text), 'models_unclear')
    expect(error.message).toContain('odd (always 1)')
    expect(error.message).toContain('--models-from big,small,odd')
    expect((await read(text, { modelsFrom: ['big', 'odd'] })).models).toEqual(['big', 'odd'])
    await refusal(read(text, { modelsFrom: ['bgi'] }), 'column_missing')
  })

  test('asks about a yes or no beside numbers, and about what was done to a row', async () => {
    const beside = table({ ...scores, urgent: (i) => i % 3 === 0 })
    const error = await refusal(read(beside), 'models_unclear')
    expect(error.message).toContain('urgent (a yes or no)')
    const judged = { big: (i: number) => i % 4 > 0, small: (i: number) => i % 2 > 0 }
    expect((await read(table(judged))).models).toEqual(['big', 'small'])
    for (const value of [(i: number) => i % 3 === 0, (i: number) => (i % 3 ? 1 : 0)]) {
      await refusal(read(table({ ...judged, human_reviewed: value })), 'models_unclear')
    }
    expect((await read(beside, { modelsFrom: ['big', 'small'] })).models).toEqual(['big', 'small'])
  })

  test('one row per answer is no table of models, however its numbers are called', async () => {
    const text = table({
      model: (i) => (i % 2 ? 'gpt-4o' : 'gpt-4o-mini'),
      score: (i) => i % 2,
      cost: () => 0.01,
      latency: () => 0.5,
    })
    expect((await read(text)).models).toEqual(['gpt-4o', 'gpt-4o-mini'])
  })
})

describe('a file of no known layout', () => {
  const advice = async (content: string, name = 'f.json') => {
    const folder = await scratch({ [name]: content })
    const error = await readLogs([join(folder, name)], { seed: 1 }).catch((reason) => reason)
    return (error as Error).message
  }

  test('is answered with what it lacks and the command to try', async () => {
    const row = (i: number) => ({
      vars: { question: `q ${i}` },
      provider: { label: 'gpt-4o' },
      gradingResult: { pass: true, score: 1 },
    })
    const text = JSON.stringify({ version: 3, results: { table: 1, results: [row(1), row(2)] } })
    const message = await advice(text)
    expect(message).toContain('a list of 2 rows at results.results')
    expect(message).toContain('--rows results.results --map')
    expect(message).toContain('prompt=vars.question')
    expect(message).toContain('score=gradingResult.score')
  })

  test('names the field of the nearest layout that is missing', async () => {
    const message = await advice(jsonl([{ question: 'q', model: 'm', latency: 1 }]))
    expect(message).toContain('which lacks score')
    expect(message).toContain("--map 'prompt=question,model=model,score=PATH'")
    expect(message).toContain('--scores FILE --on KEY')
    const votes = await advice(jsonl([{ prompt: 'q', model_a: 'm', winner: 'a' }]))
    expect(votes).toContain('which lacks model_b')
  })

  test('asks which columns are models where there are only costs and times', async () => {
    const message = await advice(jsonl([{ prompt: 'q', cost: 0.1, latency: 2 }]))
    expect(message).toContain('cost, latency')
    expect(message).toContain('--models-from')
  })
})

describe('a file that is not what it seems', () => {
  const binary = Buffer.alloc(400, 1)
  test.each([
    ['UTF-16 without a mark', Buffer.from('prompt,model_a\nx,y\n', 'utf16le'), 'UTF-16'],
    [
      'UTF-16 with a mark',
      Buffer.from('\ufeffprompt,model_a\nx,y\n', 'utf16le'),
      'iconv -f UTF-16',
    ],
    ['UTF-16, big end first', Buffer.from('feff00700072', 'hex'), 'iconv -f UTF-16'],
    ['zip or Excel', Buffer.from('PK\x03\x04more'), 'unpack it, or save the sheet as CSV'],
    ['XML', Buffer.from('<?xml version="1.0"?>'), 'it is XML; save the table as'],
    ['SQLite', Buffer.concat([Buffer.from('SQLite format 3\0'), binary]), 'SQLite'],
    ['a PDF', Buffer.from('%PDF-1.7'), 'it is a PDF; save the table as'],
    ['xz', Buffer.from('fd377a585a00', 'hex'), 'xz'],
    ['bzip2', Buffer.from('BZh91AY&SY'), 'bzip2'],
    ['Avro', Buffer.from('Obj\x01more'), 'Avro'],
    ['ORC', Buffer.from('ORC more'), 'ORC'],
    ['a web page', Buffer.from('<!DOCTYPE html><html>'), 'save the file itself'],
    [
      'a Git LFS pointer',
      Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
      'git lfs pull',
    ],
    ['something binary', binary, 'known here; save the table as'],
    ['an older pickle', Buffer.from('8002950000', 'hex'), 'pickle'],
  ])('%s is named', async (_, bytes, word) => {
    expect((await refusal(labels('f.bin', bytes), 'file_unreadable')).message).toContain(word)
  })

  test('Latin-1 is named where its rows are refused', async () => {
    const text = `prompt,model_a,model_b,winner\n${'caf\u00e9,m,n,a\n'.repeat(9)}`
    const all = await refusal(labels('f.csv', Buffer.from(text, 'latin1')), 'file_unreadable')
    expect(all.message).toContain('iconv -f WINDOWS-1252')
    const some = Buffer.from(text.replace('\u00e9', 'e'), 'latin1')
    const error = await refusal(labels('f.csv', some), 'too_many_rejects')
    expect(error.message).toContain('iconv -f WINDOWS-1252')
  })
})

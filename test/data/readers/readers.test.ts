import { expect, test } from 'vitest'
import { alpacaEvalReader } from '../../../data/readers/alpaca-eval.ts'
import { arenaConversationReader, arenaKaggleReader } from '../../../data/readers/arena.ts'
import { canonicalReader } from '../../../data/readers/canonical.ts'
import { judgeScoreReader } from '../../../data/readers/judge-score.ts'
import { longReader } from '../../../data/readers/long.ts'
import { routerBenchReader } from '../../../data/readers/router-bench.ts'
import { weirLogReader } from '../../../data/readers/weir-log.ts'
import { wideReader } from '../../../data/readers/wide.ts'
import { findReader, READERS } from '../../../data/readers.ts'
import { checkReader, type ReaderCase } from '../../../testing/reader-contract.ts'

const kaggle = (prompt: string, a: string, b: string, tie: string) => ({
  id: '1',
  prompt,
  model_a: 'm',
  model_b: 'n',
  response_a: '["x"]',
  response_b: '["y"]',
  winner_model_a: a,
  winner_model_b: b,
  winner_tie: tie,
})

const talk = [
  { role: 'user', content: 'hi' },
  { role: 'assistant', content: 'hello' },
  { role: 'user', content: 'more' },
]

const decision = {
  object: 'decision',
  id: 'd1',
  time: 1_700_000_000_000,
  router: 'r',
  version: 'v',
  model: 'big',
  win_rate: 0.7,
  threshold: 0.5,
  reason: 'threshold',
  propensity: 1,
  prompt_hash: 'abc',
  text: 'asked',
}

const CASES: readonly ReaderCase[] = [
  {
    reader: canonicalReader,
    records: [
      { prompt: 'p', model_a: 'm', model_b: 'n', winner: 'tie (bothbad)' },
      { prompt: 'p', scores: { m: 0.5, n: null } },
      { prompt: [{ role: 'user', content: 'p' }], model_a: 'm', model_b: 'n', winner: 'model_b' },
    ],
    rows: ['p | m ! n', 'p | m 0.5', '[{"role":"user","content":"p"}] | m < n'],
    bad: [
      { change: { prompt: '' }, field: 'prompt' },
      { change: { prompt: [{ role: 'user' }] }, field: 'prompt' },
      { change: { system: 7 }, field: 'system' },
      { change: { tools: 'find' }, field: 'tools' },
      { change: { tools: [7] }, field: 'tools' },
      { change: { winner: 'x' }, field: 'winner' },
      { change: { model_b: 'm' }, field: 'model_b' },
      { change: { weight: -1 }, field: 'weight' },
      { change: { timestamp: 'yesterday' }, field: 'timestamp' },
      { change: { scores: { m: 2 } }, field: 'scores.m' },
      { change: { scores: {} }, field: 'scores' },
      { change: { scores: [1] }, field: 'scores' },
    ],
  },
  {
    reader: arenaKaggleReader,
    records: [
      kaggle('["first","second"]', '1', '0', '0'),
      kaggle('["tied"]', '0', '0', '1'),
      kaggle('["lost"]', '0', '1', '0'),
    ],
    rows: [
      '[{"role":"user","content":"first"},{"role":"user","content":"second"}] | m > n',
      ...['tied | m = n', 'lost | m < n'],
    ],
    bad: [
      { change: { prompt: 'not a list' }, field: 'prompt' },
      { change: { prompt: '[null]' }, field: 'prompt' },
      { change: { winner_model_a: '1' }, field: 'winner' },
      { change: { winner_model_b: '0' }, field: 'winner' },
    ],
  },
  {
    reader: arenaConversationReader,
    records: [
      { question_id: 'q', conversation_a: talk, model_a: 'm', model_b: 'n', winner: 'model_a' },
      {
        question_id: 'r',
        conversation_a: JSON.stringify(talk),
        model_a: 'm',
        model_b: 'n',
        winner: 'tie (bothbad)',
        tstamp: 1.68e9,
      },
    ],
    rows: ['>', '!'].map(
      (won) => `[{"role":"user","content":"hi"},{"role":"user","content":"more"}] | m ${won} n`,
    ),
    bad: [
      { change: { conversation_a: [] }, field: 'conversation_a' },
      { change: { winner: 'x' }, field: 'winner' },
      { change: { tstamp: 'soon' }, field: 'timestamp' },
    ],
  },
  {
    reader: alpacaEvalReader,
    records: [
      { instruction: 'i', generator_1: 'm', generator_2: 'n', preference: 1.2 },
      { instruction: 'i', generator_1: 'm', generator_2: 'n', preference: 1.5 },
      { instruction: 'i', generator_1: 'm', generator_2: 'n', preference: '2.0', annotator: 'gpt' },
    ],
    rows: ['i | m > n', 'i | m = n', 'i | m < n'],
    bad: [
      { change: { preference: null }, field: 'preference' },
      { change: { preference: 0 }, field: 'preference' },
      { change: { instruction: 7 }, field: 'instruction' },
      { change: { generator_2: 'm' }, field: 'generator_2' },
    ],
  },
  {
    reader: routerBenchReader,
    records: [
      {
        sample_id: 'mmlu.1',
        prompt: '["asked"]',
        eval_name: 'mmlu',
        m: 1,
        n: '0.25',
        'm|total_cost': 0.001,
        'n|total_cost': 0.0001,
        'm|model_response': 'x',
      },
    ],
    rows: ['asked | m 1, n 0.25'],
    bad: [
      { change: { m: 'good' }, field: 'm' },
      { change: { n: 1.5 }, field: 'n' },
      { change: { 'm|total_cost': -1 }, field: 'm|total_cost' },
    ],
  },
  {
    reader: judgeScoreReader,
    records: [
      { prompt: 'p', mixtral_score: 5 },
      { prompt: 'q', mixtral_score: '3' },
    ],
    rows: [
      'p | gpt-4-1106-preview = mistralai/Mixtral-8x7B-Instruct-v0.1',
      'q | gpt-4-1106-preview > mistralai/Mixtral-8x7B-Instruct-v0.1',
    ],
    bad: [{ change: { mixtral_score: 6 }, field: 'mixtral_score' }],
  },
  {
    reader: longReader,
    records: [
      { question: 'p', model_name: 'm', performance: 0.5, cost: 0.1, response_time: 3, task: 't' },
      { question: 'q', model_name: 'n', performance: 'pass', cost: null, response_time: 2 },
      { question: 'r', model_name: 'n', performance: '' },
      {
        question: [
          { role: 'user', content: 's' },
          { role: 'assistant', content: 'the answer' },
        ],
        model_name: 'm',
        performance: 'False',
      },
    ],
    rows: ['p | m 0.5', 'q | n 1', 'left out: no score', '[{"role":"user","content":"s"}] | m 0'],
    bad: [
      { change: { question: '' }, field: 'question' },
      { change: { model_name: 7 }, field: 'model_name' },
      { change: { performance: 4 }, field: 'performance' },
      { change: { cost: -1 }, field: 'cost' },
    ],
  },
  {
    reader: wideReader,
    records: [
      { prompt: 'p', category: 'c', m: 'True', n: 'False' },
      { prompt: 'q', category: 'c', m: '0.5', n: '' },
    ],
    rows: ['p | m 1, n 0', 'q | m 0.5'],
    bad: [
      { change: { m: 'maybe' }, field: 'm' },
      { change: { m: 'NaN' }, field: 'm' },
      { change: { m: '', n: '' }, field: 'm' },
    ],
  },
  {
    reader: weirLogReader,
    records: [
      { object: 'log', format: 1, created: 'now', text: 'full', embedding: false },
      decision,
      { object: 'feedback', decision_id: 'd1', score: 0.5, time: 1 },
      { object: 'feedback', decision_id: 'd1', score: 1, time: 2, model: 'small', source: 'judge' },
    ],
    rows: ['asked | big 0.5', 'asked | small 1'],
    bad: [
      { change: { decision_id: 'unknown' }, field: 'decision_id' },
      { change: { score: 2 }, field: 'score' },
    ],
  },
]

test.each(CASES.map((it) => [it.reader.name, it] as const))(
  '%s keeps the reader contract',
  (_, it) => {
    checkReader(it)
  },
)

test.each(CASES.map((it) => [it.reader.name, it] as const))(
  '%s is told from all other layouts',
  (name, it) => {
    const columns = new Set(it.records.flatMap((record) => Object.keys(record)))
    expect(findReader('log', columns, it.records).name).toBe(name)
  },
)

test('every layout of the registry is in the contract suite', () => {
  // presets have theirs in presets.test.ts
  const layouts = READERS.filter(({ mapping }) => mapping === undefined)
  expect(CASES.map((it) => it.reader.name).sort()).toEqual(layouts.map((it) => it.name).sort())
})

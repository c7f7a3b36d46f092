import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pairLabels } from '../../data/pair.ts'
import { calibrateCommand } from '../../scripts/cli/commands/calibrate.ts'
import { evaluateCommand } from '../../scripts/cli/commands/evaluate.ts'
import { trainCommand } from '../../scripts/cli/commands/train.ts'
import { type LogFlags, openFlaggedLogs, type PairFlags } from '../../scripts/cli/log-options.ts'
import { jsonl, refusal, scratch } from '../data/scratch.ts'

const COMMANDS = { train: trainCommand, evaluate: evaluateCommand, calibrate: calibrateCommand }

/** Each prompt with a person's vote for the weak model and two judge's for the strong one; others with one vote. */
const VOTES = [...Array(20).keys()].flatMap((i) => {
  const row = { question: `question ${i}`, left: 'big', model_b: 'small', user: i % 4 }
  const human = { ...row, winner: 'b', judge: 'human:ann' }
  return i % 2 ? [human] : [human, ...['a', 'a'].map((winner) => ({ ...row, winner, judge: 'm' }))]
})

test.each(Object.keys(COMMANDS))('weir %s takes the reading flags of weir data ingest', (name) => {
  const command = COMMANDS[name as keyof typeof COMMANDS]()
  const known = command.options.map(({ long }) => long)
  expect(known).toEqual(
    expect.arrayContaining(
      'format map score-range split group-by test-by test-after max-rejects rejects judge min-votes margin seed'
        .split(' ')
        .map((flag) => `--${flag}`),
    ),
  )
  expect(new Set(known).size).toBe(known.length)
})

async function open(args: readonly string[]) {
  const folder = await scratch({ 'log.jsonl': jsonl(VOTES) })
  const map = ['--map', 'prompt=question,model_a=left']
  const command = trainCommand()
  command.parseOptions(['--strong', 'big', '--weak', 'small', ...map, ...args])
  const flags = command.opts<LogFlags & PairFlags>()
  return openFlaggedLogs([join(folder, 'log.jsonl')], flags, { seed: 1 })
}

test('a log with other column names is read by --map, and split by --group-by', async () => {
  const dataset = await open(['--group-by', 'user'])
  expect(dataset.manifest.rows).toMatchObject({ read: 40, kept: 40 })
  expect(dataset.manifest.split_by).toEqual({ group_by: 'user' })
  for (let user = 0; user < 4; user++) {
    const splits = dataset.prompts.flatMap((text, i) =>
      Number(text.split(' ')[1]) % 4 === user ? [dataset.split[i]] : [],
    )
    expect(new Set(splits).size).toBe(1)
  }
})

test('--judge and --min-votes say which votes label the pair, wherever it is asked for', async () => {
  const all = pairLabels(await open([]), 'big', 'small')
  expect(all.label[0]).toBeCloseTo(2 / 3)
  const human = pairLabels(await open(['--judge', 'human']), 'big', 'small')
  expect(human.label.every((label) => label === 0)).toBe(true)
  const many = pairLabels(await open(['--min-votes', '3']), 'big', 'small')
  expect(many.prompt).toHaveLength(10)
})

test('a bad flag is refused before anything is read', async () => {
  expect((await refusal(open(['--min-votes', 'few']), 'option_invalid')).message).toContain(
    '--min-votes',
  )
  expect((await refusal(open(['--score-range', '10-1']), 'option_invalid')).message).toContain(
    '--score-range',
  )
})

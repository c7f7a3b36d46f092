import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { PassThrough } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { runWeir } from '../../../scripts/cli/program.ts'
import { readSources } from '../../../scripts/structure.ts'
import { askPerson, openTerminal, table } from '../../../scripts/terminal/terminal.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

/** What a log or a bundle could hold to control a terminal. */
const HOSTILE = {
  'a colour': '\u001b[31mred\u001b[0m',
  'the window’s title': '\u001b]0;owned\u0007',
  'a C1 control': '\u009b2J',
  'a carriage return': 'all is well\rerror',
  'a backspace': 'abc\b\b\b',
  delete: 'a\u007fb',
  'a change of direction': 'a\u202egnp.exe',
  'an isolate': '\u2066x\u2069',
  'a tag': 'a\u{e0041}\u{e007f}',
  'a line separator': 'a\u2028b\u2029c',
}
/** What redraws the live line; the only escape that weir writes itself. */
const ERASE_LINE = '\r\u001b[K'
const OBEYED = /[\p{Cc}\p{Bidi_Control}\u2028\u2029\u{E0000}-\u{E007F}]/u

function terminal() {
  const out = new PassThrough()
  const err = Object.assign(new PassThrough(), { isTTY: true, columns: 200 })
  let time = 0
  const opened = openTerminal(out, err, () => time)
  return {
    ...opened,
    text: () => `${out.read() ?? ''}${err.read() ?? ''}`,
    wait: (ms: number) => {
      time += ms
    },
  }
}

test.each(Object.entries(HOSTILE))('%s reaches no terminal', (_, text) => {
  const { print, note, json, onProgress, text: written, wait } = terminal()
  const shown = (): string => written().replaceAll(ERASE_LINE, '').replaceAll('\n', '')
  print(text)
  note(text)
  print(table([['model'], [text]]))
  json({ text })
  onProgress({ stage: text, done: 1 })
  wait(2000)
  onProgress({ stage: text, done: 2, note: text })
  const all = shown()
  expect(all).not.toMatch(OBEYED)
  expect(all).toContain('\\u')
})

test('JSON stays the same JSON, and text keeps its lines, tabs and letters', () => {
  const { print, json, text } = terminal()
  json(HOSTILE)
  expect(JSON.parse(text())).toEqual(HOSTILE)
  print('a\tb\nzwölf 日本語 🙂👩‍👧')
  expect(text()).toBe('a\tb\nzwölf 日本語 🙂👩‍👧\n')
})

test('a cell of a table stays on its line', () => {
  expect(table([['a'], ['x\ny']])).toBe('a\nx\\u000ay')
})

test.each([
  [['route', 'no\u001b[2Jbundle', 'x']],
  [['route', '--no\u001b[2Jflag']],
  [['\u001b[2Jcommand']],
])('errors of the command line are printed the same way: %j', async (args) => {
  let written = ''
  const keep = (text: string | Uint8Array): boolean => {
    written += String(text)
    return true
  }
  vi.spyOn(process.stderr, 'write').mockImplementation(keep)
  vi.spyOn(process.stdout, 'write').mockImplementation(keep)
  expect(await runWeir(args)).not.toBe(0)
  vi.restoreAllMocks()
  expect(written).not.toBe('')
  expect(written.replaceAll('\n', '')).not.toMatch(OBEYED)
})

test('only scripts/terminal writes to the process’s output', () => {
  const WRITES = /\bprocess\s*\.\s*std(out|err)\b|\bconsole\s*\.\s*\w+\s*\(/
  const exempt = [
    // ends the process when the reader of a pipe has gone; writes nothing
    'scripts/weir.ts',
    'scripts/terminal/terminal.ts',
  ]
  const found = [...readSources(ROOT).keys()]
    .filter((file) => !/^scripts\/(bench|eval|demo|sample|[\w-]+\.ts$)/.test(file))
    .filter((file) => file !== 'scripts/cli/docs.ts' && !exempt.includes(file))
    .filter((file) =>
      WRITES.test(
        readFileSync(join(ROOT, file), 'utf8')
          .replace(/\/\*[\s\S]*?\*\//g, '')
          .replace(/(^|\s)\/\/.*$/gm, ''),
      ),
    )
  expect(found).toEqual([])
})

test.each([
  ['an answer', ' Yes \n', 'Yes'],
  ['the end of the input', '', undefined],
])('askPerson resolves to %s', async (_, typed, said) => {
  const input = new PassThrough()
  const asking = askPerson('Sure? ', { input, output: new PassThrough() })
  input.end(typed)
  expect(await asking).toBe(said)
})

test.each([
  ['a terminal, every second', true, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
  ['a log, every 5 s', false, [1, 6, 11]],
])('a stage that does not report is shown on %s, until it ends', (_, isTTY, seconds) => {
  vi.useFakeTimers({ now: 1_000_000 })
  try {
    const err = Object.assign(new PassThrough(), { isTTY, columns: 200 })
    const { onProgress, endProgress } = openTerminal(new PassThrough(), err)
    const shown = () =>
      [...`${err.read() ?? ''}`.matchAll(/fit: .*?, (\d+) s so far/g)].map(([, s]) => Number(s))
    onProgress({ stage: 'fit', done: 0 })
    vi.advanceTimersByTime(12_000)
    expect(shown()).toEqual(seconds)
    endProgress()
    onProgress({ stage: 'fit', done: 5, total: 5 })
    vi.advanceTimersByTime(12_000)
    expect(shown()).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

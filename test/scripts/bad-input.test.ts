import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { runWeir } from '../../scripts/cli/program.ts'

const folder = mkdtempSync(join(tmpdir(), 'weir-bad-'))
const at = (name: string): string => join(folder, name)

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** The command in this process, with what it printed; a process a case would take a second each. */
async function weir(...args: readonly string[]): Promise<Ran> {
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const err = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const said = (spy: typeof out): string => spy.mock.calls.map(([text]) => String(text)).join('')
  try {
    const code = await runWeir(args)
    return { code, out: said(out), err: said(err) }
  } finally {
    out.mockRestore()
    err.mockRestore()
    process.exitCode = undefined
  }
}

const trainOn = (log: string, strong = 'big', weak = 'small'): Promise<Ran> =>
  weir('train', at(log), '--strong', strong, '--weak', weak, '--name', 'bad')

function write(name: string, rows: readonly unknown[]): void {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
}

const row = (i: number, big: unknown, small: unknown) => ({
  prompt: `${i % 2 ? 'prove the lemma' : 'greet the guest'} number ${i} of ${i * 31}`,
  scores: { big, small },
})

/** One line that names what was expected, what came and where; no result on stdout, no stack. */
function expectRefused(ran: Ran, code: number, ...words: readonly (string | RegExp)[]): void {
  expect(ran.out === '' || 'error' in JSON.parse(ran.out)).toBe(true)
  expect(
    ran.err
      .trimEnd()
      .split('\n')
      .filter((line) => line.startsWith('error:')),
  ).toHaveLength(1)
  expect(ran.err).not.toMatch(/\n\s+at /)
  for (const word of words) expect(ran.err).toMatch(word)
  expect(ran.code).toBe(code)
}

const home = process.cwd()
beforeAll(() => process.chdir(folder))
afterAll(() => process.chdir(home))

describe('what would fail after the work is refused before it:', () => {
  const NEVER_READ = 'nowhere.jsonl'

  it.each([
    ['train', ['--strong', 'a', '--weak', 'b', '--out', 'taken.txt']],
    ['train', ['--strong', 'a', '--weak', 'b', '--out', 'taken.txt/inside/it']],
    ['train', ['--strong', 'a', '--weak', 'b', '--rejects', '.']],
    ['train', ['--strong', 'a', '--weak', 'b', '--out', 'long'.repeat(100)]],
    ['evaluate', ['--report', 'taken.txt/report.html']],
    ['data ingest', ['--out', 'taken.txt']],
    ['data export', ['--out', '.']],
    ['learn', ['--name', 'demo', '--out', 'taken.txt']],
  ])('%s %j', async (command, flags) => {
    writeFileSync(at('taken.txt'), 'mine')
    const before = readdirSync(folder)
    const ran = await weir(...command.split(' '), NEVER_READ, ...flags)
    expectRefused(ran, 1, 'could not write', 'file_unwritable')
    expect(readdirSync(folder)).toEqual(before)
  })

  it('a place that the config file of train names', async () => {
    writeFileSync(at('taken.txt'), 'mine')
    writeFileSync(at('train.yaml'), 'out: taken.txt\nstrong: a\nweak: b\n')
    expectRefused(await weir('train', NEVER_READ, '--config', 'train.yaml'), 1, 'taken.txt')
  })

  it('a name that no bundle may have', async () => {
    const ran = await weir('train', NEVER_READ, '--strong', 'a', '--weak', 'b', '--name', '../up')
    expectRefused(ran, 2, '--name', /got \.\.\/up/)
  })

  it('a price of a model that the log does not have', async () => {
    write(
      'priced.jsonl',
      Array.from({ length: 40 }, (_, i) => row(i, i % 2, 1)),
    )
    const ran = await weir(
      ...['train', 'priced.jsonl', '--strong', 'big', '--weak', 'small', '--price', 'bigg=5/15'],
    )
    expectRefused(ran, 2, '--price', 'big, small', 'got bigg')
  })

  it('--json tells errors as JSON too', async () => {
    const { code, out } = await weir('data', 'inspect', NEVER_READ, '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toEqual({
      error: { code: 'file_not_found', message: expect.stringContaining(NEVER_READ) },
    })
  })
})

describe('bad input is refused in one line, and nothing is half-written:', () => {
  it('a file that is not there', async () => {
    expectRefused(await trainOn('nowhere.jsonl'), 1, 'nowhere.jsonl', 'file_not_found')
  })

  it('a file of no known layout', async () => {
    writeFileSync(at('notes.txt'), 'these are\nsome notes\n')
    expectRefused(await trainOn('notes.txt'), 1, 'notes.txt')
  })

  it('a gzip that ends early', async () => {
    const rows = Array.from({ length: 400 }, (_, i) => `${JSON.stringify(row(i, i % 2, 0))}\n`)
    const whole = gzipSync(rows.join(''))
    writeFileSync(at('cut.jsonl.gz'), whole.subarray(0, whole.length - 40))
    expectRefused(await trainOn('cut.jsonl.gz'), 1, 'cut.jsonl.gz', 'ends early', 'file_truncated')
  })

  it('a CSV without a prompt column', async () => {
    writeFileSync(at('columns.csv'), 'question,big,small\nwhy?,True,False\n')
    expectRefused(await trainOn('columns.csv'), 1, 'columns.csv', 'prompt')
  })

  it('a model that the log does not hold, naming those it does', async () => {
    write(
      'models.jsonl',
      Array.from({ length: 400 }, (_, i) => row(i, i % 2, 0)),
    )
    expectRefused(await trainOn('models.jsonl', 'gpt-9'), 1, 'gpt-9', 'big, small', 'model_unknown')
    expectRefused(await trainOn('models.jsonl', 'big', 'big'), 1, 'two different models')
  })

  it('a log in which all rows say the same', async () => {
    write(
      'same.jsonl',
      Array.from({ length: 400 }, (_, i) => row(i, 1, 0)),
    )
    expectRefused(await trainOn('same.jsonl'), 1, 'labels_one_class')
  })

  it('a log too short to split', async () => {
    write(
      'short.jsonl',
      Array.from({ length: 12 }, (_, i) => row(i, i % 2, 0)),
    )
    expectRefused(await trainOn('short.jsonl'), 1, 'the log has 12', 'rows_too_few')
  })

  it('scores that are no numbers, with file, line and field, and all of them in the rejects file', async () => {
    const rows = Array.from({ length: 400 }, (_, i) => row(i, i % 10 === 0 ? 'good' : i % 2, 0))
    write('words.jsonl', rows)
    const ran = await trainOn('words.jsonl')
    expectRefused(ran, 1, /words\.jsonl:1\b/, 'scores', 'too_many_rejects')
    const rejects = readFileSync(at('words.jsonl.rejects.jsonl'), 'utf8').trim().split('\n')
    expect(rejects).toHaveLength(40)
    expect(JSON.parse(rejects[1]!)).toMatchObject({ line: 11 })
  })

  it('an empty prompt and a prompt of 10 MB, each counted as a reject', async () => {
    const rows: unknown[] = Array.from({ length: 300 }, (_, i) => row(i, i % 2, 0))
    rows.push({ prompt: '', scores: { big: 1, small: 0 } })
    rows.push({ prompt: 'x'.repeat(10_000_000), scores: { big: 1, small: 0 } })
    write('long.jsonl', rows)
    const ran = await weir(
      'train',
      at('long.jsonl'),
      '--strong',
      'big',
      '--weak',
      'small',
      '--max-rejects',
      '0',
    )
    expectRefused(ran, 1, /2 of 302/, 'prompt')
    expect(ran.err.length).toBeLessThan(2000)
  })

  it('an unknown flag, an unknown engine and a seed that is no number', async () => {
    write(
      'flags.jsonl',
      Array.from({ length: 400 }, (_, i) => row(i, i % 2, 0)),
    )
    const base = ['train', at('flags.jsonl'), '--strong', 'big', '--weak', 'small']
    const unknown = await weir(...base, '--nonsense')
    expect(unknown.err).toMatch(/unknown option '--nonsense'/)
    expect(unknown.code).toBe(2)
    expectRefused(await weir(...base, '--engine', 'torch'), 2, 'torch', /onnx, tfjs/)
    expectRefused(await weir(...base, '--seed', 'abc'), 2, '--seed', 'whole number', 'abc')
    expectRefused(await weir(...base, '--router', 'oracle'), 1, 'oracle', 'classifier')
  })

  it('wrote no bundle in any of these', async () => {
    expect(existsSync(at('bundles'))).toBe(false)
  })
})

describe('a bundle', () => {
  beforeAll(async () => {
    write(
      'good.jsonl',
      Array.from({ length: 600 }, (_, i) => row(i, i % 2 || i % 3 ? 1 : 0, i % 2 ? 0 : 1)),
    )
    const made = await weir(
      'train',
      at('good.jsonl'),
      '--strong',
      'big',
      '--weak',
      'small',
      '--name',
      'good',
    )
    expect(made.err).not.toMatch(/error/)
    expect(made.code).toBe(0)
  }, 60_000)

  it('routes, and prints the decision as one JSON object', async () => {
    const ran = await weir('route', at('bundles/good'), 'prove the lemma', '--json')
    const decision = JSON.parse(ran.out)
    expect(decision).toMatchObject({ object: 'routing.decision', model: 'big', calibrated: false })
    expect(ran.code).toBe(0)
  })

  it('reads standard input up to 8 MB of UTF-8, and no further', async () => {
    const from = async (chunks: readonly Uint8Array[]) => {
      const stdin = Object.getOwnPropertyDescriptor(process, 'stdin')!
      const input = Readable.from(chunks)
      Object.defineProperty(process, 'stdin', { value: input, configurable: true })
      try {
        return {
          ...(await weir('route', at('bundles/good'), '-', '--json')),
          left: !input.destroyed,
        }
      } finally {
        Object.defineProperty(process, 'stdin', stdin)
      }
    }
    const whole = await from([Buffer.from('prove the '), Buffer.from('lemma')])
    expect(JSON.parse(whole.out)).toMatchObject({ object: 'routing.decision', model: 'big' })
    const megabyte = Buffer.alloc(1024 * 1024, 'a')
    const large = await from(Array(1000).fill(megabyte))
    expectRefused(large, 2, '<prompt>', 'at most 8388608 bytes', 'more')
    expect(large.left).toBe(false)
    expectRefused(await from([Buffer.from([0xff])]), 2, '<prompt>', 'UTF-8', 'other bytes')
  })

  it('refuses an empty prompt', async () => {
    expectRefused(await weir('route', at('bundles/good'), ''), 1, 'prompt_empty')
  })

  for (const name of ['head.bin', 'router.onnx', 'encoder/lexical.bin', 'manifest.json']) {
    it(`with one byte of ${name} changed is refused, naming the file`, async () => {
      const copy = at(`copy-${name.replace('/', '-')}`)
      cpSync(at('bundles/good'), copy, { recursive: true, verbatimSymlinks: true })
      const version = readdirSync(copy).find((entry) => entry !== 'current')!
      const path = join(copy, version, name)
      const bytes = readFileSync(path)
      const place = name === 'manifest.json' ? bytes.indexOf('"seed": 1') + 8 : bytes.length - 3
      bytes[place] = bytes[place]! ^ 1
      writeFileSync(path, bytes)
      expectRefused(
        await weir('route', copy, 'hello'),
        1,
        name === 'manifest.json' ? 'bundle_' : name,
      )
    })
  }

  it('that is not there, or is a file, is refused', async () => {
    expectRefused(await weir('route', at('bundles/none'), 'hello'), 1, 'file_not_found')
    expectRefused(await weir('route', at('good.jsonl'), 'hello'), 1, 'bundle_invalid')
  })
})

describe('what a router reads', () => {
  const train = (...more: string[]): Promise<Ran> =>
    weir(
      'train',
      at('declared.jsonl'),
      '--strong',
      'big',
      '--weak',
      'small',
      '--name',
      'read',
      ...more,
    )
  const chat = {
    messages: [
      { role: 'user', content: 'prove the lemma' },
      { role: 'assistant', content: 'so be it' },
      { role: 'user', content: 'no, I meant [[skip this]] the other one' },
    ],
    system: 'be brief',
  }

  beforeAll(async () => {
    const rows = Array.from({ length: 400 }, (_, i) => ({
      ...row(i, 1, i % 4 === 0 ? 0 : 1),
      prompt: `greet guest ${i * 31}`,
      metadata: { tier: i % 4 === 0 ? 'gold' : 'free' },
    }))
    write('declared.jsonl', rows)
    writeFileSync(
      at('recipe.yaml'),
      'name: mine\nbase: user\nsystem: whole\nfeatures: conversation\nenvelopes: [{start: "[[", end: "]]"}]\n',
    )
    const made = await train('--recipe', at('recipe.yaml'), '--context', 'tier', '--json')
    expect(made.err).not.toMatch(/error/)
    expect(JSON.parse(made.out).reading.recipe).toMatchObject({ name: 'mine', context: ['tier'] })
  }, 60_000)

  it('is what --recipe FILE says, of the conversation that --messages gives', async () => {
    const ran = await weir(
      'route',
      at('bundles/read'),
      JSON.stringify(chat),
      '--messages',
      '--explain',
      '--json',
    )
    expect(JSON.parse(ran.out).explanation.read).toBe(
      'system: be brief\n\nuser: prove the lemma\n\nuser: no, I meant  the other one',
    )
  })

  it('is also what --metadata declares', async () => {
    const rate = async (metadata: string): Promise<number> =>
      JSON.parse(
        (await weir('route', at('bundles/read'), 'greet guest 7', '--json', '--metadata', metadata))
          .out,
      ).win_rate
    expect(await rate('{"tier": "gold"}')).toBeGreaterThan(0.1 + (await rate('{"tier": "free"}')))
    expect(await rate('{"tier": "unseen"}')).toBe(await rate('{}'))
    expectRefused(
      await weir('route', at('bundles/read'), 'hi', '--metadata', '[]'),
      2,
      '--metadata',
    )
  })

  it('is read of the log by calibrate without being named again', async () => {
    const ran = await weir(
      'calibrate',
      at('bundles/read'),
      at('declared.jsonl'),
      '--strong-share',
      '0.25',
      '--json',
    )
    expect(ran.err).not.toMatch(/error/)
    expect(ran.code).toBe(0)
  })

  it.each([
    [['--context', 'teir'], 'teir'],
    [['--context', 'a b'], '--context'],
    [['--context', 'tier,tier:number'], '--context'],
    [['--recipe', 'nothing'], '--recipe'],
    [['--recipe', 'missing.yaml'], '--recipe'],
    [['--prefer', 'speed'], 'quality'],
    [['--minutes', '0'], '--minutes'],
  ])('is refused as %j', async (flags, word) => {
    const ran = await train(...flags)
    expect(ran.err).toMatch(word)
    expect(ran.code).not.toBe(0)
  })

  it('is refused with the line of the recipe file that is wrong', async () => {
    writeFileSync(at('wrong.yaml'), 'name: mine\nsystem: whole\nuser_turns: some\n')
    const ran = await train('--recipe', at('wrong.yaml'))
    expect(ran.err).toMatch(/wrong\.yaml:3.*user_turns/)
    expect(ran.code).not.toBe(0)
  })
})

it('train says that the strong model is the worse one, before the fit', async () => {
  write(
    'swapped.jsonl',
    Array.from({ length: 400 }, (_, i) => row(i, i % 5 === 0 ? 1 : 0, i % 3 === 0 ? 0 : 1)),
  )
  const { err, code } = await trainOn('swapped.jsonl')
  expect(code).toBe(0)
  expect(err).toMatch(/On 400 prompts big is worse than small: -0\.\d+ \[.*mixed up\?/)
  expect((await trainOn('swapped.jsonl', 'small', 'big')).err).not.toContain('mixed up')
})

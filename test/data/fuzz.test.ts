import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { WeirError } from '../../core/errors.ts'
import { createRandom, type Random } from '../../core/random.ts'
import { readLogs } from '../../data/ingest.ts'
import { gzip, scratch } from './scratch.ts'

const random = createRandom(2026)
const pick = <T>(items: readonly T[]): T => items[random.int(items.length)]!

const ODD_VALUES: readonly unknown[] = [
  ...[null, true, 0, -1, 1e308, 2, 'NaN', '', ' ', '\u0000', '\ud800', '💥', 'x'.repeat(70_000)],
  ...[
    [],
    {},
    [[]],
    [{ role: 'user' }],
    [{ role: 'user', content: 'hi' }],
    { toString: 1 },
    { m: 'x' },
  ],
  ...[{ m: Number.MAX_VALUE }, { m: 0.5 }, { __proto__: null }, 'model_a', 'tie', 'a'],
]

const KEYS = [
  ...['prompt', 'model_a', 'model_b', 'winner', 'scores', 'costs', 'id', 'category', 'weight'],
  ...['timestamp', '__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'judge'],
]

function row(): Record<string, unknown> {
  const prompt = `prompt ${random.int(1000)}`
  return random.next() < 0.5
    ? { prompt, model_a: 'm', model_b: 'n', winner: pick(['a', 'b', 'tie', 'both_bad']) }
    : { prompt, scores: { m: random.next(), n: null } }
}

/** A row's JSON, spoilt in one of the ways that files are. */
function spoiltLine(): string {
  const made = row()
  let line = JSON.stringify(made)
  const way = random.int(9)
  if (way === 0) line = line.slice(0, random.int(line.length))
  else if (way === 1) {
    const at = random.int(line.length)
    line = line.slice(0, at) + pick(['"', '{', '\\', '\u0000', '\ufeff', ',', '}']) + line.slice(at)
  } else if (way === 2) line = `${line.slice(0, -1)},"__proto__":{"prompt":"p","winner":"a"}}`
  else if (way === 3) line = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  else if (way === 4) line = `{"prompt":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`
  else if (way === 5)
    line = Object.entries(made)
      .sort(() => random.next() - 0.5)
      .map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`)
      .join(',')
  else {
    for (let n = 1 + random.int(3); n > 0; n--) {
      Object.defineProperty(made, pick(KEYS), {
        value: pick(ODD_VALUES),
        enumerable: true,
        configurable: true,
        writable: true,
      })
    }
    line = JSON.stringify(made)
  }
  return line.replace(/[\r\n]/g, ' ')
}

/** Bytes changed, lines of another encoding, CRLF, a BOM. */
function spoilBytes(text: string): Buffer {
  const bytes = Buffer.from(random.next() < 0.3 ? `\ufeff${text.replace(/\n/g, '\r\n')}` : text)
  for (let n = random.int(6); n > 0 && bytes.length > 0; n--) {
    const at = random.int(bytes.length)
    if (bytes[at] !== 10 && bytes[at] !== 13) bytes[at] = pick([0xff, 0xc3, 0x80, 0x00, 0x22])
  }
  return bytes
}

/** Reads what may be anything: a dataset whose counts add up, or an error a person can read. */
async function accounted(name: string, content: Uint8Array): Promise<number | string> {
  const folder = await scratch({ [name]: content })
  const rejectsPath = join(folder, 'bad.jsonl')
  try {
    const data = await readLogs([join(folder, name)], { seed: 1, maxRejects: 1, rejectsPath })
    const { read, kept, rejected, duplicates } = data.manifest.rows
    expect(read).toBe(kept + rejected + duplicates)
    return read
  } catch (error) {
    expect(error).toBeInstanceOf(WeirError)
    return (error as WeirError).code
  }
}

function csv(lines: number, random: Random): string {
  const columns = ['prompt', 'm', 'n', 'category'].sort(() => random.next() - 0.5)
  const cell = (): string =>
    pick(['True', 'False', '0.5', '', '"a ""b"" c"', '"x\ny"', 'x"y', '"', 'NaN', '7', 'p,q'])
  const rows = [...Array(lines)].map(() => columns.map(() => cell()).join(','))
  return [columns.join(','), ...rows].join('\n')
}

/** Files of 100 rows each; `.ci/long` asks for more. */
const FILES = Number(process.env.WEIR_SPOILT_FILES ?? 15)

describe('whatever a log holds', () => {
  test('spoilt rows of JSONL: no crash, and every line is accounted for', async () => {
    for (let file = 0; file < FILES; file++) {
      const lines = [JSON.stringify(row()), ...[...Array(99)].map(spoiltLine)]
      const bytes = spoilBytes(lines.join('\n'))
      const filled = bytes
        .toString('latin1')
        .split('\n')
        .filter((line) => line.replace(/^\xef\xbb\xbf/, '').trim() !== '').length
      const read = await accounted('log.jsonl', file % 3 === 0 ? gzip(bytes) : bytes)
      if (typeof read === 'number') expect(read).toBe(filled)
    }
  })

  test('spoilt rows of CSV and JSON: counts add up, or one line says what is wrong', async () => {
    let counted = 0
    for (let file = 0; file < FILES; file++) {
      const text =
        file % 2 === 0 ? csv(100, random) : `[${[...Array(100)].map(spoiltLine).join(',\n')}]`
      const read = await accounted(`log.${file % 2 === 0 ? 'csv' : 'json'}`, spoilBytes(text))
      if (typeof read === 'number') counted += read
    }
    expect(counted).toBeGreaterThan(FILES * 33)
  })

  test('files cut at any byte, and bytes that are no log at all', async () => {
    const whole = gzip([...Array(50)].map(() => JSON.stringify(row())).join('\n'))
    for (let i = 0; i < 30; i++)
      await accounted('log.jsonl.gz', whole.subarray(0, random.int(whole.length)))
    for (const magic of ['', 'PAR1', 'ARROW1', '\x1f\x8b', '\x28\xb5\x2f\xfd', '{', '[', '"']) {
      const noise = Buffer.from([...Array(500)].map(() => random.int(256)))
      await accounted('noise', Buffer.concat([Buffer.from(magic, 'latin1'), noise]))
    }
  })

  test('a line of 50 MB is refused and the lines around it are read', async () => {
    const good = JSON.stringify(row())
    const long = JSON.stringify({ ...row(), answer: 'x'.repeat(50_000_000) })
    expect(await accounted('log.jsonl.gz', gzip(`${good}\n${long}\n${good}\n`))).toBe(3)
  })

  test('keys that reach for prototypes change nothing', async () => {
    const line =
      '{"__proto__":{"prompt":"p"},"constructor":{"prototype":{"winner":"a"}},"prompt":"q","scores":{"__proto__":1,"m":0}}'
    expect(await accounted('log.jsonl', Buffer.from(`${line}\n${line}\n`))).toBe(2)
    expect(({} as { prompt?: unknown }).prompt).toBeUndefined()
    expect(({} as { winner?: unknown }).winner).toBeUndefined()
  })
})

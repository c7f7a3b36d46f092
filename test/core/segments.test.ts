import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { appendLine, makeFolder, openSegments, SegmentFile } from '../../core/segments.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-segments-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

describe('SegmentFile', () => {
  it('has a line in the file when write returns, and never goes on in a file that is there', () => {
    const path = join(folder, 'a.jsonl')
    const file = new SegmentFile(path)
    file.write('one\n')
    file.write('zwei ö\n')
    expect(read('a.jsonl')).toBe('one\nzwei ö\n')
    expect([file.bytes, file.waiting]).toEqual([12, 0])
    file.sync()
    file.close()
    file.close()
    expect(() => new SegmentFile(path)).toThrow('EEXIST')
  })
})

describe('appendLine', () => {
  it('makes the file, and ends a last line that a crash cut off', async () => {
    const path = join(folder, 'a.jsonl')
    await appendLine(path, 'one')
    appendFileSync(path, '{"cut')
    await appendLine(path, 'two')
    await appendLine(path, 'three')
    expect(read('a.jsonl')).toBe('one\n{"cut\ntwo\nthree\n')
  })
})

describe('openSegments', () => {
  it('begins each segment with its header, under the name it is given', async () => {
    const begin = (n: number) => ({ name: `${n}.jsonl`, header: `header ${n}` })
    const writer = await openSegments({ folder, begin, segmentBytes: 20 })
    for (const line of ['a'.repeat(20), 'b', 'c'.repeat(20), 'd']) {
      writer.append(line)
      await writer.flushed()
    }
    await writer.close()
    expect(read('0.jsonl')).toBe(`header 0\n${'a'.repeat(20)}\n`)
    expect(read('1.jsonl') + read('2.jsonl')).toBe(`header 1\nb\n${'c'.repeat(20)}\nheader 2\nd\n`)
  })
})

it('makeFolder says where it could not make one', () => {
  writeFileSync(join(folder, 'a'), '')
  makeFolder(join(folder, 'b/c'))
  expect(() => makeFolder(join(folder, 'a/b'))).toThrow(/could not write .*a\/b/)
})

it('tells of a folder that cannot be written, and of a full disk, as the first segment is opened', async () => {
  const begin = () => ({ name: 'a.jsonl', header: '{}' })
  const inFile = openSegments({ folder: `${import.meta.filename}/log`, begin })
  await expect(inFile).rejects.toMatchObject({ code: 'file_unwritable', exitCode: 1 })
  const file = await open('/dev/full', 'a')
  const full = openSegments({ folder: tmpdir(), begin, openFile: async () => file })
  await expect(full).rejects.toMatchObject({ code: 'file_unwritable' })
  expect(file.fd, 'the file is closed').toBe(-1)
})

it('goes on in a full segment while the next one cannot be opened, and loses no line', async () => {
  let refuse = false
  const segments = await openSegments({
    folder,
    begin: (n) => ({ name: `${n}.jsonl`, header: `{"segment":${n}}` }),
    segmentBytes: 100,
    flushMs: 1,
    openFile: (path) => (refuse ? Promise.reject(new Error('EMFILE')) : open(path, 'ax')),
  })
  refuse = true
  for (let i = 0; i < 20; i++) segments.append(`{"line":${i}}`)
  await vi.waitFor(() => expect(read('0.jsonl')).toContain('"line":19'))
  segments.append('{"line":20}')
  refuse = false
  await vi.waitFor(() => expect(readdirSync(folder)).toContain('1.jsonl'), 5000)
  await segments.close()
  const files = readdirSync(folder).sort()
  const lines = files.flatMap((name) => read(name).trim().split('\n'))
  expect(files.length).toBeGreaterThan(1)
  expect(lines.filter((line) => line.includes('"line"'))).toHaveLength(21)
})

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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
  const full = openSegments({ folder: tmpdir(), begin, openFile: () => open('/dev/full', 'a') })
  await expect(full).rejects.toMatchObject({ code: 'file_unwritable' })
})

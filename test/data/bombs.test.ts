import { execFileSync, spawn } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { describe, expect, test } from 'vitest'
import { readLogs } from '../../data/ingest.ts'
import { expandPaths } from '../../data/source/expand-paths.ts'
import { loadZstd, openSource } from '../../data/source/source.ts'
import { segmentFiles } from '../../records/log-reader.ts'
import { jsonl, refusal, scratch } from './scratch.ts'

const MIB = 2 ** 20

/** A zstd frame of blocks of 4 bytes, each of which expands to 128 KiB. */
function zstdBomb(blocks: number): Buffer {
  const block = (last: boolean): number[] => {
    const header = Number(last) | (1 << 1) | ((128 * 1024) << 3)
    return [header & 0xff, (header >> 8) & 0xff, (header >> 16) & 0xff, 0x61]
  }
  const bytes = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]
  for (let i = 0; i < blocks; i++) bytes.push(...block(i === blocks - 1))
  return Buffer.from(bytes)
}

const row = (prompt: string) => ({ prompt, model_a: 'big', model_b: 'small', winner: 'a' })

async function file(name: string, contents: Uint8Array | string): Promise<string> {
  const path = join(await scratch(), name)
  await writeFile(path, contents)
  return path
}

const reading = (path: string, maxBytes?: number) =>
  readLogs([path], { seed: 1, maxBytes, rejectsPath: `${path}.rejects` })

/** Bytes that come out of a source before it refuses. */
async function expanded(
  path: string,
  maxBytes?: number,
): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0
  try {
    for await (const chunk of (await openSource(path, undefined, maxBytes)).chunks()) {
      bytes += chunk.length
    }
    return { bytes, error: undefined }
  } catch (error) {
    return { bytes, error }
  }
}

describe('a decompression bomb', () => {
  test('in zstd, 132 kB that hold 4.3 GB, is stopped soon after 64 MiB', async () => {
    const path = await file('bomb.jsonl.zst', zstdBomb(33_000))
    const { bytes, error } = await expanded(path)
    expect(error).toMatchObject({
      code: 'file_too_large',
      message: expect.stringContaining('200 times'),
    })
    expect(bytes).toBeLessThan(65 * MIB)
  })

  test('in gzip is stopped soon after 64 MiB', async () => {
    const { bytes, error } = await expanded(await file('b.gz', gzipSync(Buffer.alloc(66 * MIB))))
    expect(error).toMatchObject({ code: 'file_too_large' })
    expect(bytes).toBeLessThan(65 * MIB)
  })

  test('in Parquet is stopped before a page is allocated', async () => {
    const prompts = ['a'.repeat(65 * MIB)]
    const bytes = parquetWriteBuffer({
      columnData: ['prompt', 'model_a', 'model_b', 'winner'].map((name) => ({
        name,
        data: name === 'prompt' ? prompts : ['a'],
      })),
      codec: 'GZIP',
      compressors: { GZIP: (input: Uint8Array) => gzipSync(input, { level: 1 }) },
    })
    await refusal(reading(await file('bomb.parquet', new Uint8Array(bytes))), 'file_too_large')
  })

  test('in a buffer of an Arrow file is stopped soon after 64 MiB', async () => {
    const decode = await loadZstd()
    expect(() => decode(zstdBomb(33_000))).toThrow('200 times')
    expect(decode(zstdBomb(10)).length).toBe(10 * 128 * 1024)
    const wide = zstdBomb(10)
    wide[5] = 0x15 << 3
    expect(() => decode(wide)).toThrow('asks for a window')
  })

  test('in zstd that asks for gigabytes of window is refused', async () => {
    const bomb = zstdBomb(10)
    bomb[5] = 0x15 << 3
    await refusal(reading(await file('window.jsonl.zst', bomb)), 'file_too_large')
    const single = Buffer.concat([
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0]),
      Buffer.from(new BigUint64Array([2n ** 40n]).buffer),
      Buffer.alloc(64),
    ])
    await refusal(reading(await file('single.jsonl.zst', single)), 'file_too_large')
  })

  test('is none below 64 MiB, or where it compresses as logs do', async () => {
    expect(await expanded(await file('small.gz', gzipSync(Buffer.alloc(8 * MIB))))).toEqual({
      bytes: 8 * MIB,
      error: undefined,
    })
    expect((await expanded(await file('z.zst', zstdBomb(80)))).bytes).toBe(10 * MIB)
  })
})

test('--max-bytes bounds what a log holds, compressed or not', async () => {
  const text = jsonl(Array.from({ length: 50 }, (_, i) => row(`prompt ${i}`)))
  for (const path of [await file('a.jsonl', text), await file('a.jsonl.gz', gzipSync(text))]) {
    expect((await expanded(path, text.length)).error).toBeUndefined()
    await refusal(reading(path, text.length - 1), 'file_too_large')
    expect((await reading(path, text.length)).prompts).toHaveLength(50)
  }
})

describe('a folder of logs', () => {
  test('with a link or a FIFO named like a log is refused, for logs and for decision logs', async () => {
    const folder = await scratch()
    const text = jsonl([row('a')])
    await writeFile(join(folder, 'real.txt'), text)
    for (const [name, make] of [
      ['link', (path: string) => symlink(join(folder, 'real.txt'), path)],
      ['pipe', (path: string) => execFileSync('mkfifo', [path])],
      ['device', (path: string) => symlink('/dev/zero', path)],
    ] as const) {
      const logs = join(folder, name)
      await mkdir(logs)
      await make(join(logs, '0.jsonl'))
      await refusal(expandPaths([logs]), 'file_unreadable')
      await refusal(expandPaths([`${logs}/*.jsonl`]), 'file_unreadable')
      await refusal(segmentFiles(logs), 'file_unreadable')
    }
    // a link that the user names is the user's choice
    expect(await expandPaths([join(folder, 'link', '0.jsonl')])).toHaveLength(1)
  })

  test('a FIFO or device that is named itself is refused instead of waited for', async () => {
    const path = join(await scratch(), 'pipe.jsonl')
    execFileSync('mkfifo', [path])
    await refusal(reading(path), 'file_unreadable')
    await refusal(reading('/dev/zero'), 'file_unreadable')
    await refusal(segmentFiles(path), 'file_unreadable')
  })
})

test('SIGTERM ends a command that waits for standard input', async () => {
  const args = ['--import', 'tsx', 'scripts/weir.ts', 'data', 'inspect', '-', '--json']
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'pipe'] })
  let err = ''
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  // written once the command has begun to read
  await new Promise((resolve) => child.stdin.write(`{"prompt": "${'a'.repeat(MIB)}`, resolve))
  child.kill('SIGTERM')
  const code = await new Promise((resolve) => child.once('exit', resolve))
  expect([code, err]).toEqual([130, expect.stringContaining('[cancelled]')])
})

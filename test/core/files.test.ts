import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  fileSystemError,
  inFolder,
  makeFolders,
  removePartials,
  renameInto,
  writeNew,
  writeWhole,
} from '../../core/files.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-files-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('writeWhole', () => {
  it('replaces a file, from text, bytes or parts', async () => {
    const path = join(folder, 'b.txt')
    await writeWhole(path, 'one')
    await writeWhole(path, Buffer.from('two'), { flush: false })
    expect(await readFile(path, 'utf8')).toBe('two')
    await writeWhole(path, [Buffer.from('th'), Buffer.from('ree')])
    expect(await readFile(path, 'utf8')).toBe('three')
    expect(await readdir(folder)).toEqual(['b.txt'])
  })

  it('of several at once leaves one of them whole', async () => {
    const path = join(folder, 'a')
    const texts = ['x', 'y', 'z'].map((letter) => letter.repeat(100_000))
    await Promise.all(texts.map((text) => writeWhole(path, text, { flush: false })))
    expect(texts).toContain(await readFile(path, 'utf8'))
    expect(await readdir(folder)).toEqual(['a'])
  })

  it('says what it could not write, and leaves nothing', async () => {
    await mkdir(join(folder, 'taken/inside'), { recursive: true })
    const path = join(folder, 'taken')
    const error = await writeWhole(path, 'x').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'file_unwritable', cause: { code: 'EISDIR' } })
    expect(await readdir(folder)).toEqual(['taken'])
  })
})

describe('writeNew', () => {
  it('never replaces a file', async () => {
    const path = join(folder, 'a')
    await writeNew(path, 'one')
    await expect(writeNew(path, 'two')).rejects.toThrow('EEXIST')
    expect(await readFile(path, 'utf8')).toBe('one')
  })
})

describe('renameInto', () => {
  it('puts a link in the place of another', async () => {
    const path = join(folder, 'current')
    for (const version of ['one', 'two']) {
      await writeFile(join(folder, version), version)
      await renameInto(path, (partial) => symlink(version, partial))
    }
    expect(await readFile(path, 'utf8')).toBe('two')
  })

  it('removes what was half made when making it fails', async () => {
    const made = renameInto(join(folder, 'a'), async (partial) => {
      await mkdir(partial)
      await writeFile(join(partial, 'x'), 'x')
      throw new Error('half way')
    })
    await expect(made).rejects.toThrow('half way')
    expect(await readdir(folder)).toEqual([])
  })
})

it('removePartials removes what ended processes left, under one name or any', async () => {
  const ended = 2 ** 22 + 1
  const names = [`.a.ff.${ended}.partial`, `.b.ff.${ended}.partial`, `.b.${ended}.old`]
  const others = [`.a.ff.${process.pid}.partial`, 'a', 'a.partial']
  for (const name of [...names, ...others]) await writeFile(join(folder, name), '')
  await removePartials(folder, 'a')
  expect((await readdir(folder)).sort()).toEqual([...names.slice(1), ...others].sort())
  await removePartials(folder)
  expect((await readdir(folder)).sort()).toEqual([...others].sort())
})

describe('a failure of the file system', () => {
  const failure = (code: string, more: object): Error =>
    Object.assign(new Error(`${code}: as node says it`), { code, ...more })

  it.each([
    [{ code: 'ENOSPC', syscall: 'write' }, 'could not write a file: no space is left on the disk'],
    [
      { code: 'EROFS', syscall: 'mkdir', path: '/x/y' },
      'could not mkdir /x/y: the file system is read-only',
    ],
    [
      { code: 'EACCES', syscall: 'rename', path: '/x/a', dest: '/x/b' },
      'could not rename /x/b: permission denied',
    ],
  ])('%j is told as one', ({ code, ...more }, message) => {
    expect(fileSystemError(failure(code, more))).toMatchObject({ code: 'file_failed', message })
  })

  it('is not what a bug throws, nor a socket', () => {
    expect(fileSystemError(new TypeError('x is not a function'))).toBeUndefined()
    expect(fileSystemError(failure('ECONNREFUSED', { syscall: 'connect' }))).toBeUndefined()
    expect(fileSystemError(failure('EACCES', { syscall: 'listen' }))).toBeUndefined()
    expect(fileSystemError(undefined)).toBeUndefined()
  })

  it('in a new folder leaves no empty folder, and what was there before', async () => {
    const root = folder
    const failing = async () => {
      throw new Error('disk')
    }
    await expect(inFolder(join(root, 'a', 'b', 'c'), failing)).rejects.toThrow('disk')
    expect(await readdir(root)).toEqual([])
    await mkdir(join(root, 'a'))
    await expect(inFolder(join(root, 'a', 'b'), failing)).rejects.toThrow('disk')
    await expect(inFolder(join(root, 'a'), failing)).rejects.toThrow('disk')
    expect(await readdir(root)).toEqual(['a'])
  })
})

describe('makeFolders', () => {
  it('makes a folder and those it is in, again too', async () => {
    const path = join(folder, 'a/b/c')
    makeFolders(path)
    makeFolders(path)
    expect(await readdir(join(folder, 'a/b'))).toEqual(['c'])
  })

  it('refuses a file in the way', async () => {
    await writeFile(join(folder, 'file'), '')
    expect(() => makeFolders(join(folder, 'file'))).toThrow('EEXIST')
    expect(() => makeFolders(join(folder, 'file/deeper'))).toThrow(/EEXIST|ENOTDIR/)
  })

  it.runIf(process.platform === 'linux')('ends where no folder can be made', () => {
    expect(() => makeFolders('/proc/weir/log')).toThrow('ENOENT')
  })
})

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Lock, lockFolder, tryLock, withLock } from '../../core/lock.ts'
import { contendForLock } from './contend-for-lock.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-lock-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const held = (lock: ReturnType<typeof lockFolder>): Lock => {
  if ('holder' in lock) throw new Error(`held by ${lock.holder}`)
  return lock
}

describe('a lock', () => {
  it('is held once, until it is released', () => {
    const lock = tryLock(folder)!
    expect(tryLock(folder)).toBeUndefined()
    lock.release()
    lock.release()
    const next = tryLock(folder)
    expect(next).toBeDefined()
    next!.release()
  })

  it('belongs to the folder, whatever path leads there, and each of its files has another', () => {
    mkdirSync(join(folder, 'real'))
    symlinkSync('real', join(folder, 'link'))
    const locks = [tryLock(join(folder, 'real')), tryLock(join(folder, 'real/a'))]
    locks.push(tryLock(join(folder, 'link/b')))
    expect(locks.every((lock) => lock !== undefined)).toBe(true)
    for (const path of ['link', 'link/a', 'real/b'])
      expect(tryLock(join(folder, path))).toBeUndefined()
    for (const lock of locks) lock!.release()
  })

  it('cannot be taken on what is not there', () => {
    expect(() => tryLock(join(folder, 'a/b'))).toThrow(/cannot take a lock on .*ENOENT/)
  })
})

describe('withLock', () => {
  it('lets one in at a time, and gives the lock back after an error', async () => {
    let within = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++within)
      await new Promise((resolve) => setImmediate(resolve))
      within--
      throw new Error('after all')
    }
    const each = [1, 2, 3, 4].map(() => withLock(folder, { deadlineMs: 10_000 }, work))
    for (const one of await Promise.allSettled(each)) expect(one.status).toBe('rejected')
    expect(most).toBe(1)
    expect(await withLock(folder, { deadlineMs: 0 }, async () => 5)).toBe(5)
  })

  it('ends at its deadline', async () => {
    const lock = tryLock(folder)!
    await expect(withLock(folder, { deadlineMs: 20 }, async () => 5)).rejects.toMatchObject({
      code: 'lock_timeout',
    })
    lock.release()
  })
})

describe('lockFolder', () => {
  const write = (holder: object): void =>
    writeFileSync(join(folder, 'lock'), JSON.stringify(holder))

  it('names the holder, and leaves nothing behind', () => {
    const lock = held(lockFolder(folder, Date.now))
    expect(JSON.parse(readFileSync(join(folder, 'lock'), 'utf8'))).toMatchObject({
      pid: process.pid,
    })
    expect(lockFolder(folder, Date.now)).toEqual({
      holder: `process ${process.pid} of ${hostname()}`,
    })
    lock.release()
    expect(readdirSync(folder)).toEqual([])
  })

  it('does not ask the file about a process that shares our kernel: it holds the lock or it does not', () => {
    write({ pid: process.ppid, host: hostname() })
    held(lockFolder(folder, Date.now)).release()
  })

  it('refuses a folder that a process elsewhere has touched lately', () => {
    const holder = 'process 1 of elsewhere'
    write({ pid: 1, host: 'elsewhere' })
    expect(lockFolder(folder, Date.now)).toEqual({ holder })
    write({ pid: 1, host: hostname(), net: 'net:[1]' })
    expect(lockFolder(folder, Date.now)).toEqual({ holder: `process 1 of ${hostname()}` })
    held(lockFolder(folder, () => Date.now() + 60_000)).release()
    expect(readdirSync(folder)).toEqual([])
  })
})

it('holds while processes contend for it and are killed; the crash suite does this 10,000 times', async () => {
  const { takings, kills, killedHolding, overlaps } = await contendForLock({
    takings: 200,
    kills: 8,
  })
  expect(overlaps).toEqual([])
  expect(takings).toBeGreaterThanOrEqual(200)
  expect(kills).toBeGreaterThanOrEqual(8)
  expect(killedHolding).toBeLessThan(kills)
})

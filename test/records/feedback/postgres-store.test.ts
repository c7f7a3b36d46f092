import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openFeedbackStore } from '../../../records/feedback/open-store.ts'
import { forgetInPostgres } from '../../../records/feedback/postgres-store.ts'
import { storeContract, word, wordsOf } from '../../../testing/feedback-store-contract.ts'
import { built } from '../../built/build.ts'

const DEBIAN = '/usr/lib/postgresql'
const bin = existsSync(DEBIAN)
  ? readdirSync(DEBIAN)
      .map((version) => join(DEBIAN, version, 'bin'))
      .find((folder) => existsSync(join(folder, 'initdb')))
  : undefined

/** PostgreSQL refuses to run as root: the user that Debian's package made, or this one. */
function runsAs(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  try {
    const id = (flag: string): number =>
      Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
    return { uid: id('-u'), gid: id('-g') }
  } catch {
    return {}
  }
}
const user = bin ? runsAs() : {}
const usable = bin !== undefined && (process.getuid?.() !== 0 || user.uid !== undefined)
if (!usable) console.info('PostgreSQL store: skipped, Debian’s postgresql is not installed')

describe.skipIf(!usable)('in PostgreSQL', () => {
  let folder: string
  let port: number
  const url = (name: string): string => `postgres://weir@127.0.0.1:${port}/${name}`
  const admin = (sql: string): void => {
    const options = ['-h', '127.0.0.1', '-p', String(port), '-U', 'weir', '-d', 'postgres']
    execFileSync(join(bin!, 'psql'), [...options, '-qc', sql], { stdio: 'pipe' })
  }
  const control = (...options: string[]): void => {
    execFileSync(join(bin!, 'pg_ctl'), ['-D', join(folder, 'data'), '-w', ...options], {
      ...user,
      cwd: folder,
      stdio: 'ignore',
    })
  }
  const start = (): void => {
    const settings = `-p ${port} -c listen_addresses=127.0.0.1 -k ${folder}`
    control('-l', join(folder, 'log'), '-o', settings, 'start')
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weir-postgres-'))
    if (user.uid !== undefined) chownSync(folder, user.uid, user.gid!)
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    port = (probe.address() as { port: number }).port
    probe.close()
    execFileSync(
      join(bin!, 'initdb'),
      ['-D', join(folder, 'data'), '-U', 'weir', '--auth=trust', '--no-sync'],
      { ...user, cwd: folder, stdio: 'pipe' },
    )
    start()
  }, 60_000)
  afterAll(() => {
    control('-m', 'immediate', 'stop')
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  const made = new Set<string>()
  storeContract(async (name) => {
    if (!made.has(name)) admin(`CREATE DATABASE ${name}`)
    made.add(name)
    return openFeedbackStore(url(name))
  })

  test('replicas that start together share one table', async () => {
    admin('CREATE DATABASE replicas')
    const stores = await Promise.all([1, 2, 3].map(() => openFeedbackStore(url('replicas'))))
    await Promise.all(stores.map((store, i) => store.record(word({ source: `s${i}` }))))
    expect(await wordsOf(stores[0]!)).toHaveLength(3)
    await Promise.all(stores.map((store) => store.close()))
  })

  test('kill -9 of a writer and a crash of the server lose nothing that was acknowledged', async () => {
    admin('CREATE DATABASE killed')
    const writer = join(built(), 'test/records/feedback/store-writer.js')
    const child = spawn(process.execPath, [writer, url('killed')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const acknowledged: string[] = []
    const ended = once(child, 'exit')
    for await (const id of createInterface({ input: child.stdout })) {
      acknowledged.push(id)
      if (acknowledged.length === 150) {
        control('-m', 'immediate', 'stop')
        child.kill('SIGKILL')
      }
    }
    await ended
    start()
    const store = await openFeedbackStore(url('killed'))
    const kept = (await wordsOf(store)).map((record) => record.decision_id)
    await store.close()
    expect(new Set(kept).size).toBe(kept.length)
    expect(acknowledged.length).toBeGreaterThan(100)
    expect(acknowledged.filter((id) => !kept.includes(id))).toEqual([])
  }, 60_000)

  test('forgets the feedback on given decisions, and what is older', async () => {
    admin('CREATE DATABASE forgotten')
    const store = await openFeedbackStore(url('forgotten'))
    for (const [id, time] of [
      ['a', 1000],
      ['b', 1000],
      ['c', 5000],
    ] as const) {
      await store.record(word({ decision_id: id, time }))
      await store.record(word({ decision_id: id, time, source: 'judge' }))
    }
    expect(await forgetInPostgres(url('forgotten'), ['a'], undefined)).toBe(2)
    expect(new Set((await wordsOf(store)).map((one) => one.decision_id))).toEqual(
      new Set(['b', 'c']),
    )
    expect(await forgetInPostgres(url('forgotten'), [], 2000)).toBe(2)
    expect(await wordsOf(store)).toHaveLength(2)
    await store.record(word({ decision_id: 'd', time: 6000, key: 'ann' }))
    expect(await forgetInPostgres(url('forgotten'), [], undefined, ['ann'])).toBe(1)
    expect(await wordsOf(store)).toHaveLength(2)
    await store.close()
  })

  test('a server that cannot be reached is named, its password is not', async () => {
    const store = openFeedbackStore('postgres://weir:secret@127.0.0.1:1/nothing')
    const error = await store.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'store_unavailable', status: 503 })
    expect(String(error)).not.toContain('secret')
  })
})

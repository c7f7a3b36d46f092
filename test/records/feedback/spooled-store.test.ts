import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WeirError } from '../../../core/errors.ts'
import type { FeedbackRecord } from '../../../records/decision-record.ts'
import { spooledStore } from '../../../records/feedback/spooled-store.ts'
import { type FeedbackStore, latestFeedback } from '../../../records/feedback/store.ts'

const rating = (id: string, score = 1): FeedbackRecord => ({
  object: 'feedback',
  decision_id: id,
  time: 1,
  score,
})

/** A store that does what it is told. */
class Store implements FeedbackStore {
  readonly kept: FeedbackRecord[] = []
  does: 'keep' | 'refuse' | 'fail' | 'hang' | 'keep late' = 'keep'
  closed = false

  async record(record: FeedbackRecord): Promise<void> {
    if (this.does === 'hang') await new Promise(() => {})
    if (this.does === 'fail')
      throw new WeirError('store_unavailable', { store: 's', reason: 'gone' })
    if (this.does === 'refuse') {
      const cause = Object.assign(new Error('a NUL'), { code: '22021' })
      throw new WeirError('store_unavailable', { store: 's', reason: 'a NUL' }, { cause })
    }
    this.kept.push(record)
    if (this.does === 'keep late') await new Promise(() => {})
  }
  async *read(): AsyncGenerator<FeedbackRecord> {
    yield* latestFeedback(this.kept)
  }
  async close(): Promise<void> {
    this.closed = true
  }
}

let folder: string
let store: Store
let warnings: string[]
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'weir-spool-')), 'waiting')
  store = new Store()
  warnings = []
})
afterEach(() => rm(join(folder, '..'), { recursive: true }))

const open = (): Promise<FeedbackStore> =>
  spooledStore(store, {
    folder,
    deadlineMs: 50,
    retryMs: 10,
    onWarning: (message) => warnings.push(message),
  })
const ids = (): string[] => store.kept.map(({ decision_id: id }) => id)

describe('feedback', () => {
  test('goes to the store, and nothing waits', async () => {
    const spooled = await open()
    await spooled.record(rating('a'))
    expect(ids()).toEqual(['a'])
    expect(await readdir(folder)).toEqual([])
    await spooled.close()
    expect(store.closed).toBe(true)
  })

  test.each(['fail', 'hang'] as const)(
    'waits on disk while the store does not answer (%s), and is delivered in order',
    async (does) => {
      const spooled = await open()
      store.does = does
      for (const id of ['a', 'b', 'c']) await spooled.record(rating(id))
      expect(await readdir(folder)).toHaveLength(3)
      expect(warnings).toHaveLength(1)
      store.does = 'keep'
      await expect.poll(ids).toEqual(['a', 'b', 'c'])
      await expect.poll(() => readdir(folder)).toEqual([])
      expect(warnings.at(-1)).toContain('answers again')
      await spooled.record(rating('d'))
      expect(ids()).toEqual(['a', 'b', 'c', 'd'])
      await spooled.close()
    },
  )

  test('that waited in a process that ended is delivered by the next one', async () => {
    const first = await open()
    store.does = 'fail'
    await first.record(rating('a'))
    await first.close()
    store = new Store()
    const second = await open()
    await expect.poll(ids).toEqual(['a'])
    await second.close()
  })

  test('that the store kept without saying so counts once', async () => {
    const spooled = await open()
    store.does = 'keep late'
    await spooled.record(rating('a'))
    store.does = 'keep'
    await expect.poll(ids).toEqual(['a', 'a'])
    const read: FeedbackRecord[] = []
    for await (const record of spooled.read()) read.push(record)
    expect(read).toEqual([rating('a')])
    await spooled.close()
  })

  test('that the store refuses is refused to its client, and set aside where it waited', async () => {
    const spooled = await open()
    store.does = 'refuse'
    await expect(spooled.record(rating('a'))).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(await readdir(folder)).toEqual([])
    store.does = 'fail'
    await spooled.record(rating('b'))
    await writeFile(join(folder, '000000000000001-1-1.json'), '{"object": "feedback"}')
    store.does = 'refuse'
    await expect
      .poll(async () => (await readdir(folder)).filter((name) => name.endsWith('.refused')).length)
      .toBe(2)
    store.does = 'keep'
    await expect.poll(() => warnings.at(-1)).toContain('answers again')
    await spooled.record(rating('c'))
    expect(ids()).toEqual(['c'])
    await spooled.close()
  })
})

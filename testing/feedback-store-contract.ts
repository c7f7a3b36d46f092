import { describe, expect, test } from 'vitest'
import type { FeedbackRecord } from '../records/decision-record.ts'
import type { FeedbackStore } from '../records/feedback/store.ts'

export const word = (more: Partial<FeedbackRecord> = {}): FeedbackRecord => ({
  object: 'feedback',
  decision_id: 'd1',
  score: 1,
  time: 1000,
  ...more,
})

export async function wordsOf(store: FeedbackStore): Promise<FeedbackRecord[]> {
  const all: FeedbackRecord[] = []
  for await (const record of store.read()) all.push(record)
  return all
}

/** What every store keeps to. @param open the same store again, as after a restart, for the same name */
export function storeContract(open: (name: string) => Promise<FeedbackStore>): void {
  const withStore = async (name: string, work: (store: FeedbackStore) => Promise<void>) => {
    const store = await open(name)
    try {
      await work(store)
    } finally {
      await store.close()
    }
  }

  describe('a feedback store', () => {
    test('keeps what was said, whole, over a restart', async () => {
      const whole = word({
        model: 'small',
        source: 'judge',
        kind: 'verdict',
        cost_usd: 0.001,
        output_tokens: 12,
      })
      await withStore('whole', (store) => store.record(whole))
      await withStore('whole', async (store) => expect(await wordsOf(store)).toEqual([whole]))
    })

    test('a repeated delivery counts once', async () => {
      await withStore('repeated', async (store) => {
        for (let i = 0; i < 3; i++) await store.record(word())
        await Promise.all(Array.from({ length: 10 }, () => store.record(word())))
        expect(await wordsOf(store)).toEqual([word()])
      })
      await withStore('repeated', async (store) => {
        await store.record(word())
        expect(await wordsOf(store)).toEqual([word()])
      })
    })

    test('the last word of a source counts, even when an earlier one arrives late', async () => {
      await withStore('late', async (store) => {
        await store.record(word({ score: 0.2, time: 2000 }))
        await store.record(word({ score: 0.9, time: 1500 }))
        expect(await wordsOf(store)).toMatchObject([{ score: 0.2 }])
        await store.record(word({ score: 0.7, time: 3000 }))
        expect(await wordsOf(store)).toMatchObject([{ score: 0.7 }])
      })
    })

    test('sources, models and decisions are kept apart, in the order of their times', async () => {
      await withStore('apart', async (store) => {
        await store.record(word({ decision_id: 'd2', time: 4 }))
        await store.record(word({ source: 'user', time: 3 }))
        await store.record(word({ source: 'judge', time: 2 }))
        await store.record(word({ source: 'judge', model: 'other', time: 1 }))
        expect((await wordsOf(store)).map(({ time }) => time)).toEqual([1, 2, 3, 4])
      })
    })

    test('a thousand words at once are all kept', async () => {
      await withStore('many', async (store) => {
        const words = Array.from({ length: 1000 }, (_, i) =>
          word({ decision_id: `m${i}`, time: i }),
        )
        await Promise.all(words.map((one) => store.record(one)))
        expect(await wordsOf(store)).toEqual(words)
      })
    })
  })
}

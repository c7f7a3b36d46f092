import { expect, it } from 'vitest'
import type { LogLine } from '../../records/log-reader.ts'
import { replay } from '../../scripts/replay/replay.ts'

it('replay counts what a lower threshold sends to the strong model, and its dollars', async () => {
  async function* lines(): AsyncGenerator<LogLine> {
    for (const [i, winRate] of [0.9, 0.45, 0.2].entries()) {
      const reached = winRate >= 0.5
      const base = { router: 'r', version: 'v', threshold: 0.5, propensity: 1, prompt_hash: 'h' }
      const model = reached ? 'strong' : 'weak'
      const reason = reached ? 'win_rate_reached' : 'win_rate_below'
      const record = { object: 'decision' as const, id: `${i}`, time: i, ...base, model, reason }
      yield { record: { ...record, win_rate: winRate }, path: 'log', line: 2 * i + 1 }
      const feedback = { object: 'feedback' as const, decision_id: `${i}`, score: 1, time: i }
      yield { record: { ...feedback, cost_usd: reached ? 10 : 1 }, path: 'log', line: 2 * i + 2 }
    }
  }
  expect(await replay(lines(), 0.4)).toEqual({
    decisions: 3,
    untouched: 0,
    changed: 1,
    before: { strong: 1, weak: 2 },
    after: { strong: 2, weak: 1 },
    usdBefore: 12,
    usdAfter: 21,
  })
})

import { expect, test } from 'vitest'
import { calibrateCascade } from '../../training/calibrate/calibrate-cascade.ts'
import { readCascadeLog } from '../../training/calibrate/cascade-log.ts'
import { openExample } from './example-app.ts'

test('what a cascade logs is what its threshold is calibrated from', async () => {
  const app = await openExample('cascade.yaml')
  try {
    app.upstreams.local!.reply = (_, nth) => ({ text: 'x', logprobs: [Math.log(nth / 50)] })
    for (let i = 0; i < 40; i++) {
      const { headers } = await app.ask('question', { model: 'weir/confident' })
      if (i < 35) continue
      await app.sample.app.inject({
        method: 'POST',
        url: '/feedback',
        payload: { decision_id: headers.get('x-weir-id'), score: 1 },
      })
    }
    const { log } = app.sample.services
    await log!.flushed()
    const { rows, check } = await readCascadeLog(app.sample.config.log!.folder)
    expect(check).toBe('logprob')
    expect(rows.map(({ score }) => Number(score.toFixed(6)))).toEqual(
      Array.from({ length: 40 }, (_, i) => (i + 1) / 50),
    )
    // none reached .9, so the strong model answered and the feedback is about it
    expect(rows.filter(({ passed }) => passed)).toEqual([])
    expect(rows.slice(35).map(({ strong, weak }) => [strong, weak])).toEqual(
      new Array(5).fill([1, undefined]),
    )
    const target = { kind: 'strong-share', share: 0.25 } as const
    const { threshold } = calibrateCascade(rows, { target, seed: 1 })
    expect(threshold).toBeCloseTo(10.5 / 50, 6)
  } finally {
    await app.close()
  }
})

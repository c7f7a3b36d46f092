import { expect, test } from 'vitest'
import { feedbackRecord } from '../../../records/feedback/body.ts'

const about = { decision_id: 'd' }

test.each([
  [{ score: 0.3 }, { score: 0.3 }],
  [{ thumbs: 'up' }, { score: 1, kind: 'thumbs' }],
  [{ verdict: 'partial' }, { score: 0.5, kind: 'verdict' }],
  [
    { preference: { over: 'big', winner: 'other' } },
    { score: 0, kind: 'preference', against: 'big' },
  ],
  [{ correction: {} }, { score: 0, kind: 'correction' }],
] as const)('feedback %j is kept as %j', (body, record) => {
  expect(feedbackRecord({ ...about, ...body }, 7)).toEqual({
    object: 'feedback',
    ...about,
    time: 7,
    ...record,
  })
})

test('feedback that says nothing, two things, or comes from the future is refused', () => {
  const refused = (body: object) => () => feedbackRecord({ ...about, ...body }, 1000)
  expect(refused({})).toThrow('expected one of score, thumbs')
  expect(refused({ score: 1, thumbs: 'up' })).toThrow('score and thumbs')
  expect(refused({ score: 1, time: 1e9 })).toThrow('time in the past')
  expect(feedbackRecord({ ...about, score: 1, time: 5 }, 1000).time).toBe(5)
})

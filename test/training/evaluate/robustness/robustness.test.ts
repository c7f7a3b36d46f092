import { describe, expect, it } from 'vitest'
import { transcript } from '../../../../models/reading/transcript.ts'
import { PERTURBATIONS, perturbed } from '../../../../training/evaluate/robustness/perturbations.ts'
import { measureRobustness } from '../../../../training/evaluate/robustness/robustness.ts'
import { findSuffix, vocabularyOf } from '../../../../training/evaluate/robustness/suffix-search.ts'

const WORDS = 'amber brook cedar delta ember flint grove heron ivory jetty knoll larch'.split(' ')
const prompts = Array.from(
  { length: 60 },
  (_, i) => `${WORDS[i % 12]} ${WORDS[(i * 5) % 12]} question ${i % 2 === 0 ? 'prove' : 'hello'}`,
)
const gain = prompts.map((_, i) => (i % 2 === 0 ? 1 : 0))
const count = (text: string, word: string): number => text.split(word).length - 1

/** A router that counts words: `prove` and `heron` ask for the strong model, `hello` and `flint` for the weak one. */
const counting = async (texts: readonly string[]): Promise<Float64Array> =>
  Float64Array.from(texts, (text) => {
    const z =
      count(text, 'prove') + count(text, 'heron') - count(text, 'hello') - count(text, 'flint')
    return 1 / (1 + Math.exp(-z))
  })
const base = { prompts, gain, threshold: 0.5, seed: 1 }

describe('perturbations', () => {
  it.each(PERTURBATIONS)('$name changes the last user turn alone', (one) => {
    const context = { tier: 'gold' }
    const chat = transcript(
      [
        { role: 'user', content: 'First words' },
        { role: 'assistant', content: 'An answer' },
        { role: 'user', content: 'Explain café sentences' },
      ],
      'System',
      [{ name: 'tool' }],
      context,
    )
    const changed = perturbed(chat, 3, one)
    for (const kept of ['First words', 'An answer', 'System', 'tool', 'gold']) {
      expect(changed).toContain(kept)
    }
    expect(one.name === 'typos' || changed !== chat).toBe(true)
    expect(perturbed(chat, 3, one)).toBe(changed)
  })
})

describe('the measure of robustness', () => {
  it('says which changes turn decisions, in which direction, and what they cost', async () => {
    const report = await measureRobustness({ ...base, score: counting })
    const of = (change: string) => report.rows.find((row) => row.change === change)!
    expect(report).toMatchObject({ prompts: 60, apgr: 0.75 })
    expect(of('spacing')).toMatchObject({ upgraded: 0, downgraded: 0 })
    // a word counter reads no zero-width characters: nothing asks for either model any more
    expect(of('zero-width')).toMatchObject({ upgraded: 1, strong_share: 1 })
    expect(of('zero-width').apgr).toBeCloseTo(0.5)
    expect(of('hardest prompt pasted').upgraded).toBeGreaterThan(0.3)
    expect(of('easiest prompt pasted').downgraded).toBeGreaterThan(0)
    expect(report.rows.some(({ change }) => change.startsWith('universal'))).toBe(false)
  })

  it('finds the words that turn a router, and leaves one that reads the question alone in peace', async () => {
    const search = { candidates: 300, queries: 10, words: 5 }
    const turned = await measureRobustness({ ...base, score: counting, search })
    const up = turned.rows.find(({ change }) => change === 'universal suffix up')!
    const down = turned.rows.find(({ change }) => change === 'universal suffix down')!
    expect(up.upgraded).toBe(1)
    expect(down.downgraded).toBe(1)
    const firstLine = (texts: readonly string[]) =>
      counting(texts.map((text) => text.split('\n')[0]!))
    const calm = await measureRobustness({ ...base, score: firstLine, search })
    for (const { kind, upgraded, downgraded } of calm.rows) {
      if (kind === 'attack') expect([upgraded, downgraded]).toEqual([0, 0])
    }
  })

  it('searches the same suffix for the same seed, and stops when told', async () => {
    const search = { words: 3, candidates: 50, seed: 7, direction: 'up' as const }
    const vocabulary = vocabularyOf(prompts)
    expect(vocabulary).toContain('heron')
    const once = await findSuffix(counting, prompts.slice(0, 5), { ...search, vocabulary })
    expect(await findSuffix(counting, prompts.slice(0, 5), { ...search, vocabulary })).toBe(once)
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(findSuffix(counting, prompts, { ...search, vocabulary, signal })).rejects.toThrow(
      'stopped',
    )
  })
})

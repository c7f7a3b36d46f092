import { describe, expect, it } from 'vitest'
import type { GatewayRequest, Plan } from '../../../serving/gateway/contracts.ts'
import { checkPolicy } from '../../../serving/policy/check.ts'
import { LANGUAGES, openLanguageOf } from '../../../serving/policy/condition.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'
import type { PolicyServices } from '../../../serving/policy/step.ts'
import { fakeRouter, requestOf } from '../../../testing/step-contract.ts'

const planning = {
  signal: new AbortController().signal,
  send: () => Promise.reject(new Error('asked a model')),
}

/** Whether a rule with this condition holds. */
async function holds(
  when: string,
  text: string,
  more: Partial<GatewayRequest> = {},
  needs: PolicyServices = {},
): Promise<boolean> {
  const file = `version: 1
models: { a: { tools: true, vision: true }, b: { tools: true, vision: true } }
keys: { team: { tier: gold } }
rules: [{ name: it, when: ${when}, route: b }]
default: a`
  const plan = await createPolicy(checkPolicy(file, 'p.yaml'), needs).plan(
    requestOf({ text, ...more }),
    planning,
  )
  return plan.deciding.step === 'rule'
}

describe('a condition', () => {
  it.each([
    // no spaces between words
    ['发票', '我需要开发票', true],
    ['エラー', 'ネットワークエラーです', true],
    ['ราคา', 'สอบถามราคาสินค้า', true],
    ['ລາຄາ', 'ຖາມລາຄາສິນຄ້າ', true],
    // another alphabet ends a word
    ['python', '用python写一个函数', true],
    ['python', 'Pythonの使い方', true],
    ['python', 'python으로 짜줘', true],
    ['api', '调用API接口', true],
    // particles stand behind Korean words, not before them
    ['환불', '환불을 원해요', true],
    ['환불', '결제환불 문의', false],
    ['환불 정책', '환불 정책은 어디에', true],
    // letters, digits and marks of other alphabets belong to a word
    ['python', 'pythonic', false],
    ['art', 'art2', false],
    ['код', 'кодекс', false],
    ['код', 'мой код!', true],
    ['कर', 'करि', false],
  ])('finds %s in %s: %s', async (word, text, found) => {
    expect(await holds(`{ keywords: ["${word}"] }`, text)).toBe(found)
  })

  it('finds whole words in any case, and no parts of words', async () => {
    expect(await holds('{ keywords: [diagnose me] }', 'Please DIAGNOSE me!')).toBe(true)
    expect(await holds('{ keywords: [art] }', 'start the party')).toBe(false)
    expect(await holds('{ keywords: ["c++"] }', 'learn C++ now')).toBe(true)
    expect(await holds('{ keywords: [état] }', 'l’état c’est moi')).toBe(true)
    expect(await holds('{ keywords: [art] }', 'party, then ART')).toBe(true)
    expect(await holds('{ keywords: [art] }', '𝒳art')).toBe(false)
    expect(await holds('{ keywords: [art] }', 'art𝒳')).toBe(false)
    expect(await holds('{ keywords: [art] }', '🎨art🎨')).toBe(true)
    expect(await holds('{ keywords: [a] }', `${'a'.repeat(200_000)}`)).toBe(false)
  })

  it('searches patterns in time linear in the text', async () => {
    expect(await holds('{ regex: ["(a+)+$"] }', `${'a'.repeat(50_000)}b`)).toBe(false)
    expect(await holds('{ regex: ["^\\\\d+$"] }', '12345')).toBe(true)
  })

  it('counts the characters of the whole conversation', async () => {
    expect(await holds('{ characters: { min: 5 } }', 'four')).toBe(false)
    expect(await holds('{ characters: { min: 5, max: 5 } }', 'fives')).toBe(true)
    expect(await holds('{ characters: { max: 5 } }', 'sixsix')).toBe(false)
  })

  it('knows keys, tiers and tags', async () => {
    const team = { caller: { name: 'team' } }
    expect(await holds('{ tier: [gold] }', 'x', team)).toBe(true)
    expect(await holds('{ tier: [gold] }', 'x')).toBe(false)
    expect(await holds('{ key: [team] }', 'x', team)).toBe(true)
    expect(await holds('{ tags: [a] }', 'x', { headers: { 'x-weir-tags': 'b, a' } })).toBe(true)
  })

  it.each([
    ['{ n: 3 }', { n: 3 }, true],
    ['{ n: [1, 3] }', { n: 3 }, true],
    ['{ n: [1, 3] }', { n: '3' }, false],
    ['{ n: { gte: 3, lt: 5 } }', { n: 3 }, true],
    ['{ n: { gte: 3, lt: 5 } }', { n: 5 }, false],
    ['{ n: { gt: 3 } }', { n: 3 }, false],
    ['{ n: { lte: 3 } }', { n: 3 }, true],
    ['{ n: { gt: 3 } }', { n: '4' }, false],
    ['{ n: { gt: 3 } }', {}, false],
    ['{ n: { not: free } }', { n: 'paid' }, true],
    ['{ n: { not: [free, trial] } }', { n: 'trial' }, false],
    ['{ n: { not: free } }', {}, true],
    ['{ n: { exists: true } }', { n: null }, true],
    ['{ n: { exists: false } }', {}, true],
    ['{ constructor: { exists: true } }', {}, false],
    ['{ n: b }', { n: ['a', 'b'] }, true],
  ])('compares metadata: %s with %o', async (test, metadata, expected) => {
    expect(await holds(`{ metadata: ${test} }`, 'x', { hints: { metadata } })).toBe(expected)
  })

  it('tells the language of a question, and none where it cannot', async () => {
    const languageOf = await openLanguageOf()
    const german = (text: string) => holds('{ language: [de] }', text, {}, { languageOf })
    expect(await german('Was ist die Hauptstadt von Frankreich?')).toBe(true)
    expect(await german('What is the capital of France?')).toBe(false)
    expect(await german('2 + 2 = ?')).toBe(false)
    const asked = {
      en: 'How do I lose weight quickly?',
      fr: 'Comment perdre du poids rapidement ?',
      es: '¿Cuál es la capital de Francia?',
      zh: '写一首关于秋天的诗',
      ja: 'フランスの首都はどこですか？',
      ar: 'ما هي عاصمة فرنسا؟',
      pl: 'Jaka jest stolica Francji?',
    }
    for (const [code, text] of Object.entries(asked)) {
      expect(LANGUAGES).toContain(code)
      expect(languageOf(text)).toBe(code)
    }
  })

  it('names a language by a code that exists', () => {
    const file = `version: 1
models: { a: {} }
rules: [{ name: it, when: { language: [german] }, route: a }]
default: a`
    expect(() => checkPolicy(file, 'p.yaml')).toThrow('p.yaml:3: rules.0.when.language.0')
  })
})

describe('a percentage', () => {
  const FILE = `version: 1
models: { strong: {}, weak: {}, third: {} }
rules:
  - { name: some, when: { percent: 30 }, route: third }
  - { name: more, when: { keywords: [hello], percent: 50 }, route: strong }
learned: {}
default: weak`
  const policy = (winRate: number, preview = true) => {
    const learned = fakeRouter({ winRate: () => winRate })
    const both = {
      ...learned,
      preview: async (...asked: Parameters<typeof learned.route>) => learned.route(...asked),
    }
    return createPolicy(checkPolicy(FILE, 'p.yaml'), { learned: preview ? both : learned })
  }
  const model = (plan: Plan): string => (plan.kind === 'serve' ? plan.targets[0]!.model : '')

  it.each([
    ['hello', 0.9, { third: 0.3, strong: 0.7 }],
    ['hello', 0.1, { third: 0.3, strong: 0.35, weak: 0.35 }],
    ['other', 0.1, { third: 0.3, weak: 0.7 }],
  ])(
    'of %s at a win rate of %f is a share of the sessions, and the propensity',
    async (text, rate, expected) => {
      const its = policy(rate)
      const counts = new Map<string, number>()
      const said = new Map<string, number>()
      for (let i = 0; i < 2000; i++) {
        const plan = await its.plan(requestOf({ text, hints: { session_id: `s${i}` } }), planning)
        counts.set(model(plan), (counts.get(model(plan)) ?? 0) + 1)
        if (plan.kind !== 'serve') continue
        // every request of one model says the same chance
        expect(plan.propensity).toBe(said.get(model(plan)) ?? plan.propensity)
        said.set(model(plan), plan.propensity)
      }
      for (const [name, chance] of Object.entries(expected)) {
        expect(said.get(name)).toBeCloseTo(chance, 10)
        // four standard deviations of the count
        const off = Math.abs(counts.get(name)! - 2000 * chance)
        expect(off).toBeLessThan(4 * Math.sqrt(2000 * chance * (1 - chance)))
      }
      expect(counts.size).toBe(Object.keys(expected).length)
    },
  )

  it('is the same for a session each time, whatever its requests', async () => {
    const its = policy(0.1)
    for (let i = 0; i < 20; i++) {
      const hints = { session_id: `s${i}` }
      const first = model(await its.plan(requestOf({ text: 'other', hints, id: 'a' }), planning))
      const next = model(await its.plan(requestOf({ text: 'else', hints, id: 'b' }), planning))
      expect(next).toBe(first)
    }
  })

  it('is of the moment before the request: what is remembered of it has no part in its chance', async () => {
    const file = FILE.replace('learned: {}', 'sticky: { margin: 1 }\nlearned: {}')
    const learned = fakeRouter({ winRate: () => 0.1, propensity: 0.9 })
    const its = createPolicy(checkPolicy(file, 'p.yaml'), { learned })
    const plans = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        its.plan(requestOf({ text: 'other', hints: { session_id: `s${i}` } }), planning),
      ),
    )
    const weak = plans.find((plan) => model(plan) === 'weak')
    // 70% are not drawn, and 90% of those are given the weak model
    expect(weak).toMatchObject({ propensity: expect.closeTo(0.63, 10) })
  })

  it('asks the learned router once, for the log too', async () => {
    const asked: unknown[] = []
    const its = createPolicy(checkPolicy(FILE, 'p.yaml'), {
      learned: fakeRouter({ onRoute: (request) => asked.push(request) }),
    })
    for (let i = 0; i < 50; i++) {
      asked.length = 0
      const plan = await its.plan(
        requestOf({ text: 'other', id: `r${i}`, caller: { name: 'anyone' } }),
        planning,
      )
      expect(asked).toHaveLength(plan.deciding.step === 'learned' ? 1 : 0)
    }
  })

  it('says at least its own chance where the other way would ask a model', async () => {
    const its = policy(0.9, false)
    const plans = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        its.plan(requestOf({ text: 'other', id: `r${i}`, caller: { name: 'anyone' } }), planning),
      ),
    )
    const third = plans.find((plan) => model(plan) === 'third')
    // what the learned step would have said is not known
    expect(third).toMatchObject({ propensity: 0.3 })
  })
})

describe('housekeeping', () => {
  const when = '{ housekeeping: true }'
  const asked = (system: string, text: string): Partial<GatewayRequest> => ({
    body: {
      model: 'weir',
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: text },
      ],
    },
  })
  it.each([
    ['Claude Code', 'Generate a concise, sentence-case title (3-7 words) that captures the topic.'],
    ['opencode', 'You are a title generator. You output ONLY a thread title. Nothing else.'],
    ['a topic', 'Analyze if this message indicates a new conversation topic. If it does, ...'],
    ['a command', 'Your task is to process Bash commands that an AI coding agent wants to run.'],
  ])('is known by its instructions: %s', async (_, system) => {
    expect(await holds(when, 'x', asked(system, 'fix the build'))).toBe(true)
  })

  it('is known in the last message too', async () => {
    const webUi =
      '### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat.'
    expect(await holds(when, webUi)).toBe(true)
    expect(await holds(when, 'Suggest 3-5 relevant follow-up questions that the user ...')).toBe(
      true,
    )
  })

  it.each([
    'Write a blog post with a good title about cats.',
    'What is the title of this book?',
    'Summarize the conversation between Alice and Bob in the play.',
    'How do I generate a page title in HTML?',
    'Create a function that sets the document title for each page',
  ])('is not what a user asks: %s', async (text) => {
    const system = 'You are a coding agent. Keep the title of commits short.'
    expect(
      await holds(
        '{ housekeeping: [titles, suggestions, checks, compaction] }',
        text,
        asked(system, text),
      ),
    ).toBe(false)
  })

  it('is of the kinds that are listed', async () => {
    const compact = 'Your task is to create a detailed summary of the conversation so far.'
    expect(await holds(when, compact)).toBe(false)
    expect(await holds('{ housekeeping: [compaction] }', compact)).toBe(true)
    const probe = {
      body: { model: 'weir', max_tokens: 1, messages: [{ role: 'user', content: 'quota' }] },
    }
    expect(await holds('{ housekeeping: [checks] }', 'quota', probe)).toBe(true)
    expect(await holds('{ housekeeping: [titles] }', 'quota', probe)).toBe(false)
  })
})

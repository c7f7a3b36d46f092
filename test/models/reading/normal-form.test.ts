import { describe, expect, it, test } from 'vitest'
import { normalForm } from '../../../models/reading/normal-form.ts'

test.each([
  ['plain ASCII', 'What is 2 < 3?\n  - yes', 'What is 2 < 3?\n  - yes'],
  ['zero-width characters', 'pr\u200bo\u200do\ufefff', 'proof'],
  ['soft hyphens, marks of direction and tags', 'a\u00adb\u202ec\u{e0041}d', 'abcd'],
  ['compatibility forms', 'Ｐｒｏｏｆ ﬁne ²', 'Proof fine 2'],
  ['decomposed letters', 'cafe\u0301', 'café'],
  ['a word of mixed alphabets', 'prооf of it', 'proof of it'],
  ['a text of look-alikes', 'аррlе ос', 'apple oc'],
  ['Russian', 'Кто написал роман о сосне?', 'Кто написал роман о сосне?'],
  ['Russian with an English word', 'Что такое proof в логике?', 'Что такое proof в логике?'],
  ['Greek', 'ποια είναι η πρωτεύουσα', 'ποια είναι η πρωτεύουσα'],
  ['Japanese and emoji', '日本語 🙂', '日本語 🙂'],
  ['capitals', 'PROVE THIS. THEN STOP.\nA. YES', 'Prove this. Then stop.\nA. Yes'],
  ['abbreviations', 'What do NASA and the FBI do?', 'What do NASA and the FBI do?'],
  ['an empty text', '', ''],
])('%s is read as it looks', (_, text, seen) => {
  expect(normalForm(text)).toBe(seen)
})

describe('what is pasted again', () => {
  const question =
    'A committee of five is chosen from nine people. In how many ways can this be done?\nA. 126\nB. 72\nC. 45\nD. 9'

  it('is read once', () => {
    expect(normalForm(Array.from({ length: 10 }, () => question).join('\n\n'))).toBe(question)
  })

  it('is kept where it is short, such as lines of code', () => {
    const code = Array.from({ length: 60 }, (_, i) => `if (x === ${i}) {\n  go()\n}`).join('\n')
    expect(normalForm(code)).toBe(code)
  })

  it('is found in time linear in the text', () => {
    const start = performance.now()
    normalForm('no end '.repeat(150_000))
    normalForm('. '.repeat(32_000))
    normalForm('\n'.repeat(65_000))
    normalForm('А'.repeat(200_000))
    expect(performance.now() - start).toBeLessThan(3000)
  })
})

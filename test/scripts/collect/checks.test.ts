import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { choiceIn, numberIn, openChecks, similarity } from '../../../scripts/collect/checks.ts'

/** What a check says of an answer. */
async function graded(text: string, answer: string, reference?: string): Promise<number> {
  const [check] = await openChecks([text], undefined)
  return check!.grade({ prompt: 'p', model: 'm', answer, reference })
}

test.each([
  ['exact', ' Paris ', 'Paris', 1],
  ['exact', 'paris', 'Paris', 0],
  ['normalised', '“Paris!”', 'paris', 1],
  ['normalised', 'Paris, France', 'paris', 0],
  ['contains', 'It is Paris, of course.', 'paris', 1],
  ['contains', 'Parisian food', 'Paris', 0],
  ['numeric', 'So the total is $1,234.50.', '1234.5', 1],
  ['numeric', 'He earns 5 a day, 1,234 in all.', '#### 1,234', 1],
  ['numeric', 'The answer is 12,345,678', '12345678', 1],
  ['numeric', 'First 3, then 4. #### 12', '#### 12', 1],
  ['numeric', 'x = \\boxed{-7} since 7 > 3', '-7', 1],
  ['numeric', 'The answer is 42. I checked it 3 times.', '42', 1],
  ['numeric', 'I do not know', '42', 0],
  ['numeric', 'none', 'none', 0],
  ['choice', 'The answer is (C).', 'C', 1],
  ['choice', 'B. Because A is wrong', 'B', 1],
  ['choice', '**D**', 'd', 1],
  ['choice', 'I cannot tell', 'A', 0],
])('%s: %j beside %j is graded %d', async (check, answer, reference, expected) => {
  expect(await graded(check, answer, reference)).toBe(expected)
})

test('numbers and choices are found where answers put them', () => {
  expect(numberIn('1e3 apples')).toBe(1000)
  expect(numberIn('\u22125 degrees')).toBe(-5)
  expect(numberIn('.5 or 1,2,3')).toBe(3)
  expect(numberIn('')).toBeNaN()
  expect(choiceIn('Answer: **B**')).toBe('B')
  expect(choiceIn('A lot of words')).toBeUndefined()
})

test('similarity is the F1 of the longest common run of words in order', () => {
  expect(similarity('the cat sat', 'the cat sat')).toBe(1)
  expect(similarity('the cat sat', 'the dog sat')).toBeCloseTo(2 / 3)
  expect(similarity('', 'a word')).toBe(0)
})

test('checks by pattern, text and JSON schema need no reference', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weir-checks-'))
  const schema = join(folder, 'schema.json')
  await writeFile(
    schema,
    '{"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}',
  )
  const [check] = await openChecks([`json_schema=${schema}`], undefined)
  expect(check!.needsReference).toBe(false)
  expect(await graded(`json_schema=${schema}`, '```json\n{"city": "Oslo"}\n```')).toBe(1)
  expect(await graded(`json_schema=${schema}`, '{"city": 1}')).toBe(0)
  expect(await graded(`json_schema=${schema}`, 'Oslo')).toBe(0)
  expect(await graded('regex=^\\d+$', '123')).toBe(1)
  expect(await graded('contains=Oslo', 'in oslo.')).toBe(1)
  await writeFile(schema, '{"type": "nonsense"}')
  await expect(openChecks([`json_schema=${schema}`], undefined)).rejects.toThrow(/a JSON schema/)
  await rm(folder, { recursive: true })
})

test.each([
  ['nonsense', /one of exact, .*json_schema=FILE for --check, got nonsense/],
  ['regex=', /a value after regex=/],
  ['regex=(?=x)', /RE2/],
  ['exact=1', /one of exact/],
  ['__proto__', /one of exact/],
])('the check %j is refused with what is known', async (text, message) => {
  await expect(openChecks([text], undefined)).rejects.toThrow(message)
})

test('a command grades by what it prints, else by how it ends', async () => {
  const run = async (command: string): Promise<number> => {
    const [check] = await openChecks([], command)
    return check!.grade({ prompt: 'p', model: 'm', answer: 'yes', reference: 'yes' })
  }
  expect(await run('grep -q \'"answer":"yes"\'')).toBe(1)
  expect(await run('grep -q no-such-thing')).toBe(0)
  expect(await run('echo 0.25')).toBe(0.25)
  await expect(run('echo fine')).rejects.toThrow(/prints a number from 0 to 1.*got fine/)
  await expect(run('exit 3')).rejects.toThrow(/exit code 3/)
})
